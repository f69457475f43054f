/** Reductions, orders and cumulative functions. */
import { type DType, type FloatDType, known, type OptionNames } from "../../base/index.ts";
import type { Value } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

type Reduce = <D extends DType>(x: Tensor<D>, options?: ops.ReduceOptions) => Tensor<D>;
type FloatReduce<O> = <D extends FloatDType>(x: Tensor<D>, options?: O) => Tensor<D>;
const reduceNames = { axes: true, keepDims: true } as const;
const reduce =
  (where: string, op: (x: Value, options?: ops.ReduceOptions) => Value): Reduce =>
  (x, options) =>
    new Tensor(op(x.ir, known(where, options, reduceNames)));
const floatReduce =
  <O extends object>(where: string, op: (x: Value, options?: O) => Value, names: OptionNames<O>): FloatReduce<O> =>
  (x, options) =>
    new Tensor(op(x.ir, known(where, options, names)));

/** Sum over axes. @default all */
export const sum = reduce("sum", ops.sum);
/** Product over axes. @default all */
export const prod = reduce("prod", ops.prod);
/** Largest element over axes; equal largest share the gradient. @default all */
export const max = reduce("max", ops.max);
/** Smallest element over axes; equal smallest share the gradient. @default all */
export const min = reduce("min", ops.min);
/** Mean over axes. @default all */
export const mean = floatReduce("mean", ops.mean, reduceNames);
/** Mean squared deviation from the mean, with n - 1 in the denominator by default. @default all axes */
export const variance = floatReduce<ops.VarianceOptions>("variance", ops.variance, {
  ...reduceNames,
  correction: true,
});
/** Square root of the variance. @default all axes */
export const standardDeviation = floatReduce<ops.VarianceOptions>("standardDeviation", ops.standardDeviation, {
  ...reduceNames,
  correction: true,
});
/** log of the sum of exp(x), without overflow. @default all axes */
export const logSumExp = floatReduce<ops.ReduceOptions>("logSumExp", ops.logSumExp, reduceNames);
/** (sum |x|^p)^(1/p); p may be Infinity or -Infinity. @default p = 2, all axes */
export const norm = floatReduce<ops.ReduceOptions & { p?: number }>("norm", ops.norm, { ...reduceNames, p: true });
/** Whether any element is true. @default all axes */
export const any = (x: Tensor<"bool">, options?: ops.ReduceOptions): Tensor<"bool"> =>
  new Tensor(ops.any(x.ir, known("any", options, reduceNames)));
/** Whether all elements are true. @default all axes */
export const all = (x: Tensor<"bool">, options?: ops.ReduceOptions): Tensor<"bool"> =>
  new Tensor(ops.all(x.ir, known("all", options, reduceNames)));

/** Index of the largest element along an axis, the first at ties. @default last axis */
export const argmax = (x: Tensor, options?: ops.ArgOptions): Tensor<"i64"> =>
  new Tensor(ops.argmax(x.ir, known("argmax", options, { axis: true, keepDims: true })));
/** Index of the smallest element along an axis, the first at ties. @default last axis */
export const argmin = (x: Tensor, options?: ops.ArgOptions): Tensor<"i64"> =>
  new Tensor(ops.argmin(x.ir, known("argmin", options, { axis: true, keepDims: true })));

/** Sum of all elements up to each along an axis. @default last axis */
export function cumsum<D extends DType>(x: Tensor<D>, options?: ops.CumulativeOptions): Tensor<D> {
  return new Tensor(ops.cumsum(x.ir, known("cumsum", options, { axis: true, exclusive: true, reverse: true })));
}
/** Product of all elements up to each along an axis. @default last axis */
export function cumprod<D extends DType>(x: Tensor<D>, axis?: number): Tensor<D> {
  return new Tensor(ops.cumprod(x.ir, axis));
}

const ordered = <D extends DType>({ values, indices }: ops.Ordered) => ({
  values: new Tensor<D>(values),
  indices: new Tensor<"i64">(indices),
});
/** The k largest (or smallest) elements along an axis, best first, and their positions. @default last axis, largest */
export function topk<D extends DType>(
  x: Tensor<D>,
  k: number,
  options?: { axis?: number; largest?: boolean },
): { values: Tensor<D>; indices: Tensor<"i64"> } {
  return ordered(ops.topk(x.ir, k, known("topk", options, { axis: true, largest: true })));
}
/**
 * Elements along an axis in order, and their positions; equal elements keep their order. @default last axis, ascending
 */
export function sort<D extends DType>(
  x: Tensor<D>,
  options?: { axis?: number; descending?: boolean },
): { values: Tensor<D>; indices: Tensor<"i64"> } {
  return ordered(ops.sort(x.ir, known("sort", options, { axis: true, descending: true })));
}
/**
 * Pairs rows with columns, one with one, so that the sum of the costs is least. cost: [..., R, C], valid: which columns
 * take part, [..., C]
 * -> the column of each row, or -1. [..., R]
 */
export function linearSumAssignment(cost: Tensor<FloatDType>, valid: Tensor<"bool">): Tensor<"i32"> {
  return new Tensor(ops.linearSumAssignment(cost.ir, valid.ir));
}
/** Positions that sort x. @default last axis, ascending */
export function argsort(x: Tensor, options?: { axis?: number; descending?: boolean }): Tensor<"i64"> {
  return new Tensor(ops.argsort(x.ir, known("argsort", options, { axis: true, descending: true })));
}
