import type { DType } from "../base/index.ts";

/** Largest accepted |actual - expected|, relative to max(1, |expected|), by dtype. The only table of tolerances. */
export const tolerances: Readonly<Partial<Record<DType, number>>> = {
  f32: 2e-5,
  f16: 4e-3,
  bf16: 3e-2,
  i32: 0,
  i64: 0,
  i8: 0,
  u8: 0,
  bool: 0,
};

/** Throws with the largest error, its index and both values when two lists of numbers differ; -> the largest error */
export function expectClose(
  what: string,
  actual: ArrayLike<number | bigint>,
  expected: ArrayLike<number>,
  tolerance: number,
): number {
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} numbers instead of ${expected.length}`);
  let worst = -1;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(Number(actual[i]) - expected[i]) / Math.max(1, Math.abs(expected[i]));
    if (error > largest || Number.isNaN(error)) {
      largest = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      worst = i;
    }
  }
  if (largest > tolerance)
    throw new Error(
      `${what}: error ${largest} at index ${worst}: ${actual[worst]} instead of ${expected[worst]} (tolerance ${tolerance})`,
    );
  return largest;
}
