/** Elementwise functions of tensors. Numbers may stand for scalars; shapes broadcast. */
import { type DType, type FloatDType, type IntDType, known, requireDType } from "../../base/index.ts";
import type { Value } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor, type TensorLike, unwrap } from "../tensor.ts";

/** A function of two operands of one dtype; one of them may be a number. */
interface Binary<T extends DType, R extends DType = T> {
  <D extends T>(a: Tensor<D>, b: TensorLike<NoInfer<D>>): Tensor<[R] extends ["bool"] ? R : D>;
  <D extends T>(a: number, b: Tensor<D>): Tensor<[R] extends ["bool"] ? R : D>;
}
type FloatUnary = <D extends FloatDType>(x: Tensor<D>) => Tensor<D>;
type Arithmetic = Binary<DType>;
type Comparison = Binary<DType, "bool">;

const unary =
  (op: (x: Value) => Value): FloatUnary =>
  (x) =>
    new Tensor(op(x.ir));
const binary =
  (op: (a: ops.Operand, b: ops.Operand) => Value): Arithmetic =>
  (a: TensorLike, b: TensorLike) =>
    new Tensor(op(unwrap(a), unwrap(b)));
const comparison = (op: ops.BinaryOp) => binary(op) as Comparison;

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

/** The rest of a / b rounded down; it has the sign of b, as in Python. */
export const remainder = binary(ops.remainder);
/** a / b rounded down. The gradient is 0. */
export const floorDivide = binary(ops.floorDivide);
/** Angle of the point (b, a) in radians, from -pi to pi. */
export const atan2 = binary(ops.atan2);
/** log(exp(a) + exp(b)) without overflow. */
export const logAddExp = binary(ops.logAddExp);
/** x cut at min and max; the gradient passes inside, and is 0 at both ends. */
export function clip<D extends DType>(x: Tensor<D>, bounds: { min?: number; max?: number }): Tensor<D> {
  return new Tensor(ops.clip(x.ir, known("clip", bounds, { min: true, max: true })));
}

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

/** a != b, elementwise. */
export const notEqual = comparison(ops.notEqual);

type Logical = (a: Tensor<"bool">, b: Tensor<"bool">) => Tensor<"bool">;
const logical =
  (op: ops.BinaryOp): Logical =>
  (a, b) =>
    new Tensor(op(a.ir, b.ir));
/** Both are true. */
export const logicalAnd = logical(ops.logicalAnd);
/** At least one is true. */
export const logicalOr = logical(ops.logicalOr);
/** Exactly one is true. */
export const logicalXor = logical(ops.logicalXor);
/** It is false. */
export const logicalNot = (x: Tensor<"bool">): Tensor<"bool"> => new Tensor(ops.logicalNot(x.ir));
/** Whether elements are not a number. */
export const isNan = (x: Tensor<FloatDType>): Tensor<"bool"> => new Tensor(ops.isNan(x.ir));
/** Whether elements are plus or minus Infinity. */
export const isInfinite = (x: Tensor<FloatDType>): Tensor<"bool"> => new Tensor(ops.isInfinite(x.ir));

const integers = (op: ops.BinaryOp) => binary(op) as Binary<IntDType>;
/** Bits set in both. */
export const bitwiseAnd = integers(ops.bitwiseAnd);
/** Bits set in one or both. */
export const bitwiseOr = integers(ops.bitwiseOr);
/** Bits set in exactly one. */
export const bitwiseXor = integers(ops.bitwiseXor);
/** All bits turned. */
export const bitwiseNot = <D extends IntDType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.bitwiseNot(x.ir));
/** a times 2 to the power b; 0 where b is negative or as large as the number of bits. */
export const shiftLeft = integers(ops.shiftLeft);
/** a divided by 2 to the power b, rounded down; only sign bits are left where b is negative or large. */
export const shiftRight = integers(ops.shiftRight);

/** -x */
export const neg = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.neg(x.ir));
/** |x|; the gradient at 0 is 0. */
export const abs = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.abs(x.ir));
/** -1, 0 or 1 */
export const sign = <D extends DType>(x: Tensor<D>): Tensor<D> => new Tensor(ops.sign(x.ir));
/** e to the power x */
export const exp = unary(ops.exp);
/** Natural logarithm. */
export const log = unary(ops.log);
/** log(1 + x), accurate for small x. */
export const log1p = unary(ops.log1p);
/** exp(x) - 1, accurate for small x. */
export const expm1 = unary(ops.expm1);
/** Logarithm to base 2. */
export const log2 = unary(ops.log2);
/** 2 to the power x. */
export const exp2 = unary(ops.exp2);
/** Largest integer not above x; the gradient is 0. */
export const floor = unary(ops.floor);
/** Smallest integer not below x; the gradient is 0. */
export const ceil = unary(ops.ceil);
/** Nearest integer, halves to even; the gradient is 0. */
export const round = unary(ops.round);
/** x without its fraction; the gradient is 0. */
export const trunc = unary(ops.trunc);
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
/** Tangent of radians. */
export const tan = unary(ops.tan);
/** Angle whose sine is x, from -pi/2 to pi/2. */
export const asin = unary(ops.asin);
/** Angle whose cosine is x, from 0 to pi. */
export const acos = unary(ops.acos);
/** Angle whose tangent is x, from -pi/2 to pi/2. */
export const atan = unary(ops.atan);
/** Hyperbolic sine. */
export const sinh = unary(ops.sinh);
/** Hyperbolic cosine. */
export const cosh = unary(ops.cosh);
/** Inverse of sinh. */
export const asinh = unary(ops.asinh);
/** Inverse of cosh, for x of at least 1. */
export const acosh = unary(ops.acosh);
/** Inverse of tanh, for x in (-1, 1). */
export const atanh = unary(ops.atanh);
/** Error function. */
export const erf = unary(ops.erf);
/** a where condition is true, else b. */
export function where<D extends DType>(condition: Tensor<"bool">, a: Tensor<D>, b: TensorLike<NoInfer<D>>): Tensor<D>;
export function where<D extends DType>(condition: Tensor<"bool">, a: number, b: Tensor<D>): Tensor<D>;
export function where(condition: Tensor<"bool">, a: number, b: number): Tensor<"f32">;
export function where(condition: Tensor<"bool">, a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.where(condition.ir, unwrap(a), unwrap(b)));
}

/** Converts to another dtype; float to integer truncates toward zero. */
export function cast<E extends DType>(x: Tensor, to: E): Tensor<E> {
  return new Tensor(ops.cast(x.ir, requireDType("cast", to)));
}
