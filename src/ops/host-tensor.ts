import { ShapeError } from "../base/index.ts";
import type { Shape } from "../ir/index.ts";

/** Plain numbers for the reference implementations, whatever the dtype. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Whole numbers of any size, row-major, for the exact implementations; of bool 0 and 1. */
export interface ExactTensor {
  readonly shape: readonly number[];
  readonly data: readonly bigint[];
}

/**
 * A host tensor with a copy of these numbers, row-major. @default zeros
 * @throws ShapeError for another count of numbers than the shape has
 */
export function hostTensor(shape: Shape, data?: ArrayLike<number>): HostTensor {
  const sizes = shape as readonly number[];
  const count = sizes.reduce((a, b) => a * b, 1);
  if (data && data.length !== count) {
    throw new ShapeError({
      where: "reference",
      expected: `${count} numbers`,
      received: String(data.length),
      fix: "check the shape",
    });
  }
  return { shape: sizes, data: data ? Float64Array.from(data) : new Float64Array(count) };
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/** Calls `visit` with each index of `shape` in row-major order; the array is reused between calls. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[], flat: number) => void): void {
  const count = shape.reduce((a, b) => a * b, 1);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < count; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

/** Flat position of `index` in a tensor that broadcasts to the index's shape. */
export function broadcastPosition(
  shape: readonly number[],
  strides: readonly number[],
  index: readonly number[],
): number {
  const shift = index.length - shape.length;
  let position = 0;
  for (let axis = 0; axis < shape.length; axis++)
    if (shape[axis] !== 1) position += index[axis + shift] * strides[axis];
  return position;
}
