/** Lengths that batches are padded to. */

/** Lengths are multiples of this part of the longest: each length is compiled for itself. */
const LENGTHS = 8;
const LEAST_MULTIPLE = 16;

/** The length of a batch whose longest row has so many tokens, and no row more than `most`. */
export function paddedWidth(longest: number, most: number, lengths = LENGTHS): number {
  const multiple = Math.max(LEAST_MULTIPLE, Math.ceil(most / lengths));
  return Math.min(most, Math.ceil(longest / multiple) * multiple);
}
