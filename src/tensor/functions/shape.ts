/** Shapes, parts and positions. */
import { type DType, known, requireDType } from "../../base/index.ts";
import type { Shape, Size } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { type SliceOptions, sliceOf, Tensor } from "../tensor.ts";

type Indices = Tensor<"i32" | "i64">;
const valuesOf = (xs: readonly Tensor[]) => xs.map(({ ir: value }) => value);

/** Same elements in row-major order, other shape; one size may be -1. */
export function reshape<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  return new Tensor(ops.reshape(x.ir, shape));
}

/** Axis i of the result is axis permutation[i] of x. @default reverses the axes */
export function transpose<D extends DType>(x: Tensor<D>, permutation?: readonly number[]): Tensor<D> {
  return new Tensor(ops.transpose(x.ir, permutation));
}

/** Stretches sizes of 1 and adds leading axes to reach `shape`. */
export function broadcastTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  return new Tensor(ops.broadcastTo(x.ir, shape));
}

/** The dtypes that a tensor may have. */
type DTypeOf<T> = T extends Tensor<infer D> ? D : never;
/** Those tensors of a list that may have each dtype of it. */
type Covering<T, D> = T extends Tensor<infer Own> ? ([D] extends [Own] ? T : never) : never;
/** The list itself, or where its tensors have two dtypes the list that it should be. */
type OfOneDType<L extends readonly Tensor[]> = [Covering<L[number], DTypeOf<L[number]>>] extends [never]
  ? readonly Tensor<DTypeOf<L[0]>>[]
  : L;

/** Joins tensors of one dtype along an existing axis. @default axis 0 */
export function concat<const L extends readonly Tensor[]>(
  xs: L & OfOneDType<L>,
  axis?: number,
): Tensor<DTypeOf<L[number]>> {
  return new Tensor(ops.concat(valuesOf(xs), axis));
}

/** Joins tensors of one dtype and shape along a new axis. @default axis 0 */
export function stack<const L extends readonly Tensor[]>(
  xs: L & OfOneDType<L>,
  axis?: number,
): Tensor<DTypeOf<L[number]>> {
  return new Tensor(ops.stack(valuesOf(xs), axis));
}

/** One tensor for each index of an axis. @default axis 0 */
export function unstack<D extends DType>(x: Tensor<D>, axis?: number): Tensor<D>[] {
  return ops.unstack(x.ir, axis).map((part) => new Tensor<D>(part));
}

/** So many equal parts along an axis, or parts of the given sizes. @default last axis */
export function split<D extends DType>(x: Tensor<D>, parts: number | readonly number[], axis?: number): Tensor<D>[] {
  const values = typeof parts === "number" ? ops.split(x.ir, parts, axis) : ops.splitSizes(x.ir, parts, axis);
  return values.map((part) => new Tensor<D>(part));
}

/** Indices start, start + step, ... of one axis. @default axis 0 */
export function slice<D extends DType>(x: Tensor<D>, options: SliceOptions): Tensor<D> {
  return new Tensor(sliceOf(x.ir, options));
}

/** Slices at integer indices of any rank; embedding lookup along axis 0. @default axis 0 */
export function gather<D extends DType>(x: Tensor<D>, indices: Indices, axis?: number): Tensor<D> {
  return new Tensor(ops.gather(x.ir, indices.ir, axis));
}

/** result[i][j] = x[i][indices[i][j]] for axis 1, and likewise for others. @default last axis */
export function takeAlong<D extends DType>(x: Tensor<D>, indices: Indices, axis?: number): Tensor<D> {
  return new Tensor(ops.takeAlong(x.ir, indices.ir, axis));
}

/** bool [T, S], true where a query may see a key at or before its own position. */
export function causalMask(queries: number, keys: number): Tensor<"bool"> {
  return new Tensor(ops.causalMask(queries, keys));
}

/** Takes out axes of size 1. @default all of them */
export function squeeze<D extends DType>(x: Tensor<D>, axes?: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.squeeze(x.ir, axes));
}
/** Puts in axes of size 1, at these positions of the result. */
export function unsqueeze<D extends DType>(x: Tensor<D>, axes: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.unsqueeze(x.ir, axes));
}
/** Takes an axis out at one position and puts it in at another. */
export function moveAxis<D extends DType>(x: Tensor<D>, source: number, destination: number): Tensor<D> {
  return new Tensor(ops.moveAxis(x.ir, source, destination));
}
/** Exchanges two axes. */
export function swapAxes<D extends DType>(x: Tensor<D>, a: number, b: number): Tensor<D> {
  return new Tensor(ops.swapAxes(x.ir, a, b));
}
/** Reverses the order along axes. @default all */
export function flip<D extends DType>(x: Tensor<D>, axes?: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.flip(x.ir, axes));
}
/** Moves elements along axes; what leaves at the end comes in at the start. */
export function roll<D extends DType>(
  x: Tensor<D>,
  shifts: number | readonly number[],
  axes: number | readonly number[],
): Tensor<D> {
  return new Tensor(ops.roll(x.ir, shifts, axes));
}
/** Makes the last axes longer at both ends: a pair [before, after] for each. @default zeros */
export function pad<D extends DType>(
  x: Tensor<D>,
  padding: ops.Padding,
  options?: { mode?: ops.PadMode; value?: number },
): Tensor<D> {
  return new Tensor(ops.pad(x.ir, padding, known("pad", options, { mode: true, value: true })));
}
/** Repeats the whole tensor along each axis. */
export function tile<D extends DType>(x: Tensor<D>, repeats: readonly number[]): Tensor<D> {
  return new Tensor(ops.tile(x.ir, repeats));
}
/** Repeats each element along an axis. @default last axis */
export function repeatInterleave<D extends DType>(x: Tensor<D>, repeats: number, axis?: number): Tensor<D> {
  return new Tensor(ops.repeatInterleave(x.ir, repeats, axis));
}
/** Zero above a diagonal of the last two axes. @default the main diagonal */
export function tril<D extends DType>(x: Tensor<D>, diagonal?: number): Tensor<D> {
  return new Tensor(ops.tril(x.ir, diagonal));
}
/** Zero below a diagonal of the last two axes. @default the main diagonal */
export function triu<D extends DType>(x: Tensor<D>, diagonal?: number): Tensor<D> {
  return new Tensor(ops.triu(x.ir, diagonal));
}
/** The diagonal of two axes, as the last axis of the result. @default the last two axes */
export function diagonal<D extends DType>(
  x: Tensor<D>,
  options?: { offset?: number; axis1?: number; axis2?: number },
): Tensor<D> {
  return new Tensor(ops.diagonal(x.ir, known("diagonal", options, { offset: true, axis1: true, axis2: true })));
}
/** `value` where the mask is true. */
export function maskedFill<D extends DType>(x: Tensor<D>, mask: Tensor<"bool">, value: number): Tensor<D> {
  return new Tensor(ops.maskedFill(x.ir, mask.ir, value));
}
/** bool [rows, columns], true at and below a diagonal. @default the main one */
export function triangularMask(rows: number, columns: number, diagonal?: number): Tensor<"bool"> {
  return new Tensor(ops.triangularMask(rows, columns, diagonal));
}
/** 0, 1, ..., size - 1. @default i32 */
export function arange<D extends DType = "i32">(size: Size, dtype?: D): Tensor<D> {
  return new Tensor(ops.arange(size, dtype && requireDType("arange", dtype)));
}
/** Ones on the diagonal. @default square, f32 */
export function eye<D extends DType = "f32">(rows: number, columns?: number, dtype?: D): Tensor<D> {
  return new Tensor(ops.eye(rows, columns, dtype && requireDType("eye", dtype)));
}
/** 1 at each index along a new last axis, 0 elsewhere. indices: [...] -> [..., depth]. @default f32 */
export function oneHot<D extends DType = "f32">(indices: Indices, depth: Size, dtype?: D): Tensor<D> {
  return new Tensor(ops.oneHot(indices.ir, depth, dtype && requireDType("oneHot", dtype)));
}
/** base with updates written at the indices along one axis. @default last axis */
export function scatter<D extends DType>(
  base: Tensor<D>,
  indices: Indices,
  updates: Tensor<NoInfer<D>>,
  axis?: number,
): Tensor<D> {
  return new Tensor(ops.scatter(base.ir, indices.ir, updates.ir, axis));
}
/** base with updates added at the indices along one axis; repeated indices add up. @default last axis */
export function scatterAdd<D extends DType>(
  base: Tensor<D>,
  indices: Indices,
  updates: Tensor<NoInfer<D>>,
  axis?: number,
): Tensor<D> {
  return new Tensor(ops.scatterAddAlong(base.ir, indices.ir, updates.ir, axis));
}
/** base with updates[i] added to row indices[i]. */
export function indexAdd<D extends DType>(base: Tensor<D>, indices: Indices, updates: Tensor<NoInfer<D>>): Tensor<D> {
  return new Tensor(ops.indexAdd(base.ir, indices.ir, updates.ir));
}
/** Rows of a table. weight: [V, D], indices: [...] -> [..., D]; the row paddingIndex gets no gradient. */
export function embedding<D extends DType>(
  weight: Tensor<D>,
  indices: Indices,
  options?: { paddingIndex?: number },
): Tensor<D> {
  return new Tensor(ops.embedding(weight.ir, indices.ir, known("embedding", options, { paddingIndex: true })));
}

/** The same numbers, without a gradient. */
export function stopGradient<D extends DType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.stopGradient(x.ir));
}
