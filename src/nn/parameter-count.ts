/**
 * How many numbers parameters have together, such as those that an objective trains.
 *
 * @example
 * parameterCount([{ shape: [3, 4] }, { shape: [4] }]); // 16
 */
export function parameterCount(parameters: Iterable<{ readonly shape: readonly number[] }>): number {
  let count = 0;
  for (const { shape } of parameters) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
