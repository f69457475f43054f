/** Activation functions. */
import { type FloatDType, known } from "../../base/index.ts";
import type { Value } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

const unary =
  (op: (x: Value) => Value) =>
  <D extends FloatDType>(x: Tensor<D>): Tensor<D> =>
    new Tensor(op(x.ir));

/** max(x, 0); the gradient at 0 is 0. */
export const relu = unary(ops.relu);
/** x sigmoid(x). Elfwing et al. 2017, arXiv:1702.03118. */
export const silu = unary(ops.silu);

/** Gaussian error linear unit, exact or with the tanh approximation of GPT-2. arXiv:1606.08415. @default exact */
export function gelu<D extends FloatDType>(x: Tensor<D>, approximate: ops.GeluApproximation = "none"): Tensor<D> {
  return new Tensor(ops.gelu(x.ir, approximate));
}

/** max(x, 0) squared. So et al. 2021, arXiv:2109.08668. */
export const reluSquared = unary(ops.reluSquared);
/** relu that stops at 6. */
export const relu6 = unary(ops.relu6);
/** x tanh(softplus(x)). Misra 2019, arXiv:1908.08681. */
export const mish = unary(ops.mish);
/** x / (1 + |x|) */
export const softsign = unary(ops.softsign);
/** log(sigmoid(x)), accurate where sigmoid(x) is near 0. */
export const logSigmoid = unary(ops.logSigmoid);
/** A straight line through (0, 1/2) of slope 1/6, cut at 0 and 1. */
export const hardsigmoid = unary(ops.hardsigmoid);
/** x hardsigmoid(x). Howard et al. 2019, arXiv:1905.02244. */
export const hardswish = unary(ops.hardswish);
/** Self-normalising elu. Klambauer et al. 2017, arXiv:1706.02515. */
export const selu = unary(ops.selu);

/** x where positive, else negativeSlope x. Maas et al. 2013. @default 0.01 */
export function leakyRelu<D extends FloatDType>(x: Tensor<D>, negativeSlope?: number): Tensor<D> {
  return new Tensor(ops.leakyRelu(x.ir, negativeSlope));
}
/** leakyRelu with a learned slope: weight [1], or one for each size of axis 1. He et al. 2015, arXiv:1502.01852. */
export function prelu<D extends FloatDType>(x: Tensor<D>, weight: Tensor<NoInfer<D>>): Tensor<D> {
  return new Tensor(ops.prelu(x.ir, weight.ir));
}
/** x where positive, else alpha (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289. @default 1 */
export function elu<D extends FloatDType>(x: Tensor<D>, alpha?: number): Tensor<D> {
  return new Tensor(ops.elu(x.ir, alpha));
}
/** x where positive, else alpha (exp(x / alpha) - 1). Barron 2017, arXiv:1704.07483. @default 1 */
export function celu<D extends FloatDType>(x: Tensor<D>, alpha?: number): Tensor<D> {
  return new Tensor(ops.celu(x.ir, alpha));
}
/** log(1 + exp(beta x)) / beta, a smooth relu. */
export function softplus<D extends FloatDType>(x: Tensor<D>, options?: ops.SoftplusOptions): Tensor<D> {
  return new Tensor(ops.softplus(x.ir, known("softplus", options, { beta: true, threshold: true })));
}
/** x moved by lambda toward 0, and 0 within lambda of it. @default 0.5 */
export function softshrink<D extends FloatDType>(x: Tensor<D>, lambda?: number): Tensor<D> {
  return new Tensor(ops.softshrink(x.ir, lambda));
}
/** x cut at both ends. @default -1 and 1 */
export function hardtanh<D extends FloatDType>(x: Tensor<D>, min?: number, max?: number): Tensor<D> {
  return new Tensor(ops.hardtanh(x.ir, min, max));
}
