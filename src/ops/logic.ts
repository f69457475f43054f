import type { DType } from "../ir/index.ts";
import { type Lowering, notDifferentiable, ONNX_UINT32, onnxTypeCode } from "./define.ts";
import { binary, unary } from "./elementwise.ts";

const comparesValues = notDifferentiable("compares values");
const comparison = (name: string, lower: string, reference: (a: number, b: number) => boolean) =>
  binary({ name, lower, result: "bool", gradient: comparesValues, reference: (a, b) => Number(reference(a, b)) });

/** a == b. NaN equals nothing. */
export const equal = comparison("equal", "Equal", (a, b) => a === b);
export const less = comparison("less", "Less", (a, b) => a < b);
export const lessEqual = comparison("lessEqual", "LessOrEqual", (a, b) => a <= b);
export const greater = comparison("greater", "Greater", (a, b) => a > b);
export const greaterEqual = comparison("greaterEqual", "GreaterOrEqual", (a, b) => a >= b);
/** a != b. NaN differs from everything. */
export const notEqual = binary({
  name: "notEqual",
  lower: (graph, a, b) => graph.node("Not", [graph.node("Equal", [a, b])]),
  result: "bool",
  gradient: comparesValues,
  reference: (a, b) => Number(a !== b),
});

const logical = (name: string, lower: string, reference: (a: boolean, b: boolean) => boolean) =>
  binary({ name, lower, accepts: "bool", gradient: comparesValues, reference: (a, b) => Number(reference(a !== 0, b !== 0)) });
export const logicalAnd = logical("logicalAnd", "And", (a, b) => a && b);
export const logicalOr = logical("logicalOr", "Or", (a, b) => a || b);
export const logicalXor = logical("logicalXor", "Xor", (a, b) => a !== b);
export const logicalNot = unary({ name: "logicalNot", accepts: "bool", lower: "Not", gradient: comparesValues, reference: (x) => Number(x === 0) });

export const isNan = unary({ name: "isNan", result: "bool", lower: "IsNaN", gradient: comparesValues, reference: (x) => Number(Number.isNaN(x)) });
export const isInfinite = unary({
  name: "isInfinite",
  result: "bool",
  lower: "IsInf",
  gradient: comparesValues,
  reference: (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
});

const changesBits = notDifferentiable("changes bits of integers");
const bitwise = (name: string, lower: string, reference: (a: bigint, b: bigint) => bigint) =>
  binary({ name, lower, accepts: "integer", gradient: changesBits, reference: (a, b) => Number(reference(BigInt(a), BigInt(b))) });
export const bitwiseAnd = bitwise("bitwiseAnd", "BitwiseAnd", (a, b) => a & b);
export const bitwiseOr = bitwise("bitwiseOr", "BitwiseOr", (a, b) => a | b);
export const bitwiseXor = bitwise("bitwiseXor", "BitwiseXor", (a, b) => a ^ b);
/** ~x = -x - 1, without u8, whose complement is 255 - x. */
export const bitwiseNot = unary({ name: "bitwiseNot", accepts: "integer", lower: "BitwiseNot", gradient: changesBits, reference: (x) => -x - 1 });

/** ONNX shifts only unsigned integers. i64 is not among the types that shifts take here. */
const shift = (graph: Lowering, bits: string, by: string, dtype: DType, direction: "LEFT" | "RIGHT") => {
  const code = dtype === "u8" ? onnxTypeCode.u8 : ONNX_UINT32;
  const [x, y] = [bits, by].map((name) => (dtype === "u8" ? name : graph.node("Cast", [name], { to: code })));
  const shifted = graph.node("BitShift", [x, y], { direction });
  return dtype === "u8" ? shifted : graph.node("Cast", [shifted], { to: onnxTypeCode[dtype] });
};
/** a times 2 to the power b, modulo 2^32. b from 0 to 31. */
export const shiftLeft = binary({
  name: "shiftLeft",
  accepts: "integer",
  lower: (graph, a, b, node) => shift(graph, a, b, node.inputs[0].dtype, "LEFT"),
  gradient: changesBits,
  reference: (a, b) => a << b,
});
/** a divided by 2 to the power b, rounded down: the sign bit is repeated. b from 0 to 31. */
export const shiftRight = binary({
  name: "shiftRight",
  accepts: "integer",
  lower: (graph, a, b, node) => {
    const { dtype } = node.inputs[0];
    if (dtype === "u8") return shift(graph, a, b, dtype, "RIGHT");
    // x >> b is ~(~x >> b) for negative x: flip the bits of negative numbers before and after
    const isNegative = graph.node("Less", [a, graph.constant(dtype, [], [0])]);
    const flip = graph.node("Neg", [graph.node("Cast", [isNegative], { to: onnxTypeCode[dtype] })]);
    return graph.node("BitwiseXor", [shift(graph, graph.node("BitwiseXor", [a, flip]), b, dtype, "RIGHT"), flip]);
  },
  gradient: changesBits,
  reference: (a, b) => a >> b,
});
