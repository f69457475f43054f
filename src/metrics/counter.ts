/** How often each thing occurs. */
export type Counter = Map<string, number>;

/** Counts things. */
export function countOf(items: Iterable<string>): Counter {
  const counter: Counter = new Map();
  for (const item of items) counter.set(item, (counter.get(item) ?? 0) + 1);
  return counter;
}

/** Runs of n things in a row, as texts with a separator that they do not hold. */
export function ngramsOf(items: readonly string[], n: number, separator: string): string[] {
  return Array.from({ length: Math.max(0, items.length - n + 1) }, (_, i) => items.slice(i, i + n).join(separator));
}

/** How many things two counts have in common. */
export function overlapOf(a: Counter, b: Counter): number {
  let sum = 0;
  for (const [item, count] of a) sum += Math.min(count, b.get(item) ?? 0);
  return sum;
}

/** All that was counted. */
export function totalOf(counter: Counter): number {
  let sum = 0;
  for (const count of counter.values()) sum += count;
  return sum;
}
