/** The operations as functions of tensors. Numbers may stand for scalars. Each docstring gives shapes and deviations. */
import type { DType, FloatDType, Shape, Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { Tensor, type TensorLike, unwrap } from "./tensor.ts";

type FloatUnary = <D extends FloatDType>(x: Tensor<D>) => Tensor<D>;
type Arithmetic = <D extends DType>(a: TensorLike<D>, b: TensorLike<D>) => Tensor<D>;
type Comparison = <D extends DType>(a: TensorLike<D>, b: TensorLike<D>) => Tensor<"bool">;

const unary =
  (op: (x: Value) => Value): FloatUnary =>
  (x) =>
    new Tensor(op(x.value));
const binary =
  (op: ops.BinaryOp): Arithmetic =>
  (a, b) =>
    new Tensor(op(unwrap(a), unwrap(b)));
const comparison =
  (op: ops.BinaryOp): Comparison =>
  (a, b) =>
    new Tensor(op(unwrap(a), unwrap(b)));

/** a + b, with broadcasting. */
export const add = binary(ops.add);
/** a - b, with broadcasting. */
export const sub = binary(ops.sub);
/** a * b elementwise, with broadcasting. */
export const mul = binary(ops.mul);
/** a / b, with broadcasting; integers truncate toward zero. */
export const div = binary(ops.div);
/** a to the power b, for floats. */
export const pow = binary(ops.pow);
/** The larger of two; at ties each gets half the gradient. */
export const maximum = binary(ops.maximum);
/** The smaller of two; at ties each gets half the gradient. */
export const minimum = binary(ops.minimum);

/** a == b, elementwise. */
export const equal = comparison(ops.equal);
/** a < b, elementwise. */
export const less = comparison(ops.less);
/** a <= b, elementwise. */
export const lessEqual = comparison(ops.lessEqual);
/** a > b, elementwise. */
export const greater = comparison(ops.greater);
/** a >= b, elementwise. */
export const greaterEqual = comparison(ops.greaterEqual);

/** -x */
export const neg = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.neg(x.value));
/** |x|; the gradient at 0 is 0. */
export const abs = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.abs(x.value));
/** -1, 0 or 1 */
export const sign = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.sign(x.value));
/** e to the power x */
export const exp = unary(ops.exp);
/** Natural logarithm. */
export const log = unary(ops.log);
/** Square root. */
export const sqrt = unary(ops.sqrt);
/** 1 / sqrt(x) */
export const rsqrt = unary(ops.rsqrt);
/** x squared */
export const square = unary(ops.square);
/** 1 / x */
export const reciprocal = unary(ops.reciprocal);
/** Hyperbolic tangent. */
export const tanh = unary(ops.tanh);
/** 1 / (1 + exp(-x)) */
export const sigmoid = unary(ops.sigmoid);
/** Sine of radians. */
export const sin = unary(ops.sin);
/** Cosine of radians. */
export const cos = unary(ops.cos);
/** Error function. */
export const erf = unary(ops.erf);
/** max(x, 0); the gradient at 0 is 0. */
export const relu = unary(ops.relu);
/** x sigmoid(x). Elfwing et al. 2017, arXiv:1702.03118. */
export const silu = unary(ops.silu);

/** Gaussian error linear unit, exact or with the tanh approximation of GPT-2. arXiv:1606.08415. @default exact */
export function gelu<D extends FloatDType>(x: Tensor<D>, approximate: ops.GeluApproximation = "none"): Tensor<D> {
  return new Tensor(ops.gelu(x.value, approximate));
}

/** a where condition is true, else b. */
export function where<D extends DType>(condition: Tensor<"bool">, a: TensorLike<D>, b: TensorLike<D>): Tensor<D> {
  return new Tensor(ops.where(condition.value, unwrap(a), unwrap(b)));
}

/** Converts to another dtype; float to integer truncates toward zero. */
export function cast<E extends DType>(x: Tensor, to: E): Tensor<E> {
  return new Tensor(ops.cast(x.value, to));
}

/** Matrix product over the last two axes; leading axes broadcast. a: [..., M, K], b: [..., K, N] -> [..., M, N] */
export function matmul<D extends FloatDType>(a: Tensor<D>, b: Tensor<D>, options?: ops.MatmulOptions): Tensor<D> {
  return new Tensor(ops.matmul(a.value, b.value, options));
}

/** x W + b. x: [..., D], weight: [D, F] (or [F, D] with transposeB), bias: [F] -> [..., F] */
export function linear<D extends FloatDType>(x: Tensor<D>, weight: Tensor<D>, bias: Tensor<D>, options?: { transposeB?: boolean }): Tensor<D> {
  return new Tensor(ops.linear(x.value, weight.value, bias.value, options));
}

/** Sum over axes. @default all */
export function sum<D extends DType>(x: Tensor<D>, options?: ops.ReduceOptions): Tensor<D> {
  return new Tensor(ops.sum(x.value, options));
}

/** Mean over axes. @default all */
export function mean<D extends FloatDType>(x: Tensor<D>, options?: ops.ReduceOptions): Tensor<D> {
  return new Tensor(ops.mean(x.value, options));
}

/** Largest element over axes; equal largest share the gradient. @default all */
export function max<D extends DType>(x: Tensor<D>, options?: ops.ReduceOptions): Tensor<D> {
  return new Tensor(ops.max(x.value, options));
}

/** Index of the largest element along an axis, the first at ties. @default last axis */
export function argmax(x: Tensor, axis?: number): Tensor<"i64"> {
  return new Tensor(ops.argmax(x.value, { axis }));
}

/** exp(x) / sum(exp(x)) along an axis. @default last axis */
export function softmax<D extends FloatDType>(x: Tensor<D>, axis?: number): Tensor<D> {
  return new Tensor(ops.softmax(x.value, axis));
}

/** log(softmax(x)) along an axis. @default last axis */
export function logSoftmax<D extends FloatDType>(x: Tensor<D>, axis?: number): Tensor<D> {
  return new Tensor(ops.logSoftmax(x.value, axis));
}

/** Normalises the last axis, then scales and shifts. x: [..., D], weight and bias: [D]. arXiv:1607.06450 */
export function layerNorm<D extends FloatDType>(x: Tensor<D>, weight: Tensor<D>, bias: Tensor<D>, epsilon?: number): Tensor<D> {
  return new Tensor(ops.layerNorm(x.value, weight.value, bias.value, epsilon));
}

/** Mean negative log likelihood in nats. logits: [N, V], targets: [N] -> []; rows with target `ignoreIndex` do not count. */
export function crossEntropy<D extends FloatDType>(logits: Tensor<D>, targets: Tensor<"i32" | "i64">, options?: { ignoreIndex?: number }): Tensor<D> {
  return new Tensor(ops.crossEntropy(logits.value, targets.value, options));
}

/** Same elements in row-major order, other shape; one size may be -1. */
export function reshape<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  return new Tensor(ops.reshape(x.value, shape));
}

/** Axis i of the result is axis permutation[i] of x. @default reverses the axes */
export function transpose<D extends DType>(x: Tensor<D>, permutation?: readonly number[]): Tensor<D> {
  return new Tensor(ops.transpose(x.value, permutation));
}

/** Stretches sizes of 1 and adds leading axes to reach `shape`. */
export function broadcastTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  return new Tensor(ops.broadcastTo(x.value, shape));
}

/** Joins tensors along an existing axis. @default axis 0 */
export function concat<D extends DType>(xs: readonly Tensor<D>[], axis?: number): Tensor<D> {
  return new Tensor(
    ops.concat(
      xs.map((x) => x.value),
      axis,
    ),
  );
}

/** Equal parts along an axis. @default last axis */
export function split<D extends DType>(x: Tensor<D>, parts: number, axis?: number): Tensor<D>[] {
  return ops.split(x.value, parts, axis).map((part) => new Tensor<D>(part));
}

/** Indices start, start + step, ... of one axis. */
export function slice<D extends DType>(x: Tensor<D>, options: ops.SliceOptions): Tensor<D> {
  return new Tensor(ops.slice(x.value, options));
}

/** Slices at integer indices of any rank; embedding lookup along axis 0. @default axis 0 */
export function gather<D extends DType>(x: Tensor<D>, indices: Tensor<"i32" | "i64">, axis?: number): Tensor<D> {
  return new Tensor(ops.gather(x.value, indices.value, axis));
}

/** result[i][j] = x[i][indices[i][j]] for axis 1, and likewise for others. @default last axis */
export function takeAlong<D extends DType>(x: Tensor<D>, indices: Tensor<"i32" | "i64">, axis?: number): Tensor<D> {
  return new Tensor(ops.takeAlong(x.value, indices.value, axis));
}

/** bool [T, S], true where a query may see a key at or before its own position. */
export function causalMask(queries: number, keys: number): Tensor<"bool"> {
  return new Tensor(ops.causalMask(queries, keys));
}

/** The same numbers, without a gradient. */
export function stopGradient<D extends DType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.stopGradient(x.value));
}

export interface TensorAttentionOptions extends Omit<ops.AttentionOptions, "mask" | "onProbabilities"> {
  /** bool, broadcasts to [B, H, T, S]; false hides a key. */
  mask?: Tensor<"bool">;
  /** Applied to the attention probabilities, for dropout. */
  onProbabilities?: (probabilities: Tensor<FloatDType>) => Tensor<FloatDType>;
}

/** softmax(q k^T scale) v. q: [B, H, T, Dh], k and v: [B, H, S, Dh] -> [B, H, T, Dh]. arXiv:1706.03762 */
export function scaledDotProductAttention<D extends FloatDType>(q: Tensor<D>, k: Tensor<D>, v: Tensor<D>, options: TensorAttentionOptions = {}): Tensor<D> {
  const { mask, onProbabilities, ...rest } = options;
  return new Tensor(
    ops.scaledDotProductAttention(q.value, k.value, v.value, {
      ...rest,
      mask: mask?.value,
      onProbabilities: onProbabilities && ((p) => onProbabilities(new Tensor(p)).value),
    }),
  );
}

export interface AttentionCacheInputs<D extends FloatDType> {
  /** [B, H, S, Dh], room for S positions */
  k: Tensor<D>;
  v: Tensor<D>;
  /** Positions filled after this step, minus 1, for each row. i32 [B] */
  lengths: Tensor<"i32">;
  /** The largest number of positions filled after this step. i32 [1] */
  total: Tensor<"i32">;
}

/** Causal attention of new tokens over a cache; q, k, v: [B, T, H * Dh]. Gives the output and both updated caches. */
export function cachedAttention<D extends FloatDType>(
  q: Tensor<D>,
  k: Tensor<D>,
  v: Tensor<D>,
  cache: AttentionCacheInputs<D>,
  options: { numHeads: number; scale: number },
): { output: Tensor<D>; k: Tensor<D>; v: Tensor<D> } {
  const inputs = { q: q.value, k: k.value, v: v.value, pastK: cache.k.value, pastV: cache.v.value, lengths: cache.lengths.value, total: cache.total.value };
  const [output, nextK, nextV] = ops.cachedAttention(inputs, options);
  return { output: new Tensor(output), k: new Tensor(nextK), v: new Tensor(nextV) };
}
