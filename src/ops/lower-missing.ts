/**
 * Operators that ONNX Runtime's WebGPU provider lacks, made of those that it has: a node that is left to the CPU costs
 * a copy of its operands there, a wait for them, and a copy of the result back.
 */
import type { DType } from "../base/index.ts";
import { type Lowering, onnxTypeCode } from "./lowering.ts";

/** Whether one of two bools is true. */
export function lowerOr(graph: Lowering, a: string, b: string): string {
  if (!graph.isWebGpu) return graph.node("Or", [a, b]);
  const [notA, notB] = [a, b].map((name) => graph.node("Not", [name]));
  return graph.node("Not", [graph.node("And", [notA, notB])]);
}

/** Whether exactly one of two bools is true. */
export function lowerXor(graph: Lowering, a: string, b: string): string {
  if (!graph.isWebGpu) return graph.node("Xor", [a, b]);
  const [x, y] = [a, b].map((name) => graph.node("Cast", [name], { to: onnxTypeCode.i32 }));
  return graph.node("Not", [graph.node("Equal", [x, y])]);
}

/** Whether floats are NaN, which alone differs from itself. */
export function lowerIsNan(graph: Lowering, x: string): string {
  return graph.isWebGpu ? graph.node("Not", [graph.node("Equal", [x, x])]) : graph.node("IsNaN", [x]);
}

/** Whether floats are plus or minus Infinity. */
export function lowerIsInfinite(graph: Lowering, x: string, dtype: DType): string {
  if (!graph.isWebGpu) return graph.node("IsInf", [x]);
  return graph.node("Equal", [graph.node("Abs", [x]), graph.constant(dtype, [], [Number.POSITIVE_INFINITY])]);
}

/** 1 for numbers above 0, -1 for those below, 0 for all others. */
export function lowerSignOfComparisons(graph: Lowering, x: string, dtype: DType): string {
  const zero = graph.constant(dtype, [], [0]);
  const [above, below] = (["Greater", "Less"] as const).map((opType) =>
    graph.node("Cast", [graph.node(opType, [x, zero])], { to: onnxTypeCode[dtype] }),
  );
  return graph.node("Sub", [above, below]);
}

/**
 * a to the power b on WebGPU, whose Pow fails where it broadcasts along an axis whose size is a multiple of 4, gives 0
 * for a negative power of 0, and something else for each card where the result is NaN. It is used where `exponent`, the
 * number that b is in all places, is known. In f32, also for f16.
 */
export function lowerPower(graph: Lowering, operands: readonly string[], dtype: DType, exponent?: number): string {
  if (dtype === "f16") {
    const wide = operands.map((name) => graph.node("Cast", [name], { to: onnxTypeCode.f32 }));
    return graph.node("Cast", [lowerPower(graph, wide, "f32", exponent)], { to: onnxTypeCode.f16 });
  }
  const [a, b] = operands;
  const number = (value: number) => graph.constant("f32", [], [value]);
  const select = (condition: string, x: string, y: string) => graph.node("Where", [condition, x, y]);
  const isNegative = graph.node("Less", [a, number(0)]);
  if (exponent !== undefined && Number.isFinite(exponent)) {
    const power = graph.node("Pow", [a, number(Math.abs(exponent))]);
    const whole = Number.isInteger(exponent) ? power : select(isNegative, number(Number.NaN), power);
    return exponent < 0 ? graph.node("Reciprocal", [whole]) : whole;
  }
  const isWhole = (x: string) => graph.node("Equal", [graph.node("Floor", [x]), x]);
  const size = graph.node("Abs", [a]);
  // of 0 the logarithm is -Infinity, of which all cards know the exponential; of Infinity not all
  const logarithm = graph.node("Mul", [graph.node("Abs", [b]), graph.node("Log", [size])]);
  const up = graph.node("Exp", [logarithm]);
  const raised = select(graph.node("Less", [b, number(0)]), graph.node("Reciprocal", [up]), up);
  const isOne = lowerOr(graph, graph.node("Equal", [b, number(0)]), graph.node("Equal", [size, number(1)]));
  const power = select(isOne, number(1), raised);
  const odd = select(isWhole(b), graph.node("Neg", [power]), number(Number.NaN));
  const isEven = isWhole(graph.node("Mul", [b, number(0.5)]));
  return select(isNegative, select(isEven, power, odd), power);
}

/** The nearest whole number, of two that are as near the even one. */
export function lowerRound(graph: Lowering, x: string, dtype: DType): string {
  if (!graph.isWebGpu) return graph.node("Round", [x]);
  const half = graph.constant(dtype, [], [0.5]);
  const below = graph.node("Floor", [x]);
  const rest = graph.node("Sub", [x, below]);
  const quotient = graph.node("Mul", [below, half]);
  const isEven = graph.node("Equal", [graph.node("Floor", [quotient]), quotient]);
  const isPast = graph.node("Greater", [rest, half]);
  const isTieOfOdd = graph.node("And", [graph.node("Not", [isEven]), graph.node("Equal", [rest, half])]);
  const step = graph.node("Cast", [lowerOr(graph, isPast, isTieOfOdd)], { to: onnxTypeCode[dtype] });
  return graph.node("Add", [below, step]);
}

/** a - b floor(a / b) of i32 numbers, b neither 0 nor -1, with the sign of b. */
export function lowerIntegerRemainder(graph: Lowering, a: string, b: string): string {
  if (!graph.isWebGpu) return graph.node("Mod", [a, b]);
  const zero = graph.constant("i32", [], [0]);
  const rest = graph.node("Sub", [a, graph.node("Mul", [graph.node("Div", [a, b]), b])]);
  const differs = lowerXor(graph, graph.node("Less", [rest, zero]), graph.node("Less", [b, zero]));
  const isWrong = graph.node("And", [graph.node("Not", [graph.node("Equal", [rest, zero])]), differs]);
  return graph.node("Where", [isWrong, graph.node("Add", [rest, b]), rest]);
}
