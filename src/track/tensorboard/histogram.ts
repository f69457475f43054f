/** How values are spread over buckets: `counts[i]` are `limits[i - 1]` or more, and less than `limits[i]`. */
export interface Histogram {
  min: number;
  max: number;
  count: number;
  sum: number;
  sumOfSquares: number;
  limits: number[];
  counts: number[];
}

/** As TensorFlow's: limits grow by a tenth, from 1e-12 to 1e20, on both sides of 0. */
const SMALLEST = 1e-12;
const LARGEST = 1e20;
const GROWTH = 1.1;

function limitsOf(): number[] {
  const positive: number[] = [];
  for (let limit = SMALLEST; limit < LARGEST; limit *= GROWTH) positive.push(limit);
  return [...positive.map((limit) => -limit).reverse(), 0, ...positive, Number.POSITIVE_INFINITY];
}

/** The histogram of the finite values, or undefined where there is none; without buckets outside of all values. */
export function histogramOf(values: ArrayLike<number>): Histogram | undefined {
  const limits = limitsOf();
  const counts = new Array<number>(limits.length).fill(0);
  let [min, max, count, sum, sumOfSquares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    [min, max] = [Math.min(min, value), Math.max(max, value)];
    count++;
    sum += value;
    sumOfSquares += value * value;
    counts[bucketOf(value, limits)]++;
  }
  if (count === 0) return undefined;
  const first = Math.max(0, bucketOf(min, limits) - 1); // the limit on the left of the first values
  const end = bucketOf(max, limits) + 1;
  // an infinite limit cannot be drawn
  const shown = limits.slice(first, end).map((limit) => Math.min(limit, Number.MAX_VALUE));
  return { min, max, count, sum, sumOfSquares, limits: shown, counts: counts.slice(first, end) };
}

/** The first bucket whose limit is above the value. */
function bucketOf(value: number, limits: readonly number[]): number {
  let [low, high] = [0, limits.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (limits[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
