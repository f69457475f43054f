/** Decompositions of small matrices, computed on the host. x: [..., M, N]; leading axes are batches. */
import { type FloatDType, known } from "../../base/index.ts";
import type { Value } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

const wrap = <D extends FloatDType, K extends string>(values: Record<K, Value>) =>
  Object.fromEntries(Object.entries<Value>(values).map(([name, value]) => [name, new Tensor<D>(value)])) as Record<
    K,
    Tensor<D>
  >;

/** L with x = L Lᵀ, lower triangular; NaN where x is not symmetric positive definite. */
export const cholesky = <D extends FloatDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.cholesky(x.ir));
/** X with a X = b; NaN for singular a. a: [..., N, N], b: [..., N, K] -> [..., N, K] */
export const solve = <D extends FloatDType>(a: Tensor<D>, b: Tensor<NoInfer<D>>): Tensor<D> =>
  new Tensor(ops.solve(a.ir, b.ir));
/** X with a X = b for triangular a. */
export const triangularSolve = <D extends FloatDType>(
  a: Tensor<D>,
  b: Tensor<NoInfer<D>>,
  options?: ops.TriangularOptions,
): Tensor<D> =>
  new Tensor(ops.triangularSolve(a.ir, b.ir, known("triangularSolve", options, { upper: true, unitriangular: true })));
/** The inverse matrix; NaN for a singular one. */
export const inverse = <D extends FloatDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.inverse(x.ir));
/** The determinant. x: [..., N, N] -> [...] */
export const determinant = <D extends FloatDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.determinant(x.ir));
/** log |det x|. x: [..., N, N] -> [...] */
export const logDeterminant = <D extends FloatDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.logDeterminant(x.ir));
/** x = q r: orthonormal columns times an upper triangle whose diagonal is not negative. */
export const qr = <D extends FloatDType>(x: Tensor<D>): Record<"q" | "r", Tensor<D>> => wrap(ops.qr(x.ir));
/** Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices. */
export const eigh = <D extends FloatDType>(x: Tensor<D>): Record<"values" | "vectors", Tensor<D>> =>
  wrap(ops.eigh(x.ir));
/** Eigenvalues of any square matrices, as complex pairs by their real parts. x: [..., N, N] -> [..., N, 2] */
export const eigenvalues = <D extends FloatDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.eigenvalues(x.ir));
/** x = u diag(s) vh with s descending, reduced. */
export const svd = <D extends FloatDType>(x: Tensor<D>): Record<"u" | "s" | "vh", Tensor<D>> => wrap(ops.svd(x.ir));
