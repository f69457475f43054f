/** What operations on the last two axes, matrices of known size, have in common. */
import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, type Shape, type TensorType, type Value } from "../ir/index.ts";
import { add, mul } from "./arithmetic.ts";
import { eye, swapAxes } from "./movement.ts";

/** The last two axes exchanged. */
export const transposed = (x: Value) => swapAxes(x, -1, -2);
/** The mean of x and its transpose. */
export const symmetric = (x: Value) => mul(add(x, transposed(x)), 0.5);
/** The axes before the last two. */
export const batchOf = (x: TensorType): Shape => x.shape.slice(0, -2);

/** @throws DTypeError or ShapeError for what is no float matrices of known size */
export function requireMatrices(where: string, x: TensorType, isSquare: boolean): { rows: number; columns: number } {
  requireFloatDType(where, x.dtype);
  const [rows, columns] = x.shape.slice(-2);
  const isFine =
    x.shape.length >= 2 && typeof rows === "number" && typeof columns === "number" && (!isSquare || rows === columns);
  if (isFine) return { rows, columns };
  throw new ShapeError({
    where,
    expected: `${isSquare ? "square " : ""}matrices [..., M, N] of known size`,
    received: describe(x),
    fix: "check the shape",
  });
}

/** The identity, with the last two sizes of x. */
export const eyeLike = (x: Value) =>
  eye(x.shape[x.shape.length - 2] as number, x.shape[x.shape.length - 1] as number, x.dtype);
