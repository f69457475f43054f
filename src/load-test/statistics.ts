/** What a table says of a measure. Undefined where nothing was measured. */
export interface Statistics {
  count: number;
  mean?: number;
  p50?: number;
  p90?: number;
  p99?: number;
}

/** A percentile of sorted numbers, between two of them on the line that joins them, as numpy's default. */
function percentile(sorted: ArrayLike<number>, percent: number): number {
  const place = (percent / 100) * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}

/** Mean and percentiles of some numbers, in their unit. */
export function statistics(values: readonly number[]): Statistics {
  const count = values.length;
  if (count === 0) return { count };
  const sorted = Float64Array.from(values).sort();
  const [p50, p90, p99] = [50, 90, 99].map((percent) => percentile(sorted, percent));
  return { count, mean: sorted.reduce((sum, value) => sum + value, 0) / count, p50, p90, p99 };
}
