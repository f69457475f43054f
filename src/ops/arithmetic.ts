import { type DType, isFloat, roundHalfToEven, type Value } from "../ir/index.ts";
import { elementwise } from "./batch.ts";
import { apply, constantScalar, defineOp, hostTensor, type Lowering, type Operand } from "./define.ts";
import { binary, cast, type UnaryDefinition, unary, where } from "./elementwise.ts";
import { equal, greater, greaterEqual, less, lessEqual, logicalAnd } from "./logic.ts";

export const add = binary({
  name: "add",
  precision: "any",
  lower: "Add",
  gradient: ({ dy }) => ({ a: dy, b: dy }),
  simplify: ({ a, b }) => (constantScalar(b) === 0 ? a : constantScalar(a) === 0 ? b : undefined),
  reference: (a, b) => a + b,
});
export const sub = binary({
  name: "sub",
  precision: "any",
  lower: "Sub",
  gradient: ({ dy }) => ({ a: dy, b: neg(dy) }),
  simplify: ({ a, b }) => (constantScalar(b) === 0 ? a : undefined),
  reference: (a, b) => a - b,
});
export const mul = binary({
  name: "mul",
  precision: "any",
  lower: "Mul",
  simplify: ({ a, b }) => (constantScalar(b) === 1 ? a : constantScalar(a) === 1 ? b : undefined),
  gradient: ({ a, b, dy }) => ({ a: mul(dy, b), b: mul(dy, a) }),
  reference: (a, b) => a * b,
});
/** Float division; for integers it truncates toward zero. */
export const div = binary({
  name: "div",
  lower: "Div",
  simplify: ({ a, b }) => (constantScalar(b) === 1 ? a : undefined),
  gradient: ({ b, y, dy }) => ({ a: div(dy, b), b: neg(div(mul(dy, y), b)) }), // d(a/b)/db = -a/b^2 = -y/b
  reference: (a, b) => a / b,
});
/** a to the power b. The gradient of the exponent is y log a, taken as 0 where a <= 0, as PyTorch does for a = 0. */
export const pow = binary({
  name: "pow",
  lower: (graph, a, b, { outputs: [{ shape }] }) => {
    const y = graph.node("Pow", [a, b]);
    if (shape.length > 0) graph.keepOnCpu(); // WebGPU's kernel fails on sizes that are multiples of 4
    return y;
  },
  accepts: "float",
  gradient: ({ a, b, y, dy }) => {
    const positive = greater(a, 0);
    const safe = where(positive, a, 1);
    return { a: mul(dy, mul(b, pow(a, sub(b, 1)))), b: where(positive, mul(dy, mul(y, log(safe))), 0) };
  },
  reference: (a, b) => a ** b,
});
/** Larger of the two; at a tie each operand gets half the gradient, as in PyTorch. */
export const maximum = binary({
  name: "maximum",
  precision: "any",
  lower: "Max",
  gradient: ({ a, b, dy }) => splitAtTies(dy, greater(a, b), equal(a, b)),
  reference: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)),
});
/** Smaller of the two; at a tie each operand gets half the gradient, as in PyTorch. */
export const minimum = binary({
  name: "minimum",
  precision: "any",
  lower: "Min",
  gradient: ({ a, b, dy }) => splitAtTies(dy, less(a, b), equal(a, b)),
  reference: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.min(a, b)),
});

function splitAtTies(dy: Value, aWins: Value, tie: Value): { a: Value; b: Value } {
  const half = mul(dy, 0.5);
  return { a: where(tie, half, where(aWins, dy, 0)), b: where(tie, half, where(aWins, 0, dy)) };
}

export const neg = unary({ name: "neg", precision: "any", accepts: "number", lower: "Neg", gradient: ({ dy }) => neg(dy), reference: (x) => -x });
/** Absolute value; its gradient at 0 is 0. */
export const abs = unary({ name: "abs", precision: "any", accepts: "number", lower: "Abs", gradient: ({ x, dy }) => mul(dy, sign(x)), reference: Math.abs });
export const sign = unary({ name: "sign", accepts: "number", lower: "Sign", gradient: ({ dy }) => mul(dy, 0), reference: Math.sign });
export const exp = unary({ name: "exp", lower: "Exp", gradient: ({ y, dy }) => mul(dy, y), reference: Math.exp });
export const log = unary({ name: "log", lower: "Log", gradient: ({ x, dy }) => div(dy, x), reference: Math.log });
export const sqrt = unary({ name: "sqrt", lower: "Sqrt", gradient: ({ y, dy }) => div(mul(dy, 0.5), y), reference: Math.sqrt }); // 1 / (2 sqrt x)
export const reciprocal = unary({
  name: "reciprocal",
  lower: "Reciprocal",
  gradient: ({ y, dy }) => neg(mul(dy, mul(y, y))),
  reference: (x) => 1 / x,
});
export const rsqrt = (x: Value): Value => reciprocal(sqrt(x));
export const square = (x: Value): Value => mul(x, x);

/** log(1 + x), accurate for small x. Goldberg 1991, "What every computer scientist should know about floating-point arithmetic", theorem 4. */
export const log1p = unary({
  name: "log1p",
  gradient: ({ x, dy }) => div(dy, add(x, 1)),
  lower: (graph, x, type) => lowerLog1p(graph, x, type.dtype),
  reference: Math.log1p,
});

/** With u the rounded 1 + x, log(u) x / (u - 1) undoes the rounding of u; x above 1 needs no such care. */
export function lowerLog1p(graph: Lowering, x: string, dtype: DType): string {
  const one = graph.constant(dtype, [], [1]);
  const u = graph.node("Add", [x, one]);
  const step = graph.node("Sub", [u, one]);
  const logarithm = graph.node("Log", [u]);
  const corrected = graph.node("Mul", [logarithm, graph.node("Div", [x, step])]);
  const small = graph.node("Where", [graph.node("Equal", [u, one]), x, corrected]);
  return graph.node("Where", [graph.node("Greater", [x, one]), logarithm, small]);
}

/** exp(x) - 1, accurate for small x: tanh(x / 2) (exp(x) + 1) is the same without the cancellation. */
export const expm1 = unary({
  name: "expm1",
  gradient: ({ y, dy }) => mul(dy, add(y, 1)),
  lower: (graph, x, { dtype }) => {
    const half = graph.node("Tanh", [graph.node("Mul", [x, graph.constant(dtype, [], [0.5])])]);
    return graph.node("Mul", [half, graph.node("Add", [graph.node("Exp", [x]), graph.constant(dtype, [], [1])])]);
  },
  reference: Math.expm1,
});
/** Logarithm to base 2. */
export const log2 = (x: Value): Value => mul(log(x), Math.LOG2E);
/** 2 to the power x. */
export const exp2 = (x: Value): Value => exp(mul(x, Math.LN2));
/** log(exp(a) + exp(b)) without overflow. */
export const logAddExp = (a: Operand, b: Operand): Value => {
  const larger = maximum(a, b);
  return add(larger, log1p(exp(neg(abs(sub(a, b))))));
};

const stepwise = (name: string, lower: UnaryDefinition["lower"], reference: (x: number) => number) =>
  unary({ name, lower, gradient: ({ dy }) => mul(dy, 0), reference });
/** Largest integer not above x; gradient 0. */
export const floor = stepwise("floor", "Floor", Math.floor);
/** Smallest integer not below x; gradient 0. */
export const ceil = stepwise("ceil", "Ceil", Math.ceil);
/** Nearest integer, halves to even; gradient 0. */
export const round = stepwise("round", "Round", roundHalfToEven);
/** x without its fraction; gradient 0. */
export const trunc = stepwise("trunc", (graph, x) => graph.node("Mul", [graph.node("Sign", [x]), graph.node("Floor", [graph.node("Abs", [x])])]), Math.trunc);

/** The rest of a / b rounded down; it has the sign of b, as in Python and PyTorch. */
export const remainder = binary({
  name: "remainder",
  gradient: ({ a, b, dy }) => ({ a: dy, b: neg(mul(dy, floor(div(a, b)))) }), // a - b floor(a / b)
  lower: (graph, a, b, node) =>
    isFloat(node.inputs[0].dtype)
      ? graph.node("Sub", [a, graph.node("Mul", [b, graph.node("Floor", [graph.node("Div", [a, b])])])])
      : graph.node("Mod", [a, b]),
  reference: (a, b) => a - b * Math.floor(a / b),
});
/** a / b rounded down; gradient 0. For integers too, where div truncates toward zero. */
export function floorDivide(a: Operand, b: Operand): Value {
  const quotient = div(a, b);
  if (isFloat(quotient.dtype)) return floor(quotient);
  return div(sub(a, remainder(a, b)), b);
}

/** x where the condition holds, otherwise 0 (NaN for an infinite x): in a tenth of the time of `where` on the CPU. */
export const onlyWhere = (condition: Value, x: Value): Value => mul(x, cast(condition, x.dtype));

/** x where it lies between min and max, otherwise the nearer of the two. The gradient passes inside and at both ends. */
export function clip(x: Value, { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: { min?: number; max?: number }): Value {
  return apply(clipEntry, [x], { min, max });
}
const clipEntry = defineOp<"x", { min: number; max: number }>({
  name: "clip",
  precision: "any",
  batch: elementwise,
  inputs: ["x"],
  infer: ({ x }) => x,
  gradient: ({ x, dy }, { min, max }) => {
    const above = min > Number.NEGATIVE_INFINITY ? greaterEqual(x, min) : undefined;
    const below = max < Number.POSITIVE_INFINITY ? lessEqual(x, max) : undefined;
    const inside = above && below ? logicalAnd(above, below) : (above ?? below);
    return { x: inside ? onlyWhere(inside, dy) : dy };
  },
  lower: (graph, { x }, { min, max }, node) => {
    const { dtype } = node.inputs[0];
    const bound = (value: number) => (Number.isFinite(value) ? graph.constant(dtype, [], [value]) : "");
    return graph.node("Clip", [x, bound(min), bound(max)]);
  },
  reference: ({ x }, { min, max }) =>
    hostTensor(
      x.shape,
      x.data.map((v) => Math.min(max, Math.max(min, v))),
    ),
});
