/** A size of at least `least`: `from`, or 1 where that is 0, doubled as often as it takes, or `most` below that. */
export function doubled(from: number, least: number, most = Number.POSITIVE_INFINITY): number {
  let size = Math.max(1, from);
  while (size < least) size *= 2;
  return Math.min(size, most);
}
