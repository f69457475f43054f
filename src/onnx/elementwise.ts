import { isFloat } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import type { Converter, Converters } from "./context.ts";
import { dtypeOf } from "./tensors.ts";

const unary =
  (op: (x: Value) => Value): Converter =>
  (node) =>
    op(node.input(0));
const binary =
  (op: (a: Value, b: Value) => Value): Converter =>
  (node) =>
    op(node.input(0), node.input(1));
/** Any number of operands. */
const variadic =
  (op: (a: Value, b: Value) => Value): Converter =>
  (node) =>
    [node.input(0), ...node.presentInputs.slice(1)].reduce(op);

/** Integers: C's division truncates, ours too; its remainder has the sign of the dividend when fmod is set. */
const remainder: Converter = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  if (!node.flag("fmod")) return ops.remainder(a, b);
  if (isFloat(a.dtype)) return ops.sub(a, ops.mul(ops.trunc(ops.div(a, b)), b));
  const rest = ops.remainder(a, b); // has the sign of b
  const isOther = ops.logicalAnd(ops.notEqual(rest, 0), ops.logicalXor(ops.less(a, 0), ops.less(b, 0)));
  return ops.where(isOther, ops.sub(rest, b), rest);
};

/** Operands of different dtypes, as ONNX's Pow allows. */
const pow: Converter = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  if (isFloat(a.dtype)) return ops.pow(a, ops.cast(b, a.dtype));
  return ops.cast(ops.pow(ops.cast(a, "f32"), ops.cast(b, "f32")), a.dtype);
};

const clip: Converter = (node) => {
  const x = node.input(0);
  const bound = (index: number, name: string) =>
    node.opset < 11 ? node.float(name, undefined) : node.inputs[index] && node.constant(index)?.[0];
  const [min, max] = [bound(1, "min"), bound(2, "max")];
  if (min !== undefined && max !== undefined && min > max) return ops.broadcastTo(ops.scalar(max, x.dtype), x.shape);
  return ops.clip(x, { min, max });
};

const isInfinite: Converter = (node) => {
  const x = node.input(0);
  const sides = [
    ...(node.flag("detect_positive", 1) ? [ops.equal(x, Number.POSITIVE_INFINITY)] : []),
    ...(node.flag("detect_negative", 1) ? [ops.equal(x, Number.NEGATIVE_INFINITY)] : []),
  ];
  return sides.length > 0 ? sides.reduce((a, b) => ops.logicalOr(a, b)) : ops.notEqual(x, x);
};

const hardSigmoid: Converter = (node) => {
  const x = node.input(0);
  return ops.clip(ops.add(ops.mul(x, node.float("alpha", 0.2)), node.float("beta", 0.5)), { min: 0, max: 1 });
};

const shrink: Converter = (node) => {
  const [x, lambda, bias] = [node.input(0), node.float("lambd", 0.5), node.float("bias", 0)];
  return ops.where(ops.less(x, -lambda), ops.add(x, bias), ops.where(ops.greater(x, lambda), ops.sub(x, bias), 0));
};

const cast: Converter = (node) => convert(node.input(0), dtypeOf(node.int("to", 0), node.name));
/** To bool is "not 0", also for what a truncation would make 0. */
function convert(x: Value, to: Value["dtype"]): Value {
  return to === "bool" && x.dtype !== "bool" ? ops.notEqual(x, 0) : ops.cast(x, to);
}

const selu: Converter = (node) => {
  const [x, alpha, gamma] = [node.input(0), node.float("alpha", 1.6732632), node.float("gamma", 1.050701)];
  return ops.mul(ops.elu(x, alpha), gamma);
};

const where: Converter = (node) => ops.where(node.input(0), node.input(1), node.input(2));
const mean: Converter = (node) =>
  ops.div(
    node.presentInputs.reduce((a, b) => ops.add(a, b)),
    node.presentInputs.length,
  );

export const elementwise: Converters = {
  Abs: unary(ops.abs),
  Acos: unary(ops.acos),
  Acosh: unary(ops.acosh),
  Asin: unary(ops.asin),
  Asinh: unary(ops.asinh),
  Atan: unary(ops.atan),
  Atanh: unary(ops.atanh),
  Ceil: unary(ops.ceil),
  Cos: unary(ops.cos),
  Cosh: unary(ops.cosh),
  Erf: unary(ops.erf),
  Exp: unary(ops.exp),
  Floor: unary(ops.floor),
  Log: unary(ops.log),
  Neg: unary(ops.neg),
  Reciprocal: unary(ops.reciprocal),
  Round: unary(ops.round),
  Sigmoid: unary(ops.sigmoid),
  Sign: unary(ops.sign),
  Sin: unary(ops.sin),
  Sinh: unary(ops.sinh),
  Sqrt: unary(ops.sqrt),
  Tan: unary(ops.tan),
  Tanh: unary(ops.tanh),
  Relu: unary((x) => (isFloat(x.dtype) ? ops.relu(x) : ops.maximum(x, 0))),
  Softplus: unary((x) => ops.softplus(x)),
  Softsign: unary(ops.softsign),
  Not: unary(ops.logicalNot),
  IsNaN: unary(ops.isNan),
  BitwiseNot: unary(ops.bitwiseNot),
  HardSwish: unary(ops.hardswish),
  Mish: unary(ops.mish),
  Identity: unary((x) => x),
  IsInf: isInfinite,
  Add: binary(ops.add),
  Sub: binary(ops.sub),
  Mul: binary(ops.mul),
  Div: binary(ops.div),
  Mod: remainder,
  Pow: pow,
  And: binary(ops.logicalAnd),
  Or: binary(ops.logicalOr),
  Xor: binary(ops.logicalXor),
  Equal: binary(ops.equal),
  Less: binary(ops.less),
  LessOrEqual: binary(ops.lessEqual),
  Greater: binary(ops.greater),
  GreaterOrEqual: binary(ops.greaterEqual),
  BitwiseAnd: binary(ops.bitwiseAnd),
  BitwiseOr: binary(ops.bitwiseOr),
  BitwiseXor: binary(ops.bitwiseXor),
  BitShift: (node) =>
    (node.text("direction", "") === "LEFT" ? ops.shiftLeft : ops.shiftRight)(node.input(0), node.input(1)),
  Max: variadic(ops.maximum),
  Min: variadic(ops.minimum),
  Sum: variadic(ops.add),
  Mean: mean,
  Where: where,
  LeakyRelu: (node) => ops.leakyRelu(node.input(0), node.float("alpha", 0.01)),
  Elu: (node) => ops.elu(node.input(0), node.float("alpha", 1)),
  Celu: (node) => ops.celu(node.input(0), node.float("alpha", 1)),
  Selu: selu,
  HardSigmoid: hardSigmoid,
  Shrink: shrink,
  Clip: clip,
  ThresholdedRelu: (node) => ops.where(ops.greater(node.input(0), node.float("alpha", 1)), node.input(0), 0),
  PRelu: (node) => ops.where(ops.greater(node.input(0), 0), node.input(0), ops.mul(node.input(0), node.input(1))),
  Gelu: (node) => ops.gelu(node.input(0), node.text("approximate", "none") === "tanh" ? "tanh" : "none"),
  FastGelu: (node) => ops.gelu(node.inputs[1] ? ops.add(node.input(0), node.inputs[1]) : node.input(0), "tanh"),
  Cast: cast,
  CastLike: (node) => convert(node.input(0), node.input(1).dtype),
};
