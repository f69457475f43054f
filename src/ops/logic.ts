import type { Node } from "../ir/index.ts";
import { notDifferentiable } from "./define.ts";
import { binary, unary } from "./elementwise.ts";
import { lowerIsInfinite, lowerIsNan, lowerOr, lowerXor } from "./lower-missing.ts";
import { type Lowering, ONNX_UINT32, ONNX_UINT64, onnxTypeCode } from "./lowering.ts";

const comparesValues = notDifferentiable("compares values");
const comparison = (name: string, lower: string, compare: (a: number | bigint, b: number | bigint) => boolean) =>
  binary({
    name,
    lower: (graph, ...operands) => graph.node(lower, comparable(graph, ...operands)),
    result: "bool",
    gradient: comparesValues,
    reference: (a, b) => Number(compare(a, b)),
    exact: (a, b) => BigInt(compare(a, b)),
  });
/** ONNX has no order of bools. */
const comparable = (graph: Lowering, a: string, b: string, { inputs: [{ dtype }] }: Node) =>
  dtype === "bool" ? [a, b].map((name) => graph.node("Cast", [name], { to: onnxTypeCode.i32 })) : [a, b];

/** a == b. NaN equals nothing. */
export const equal = comparison("equal", "Equal", (a, b) => a === b);
/** a < b elementwise, with broadcasting -> bool. False where one is NaN; of bools false is less than true. */
export const less = comparison("less", "Less", (a, b) => a < b);
/** a <= b elementwise, with broadcasting -> bool. False where one is NaN. */
export const lessEqual = comparison("lessEqual", "LessOrEqual", (a, b) => a <= b);
/** a > b elementwise, with broadcasting -> bool. False where one is NaN. */
export const greater = comparison("greater", "Greater", (a, b) => a > b);
/** a >= b elementwise, with broadcasting -> bool. False where one is NaN. */
export const greaterEqual = comparison("greaterEqual", "GreaterOrEqual", (a, b) => a >= b);
/** a != b. NaN differs from everything. */
export const notEqual = binary({
  name: "notEqual",
  lower: (graph, a, b) => graph.node("Not", [graph.node("Equal", [a, b])]),
  result: "bool",
  gradient: comparesValues,
  reference: (a, b) => Number(a !== b),
  exact: (a, b) => BigInt(a !== b),
});

type LowerLogical = (graph: Lowering, a: string, b: string) => string;
const logical = (name: string, lower: string | LowerLogical, reference: (a: boolean, b: boolean) => boolean) =>
  binary({
    name,
    lower,
    accepts: "bool",
    gradient: comparesValues,
    reference: (a, b) => Number(reference(a !== 0, b !== 0)),
  });
/** Whether both bools are true, with broadcasting. */
export const logicalAnd = logical("logicalAnd", "And", (a, b) => a && b);
/** Whether at least one of two bools is true, with broadcasting. */
export const logicalOr = logical("logicalOr", lowerOr, (a, b) => a || b);
/** Whether exactly one of two bools is true, with broadcasting. */
export const logicalXor = logical("logicalXor", lowerXor, (a, b) => a !== b);
/** Whether a bool is false. */
export const logicalNot = unary({
  name: "logicalNot",
  accepts: "bool",
  lower: "Not",
  gradient: comparesValues,
  reference: (x) => Number(x === 0),
});

/** Whether elements are NaN: floats -> bool. */
export const isNan = unary({
  name: "isNan",
  result: "bool",
  lower: lowerIsNan,
  gradient: comparesValues,
  reference: (x) => Number(Number.isNaN(x)),
});
/** Whether elements are plus or minus Infinity: floats -> bool. */
export const isInfinite = unary({
  name: "isInfinite",
  result: "bool",
  lower: (graph, x, { dtype }) => lowerIsInfinite(graph, x, dtype),
  gradient: comparesValues,
  reference: (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
});

const changesBits = notDifferentiable("changes bits of integers");
const bitwise = (name: string, lower: string, reference: (a: bigint, b: bigint) => bigint) =>
  binary({
    name,
    lower,
    accepts: "integer",
    gradient: changesBits,
    reference: (a, b) => Number(reference(BigInt(a), BigInt(b))),
    exact: reference,
  });
/** Bits set in both of two integers, with broadcasting. */
export const bitwiseAnd = bitwise("bitwiseAnd", "BitwiseAnd", (a, b) => a & b);
/** Bits set in at least one of two integers, with broadcasting. */
export const bitwiseOr = bitwise("bitwiseOr", "BitwiseOr", (a, b) => a | b);
/** Bits set in exactly one of two integers, with broadcasting. */
export const bitwiseXor = bitwise("bitwiseXor", "BitwiseXor", (a, b) => a ^ b);
/** ~x = -x - 1, without u8, whose complement is 255 - x. */
export const bitwiseNot = unary({
  name: "bitwiseNot",
  accepts: "integer",
  lower: "BitwiseNot",
  gradient: changesBits,
  reference: (x) => -x - 1,
  exact: (x) => ~x,
});

/**
 * Shifts are computed in 32 or 64 bits. ONNX shifts only unsigned integers, and leaves open what as many places as
 * there are bits do.
 */
function lowerShift(graph: Lowering, a: string, b: string, node: Node, direction: "LEFT" | "RIGHT"): string {
  const { dtype } = node.inputs[0];
  const wide = dtype === "i64" ? "i64" : "i32";
  const bits = wide === "i64" ? 64 : 32;
  const cast = (name: string, to: number) => graph.node("Cast", [name], { to });
  const [x, by] = [a, b].map((name) => (dtype === wide ? name : cast(name, onnxTypeCode[wide])));
  const number = (value: number) => graph.constant(wide, [], [value]);
  const shift = (what: string, places: string) => {
    const [left, right] = [what, places].map((name) => cast(name, wide === "i64" ? ONNX_UINT64 : ONNX_UINT32));
    return cast(graph.node("BitShift", [left, right], { direction }), onnxTypeCode[wide]);
  };
  const isInside = graph.node("And", [
    graph.node("GreaterOrEqual", [by, number(0)]),
    graph.node("Less", [by, number(bits)]),
  ]);
  const places = graph.node("Where", [isInside, by, number(bits - 1)]);
  let shifted: string;
  if (direction === "LEFT") shifted = graph.node("Where", [isInside, shift(x, places), number(0)]);
  else {
    // x >> b is ~(~x >> b) for negative x: flip the bits of negative numbers before and after
    const flip = graph.node("Neg", [cast(graph.node("Less", [x, number(0)]), onnxTypeCode[wide])]);
    shifted = graph.node("BitwiseXor", [shift(graph.node("BitwiseXor", [x, flip]), places), flip]);
  }
  return dtype === wide ? shifted : cast(shifted, onnxTypeCode[dtype]);
}
/** More places than any integer here has bits. */
const BITS = 64n;

/**
 * a times 2 to the power b, modulo the range of the dtype; 0 for a b that is negative or as large as the number of
 * bits.
 */
export const shiftLeft = binary({
  name: "shiftLeft",
  accepts: "integer",
  lower: (graph, a, b, node) => lowerShift(graph, a, b, node, "LEFT"),
  gradient: changesBits,
  reference: (a, b) => a * 2 ** b,
  exact: (a, b) => (b < 0n || b >= BITS ? 0n : a << b),
});
/**
 * a divided by 2 to the power b, rounded down: the sign bit is repeated. A b that is negative or large leaves only sign
 * bits: 0 or -1.
 */
export const shiftRight = binary({
  name: "shiftRight",
  accepts: "integer",
  lower: (graph, a, b, node) => lowerShift(graph, a, b, node, "RIGHT"),
  gradient: changesBits,
  reference: (a, b) => Math.floor(a / 2 ** b),
  exact: (a, b) => a >> (b < 0n || b >= BITS ? BITS : b),
});
