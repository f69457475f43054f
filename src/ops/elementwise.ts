import { broadcastShapes, type DType, DTypeError, describe, isFloat, requireFloatDType, ShapeError, type TensorType, type Value } from "../ir/index.ts";
import {
  apply,
  broadcastPosition,
  constantScalar,
  defineOp,
  forEachIndex,
  type HostTensor,
  hostTensor,
  type Lowering,
  notDifferentiable,
  type OpEntry,
  type Operand,
  stridesOf,
  toValue,
} from "./define.ts";
import { sumTo } from "./reduce.ts";

/** An op as users of the graph call it, with its entry at hand for tests. */
export type UnaryOp = ((x: Value) => Value) & { entry: OpEntry };
export type BinaryOp = ((a: Operand, b: Operand) => Value) & { entry: OpEntry };

interface UnaryDefinition {
  name: string;
  /** Accepts integers too; float dtypes only by default. */
  allowInteger?: boolean;
  gradient: ((values: { x: Value; y: Value; dy: Value }) => Value) | ReturnType<typeof notDifferentiable>;
  /** ONNX operator with the same meaning, or a function that emits several. */
  lower: string | ((graph: Lowering, x: string, type: TensorType) => string);
  reference: (x: number) => number;
}

/** Elementwise op of one input: same shape and dtype out. */
export function unary({ name, allowInteger = false, gradient, lower, reference }: UnaryDefinition): UnaryOp {
  const entry = defineOp({
    name,
    inputs: ["x"],
    infer: ({ x }) => {
      if (!allowInteger) requireFloatDType(name, x.dtype);
      return x;
    },
    gradient: typeof gradient === "function" ? (values) => ({ x: gradient(values) }) : gradient,
    lower: (graph, { x }, _, node) => (typeof lower === "string" ? graph.node(lower, [x]) : lower(graph, x, node.inputs[0])),
    reference: ({ x }) => hostTensor(x.shape, x.data.map(reference)),
  });
  return Object.assign((x: Value) => apply(entry, [x]), { entry });
}

/** @throws ShapeError or DTypeError when the two cannot be combined elementwise. */
function inferBroadcast(name: string, a: TensorType, b: TensorType): TensorType {
  if (a.dtype !== b.dtype) {
    throw new DTypeError({
      where: name,
      expected: "both operands to have the same dtype",
      received: `a ${describe(a)}, b ${describe(b)}`,
      fix: `cast one of them, for example cast(b, "${a.dtype}")`,
    });
  }
  const shape = broadcastShapes(a.shape, b.shape);
  if (shape) return { dtype: a.dtype, shape };
  throw new ShapeError({
    where: name,
    expected: "shapes that broadcast: aligned at the right, sizes equal or 1",
    received: `a ${describe(a)}, b ${describe(b)}`,
    fix: "reshape or transpose one operand so that its sizes line up",
  });
}

/** Applies `f` to pairs of elements with broadcasting. */
function referenceBroadcast(a: HostTensor, b: HostTensor, type: TensorType, f: (a: number, b: number) => number): HostTensor {
  const out = hostTensor(type.shape);
  const stridesA = stridesOf(a.shape);
  const stridesB = stridesOf(b.shape);
  forEachIndex(out.shape, (index, flat) => {
    out.data[flat] = f(a.data[broadcastPosition(a.shape, stridesA, index)], b.data[broadcastPosition(b.shape, stridesB, index)]);
  });
  return out;
}

interface BinaryDefinition {
  name: string;
  lower: string;
  gradient: ((values: { a: Value; b: Value; y: Value; dy: Value }) => { a: Value; b: Value }) | ReturnType<typeof notDifferentiable>;
  reference: (a: number, b: number) => number;
  /** Result dtype when not that of the operands. */
  result?: DType;
  /** A value equal to y, or undefined; `a` or `b` may be constants. */
  simplify?: (values: { a: Value; b: Value }) => Value | undefined;
  accepts?: "float" | "bool";
}

/** Elementwise op of two inputs with broadcasting; gradients are summed back to each operand's shape. */
function binary({ name, lower, gradient, reference, result, accepts, simplify }: BinaryDefinition): BinaryOp {
  const entry = defineOp({
    name,
    inputs: ["a", "b"],
    infer: ({ a, b }) => {
      const type = inferBroadcast(name, a, b);
      if (accepts === "float") requireFloatDType(name, a.dtype);
      if ((a.dtype === "bool") !== (accepts === "bool") && result !== "bool") {
        throw new DTypeError({ where: name, expected: accepts ?? "numbers", received: describe(a), fix: "cast the operands first" });
      }
      return { dtype: result ?? type.dtype, shape: type.shape };
    },
    gradient:
      typeof gradient === "function"
        ? (values) => {
            const { a, b } = gradient(values);
            return { a: sumTo(a, values.a.shape), b: sumTo(b, values.b.shape) };
          }
        : gradient,
    lower: (graph, { a, b }) => graph.node(lower, [a, b]),
    reference: ({ a, b }, _, [type]) => referenceBroadcast(a, b, type, reference),
    inPlace: [
      [0, 0],
      [1, 0],
    ],
    simplify,
  });
  return Object.assign((a: Operand, b: Operand) => apply(entry, [a, b]), { entry });
}

export const add = binary({
  name: "add",
  lower: "Add",
  gradient: ({ dy }) => ({ a: dy, b: dy }),
  simplify: ({ a, b }) => (constantScalar(b) === 0 ? a : constantScalar(a) === 0 ? b : undefined),
  reference: (a, b) => a + b,
});
export const sub = binary({
  name: "sub",
  lower: "Sub",
  gradient: ({ dy }) => ({ a: dy, b: neg(dy) }),
  simplify: ({ a, b }) => (constantScalar(b) === 0 ? a : undefined),
  reference: (a, b) => a - b,
});
export const mul = binary({
  name: "mul",
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
  lower: "Pow",
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
  lower: "Max",
  gradient: ({ a, b, dy }) => splitAtTies(dy, greater(a, b), equal(a, b)),
  reference: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)),
});
/** Smaller of the two; at a tie each operand gets half the gradient, as in PyTorch. */
export const minimum = binary({
  name: "minimum",
  lower: "Min",
  gradient: ({ a, b, dy }) => splitAtTies(dy, less(a, b), equal(a, b)),
  reference: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.min(a, b)),
});

function splitAtTies(dy: Value, aWins: Value, tie: Value): { a: Value; b: Value } {
  const half = mul(dy, 0.5);
  return { a: where(tie, half, where(aWins, dy, 0)), b: where(tie, half, where(aWins, 0, dy)) };
}

const comparesValues = notDifferentiable("compares values");
export const equal = binary({ name: "equal", lower: "Equal", result: "bool", gradient: comparesValues, reference: (a, b) => Number(a === b) });
export const less = binary({ name: "less", lower: "Less", result: "bool", gradient: comparesValues, reference: (a, b) => Number(a < b) });
export const lessEqual = binary({ name: "lessEqual", lower: "LessOrEqual", result: "bool", gradient: comparesValues, reference: (a, b) => Number(a <= b) });
export const greater = binary({ name: "greater", lower: "Greater", result: "bool", gradient: comparesValues, reference: (a, b) => Number(a > b) });
export const greaterEqual = binary({
  name: "greaterEqual",
  lower: "GreaterOrEqual",
  result: "bool",
  gradient: comparesValues,
  reference: (a, b) => Number(a >= b),
});
export const logicalAnd = binary({
  name: "logicalAnd",
  lower: "And",
  accepts: "bool",
  gradient: comparesValues,
  reference: (a, b) => Number(a !== 0 && b !== 0),
});

export const neg = unary({ name: "neg", allowInteger: true, lower: "Neg", gradient: ({ dy }) => neg(dy), reference: (x) => -x });
/** Absolute value; its gradient at 0 is 0. */
export const abs = unary({ name: "abs", allowInteger: true, lower: "Abs", gradient: ({ x, dy }) => mul(dy, sign(x)), reference: Math.abs });
export const sign = unary({ name: "sign", allowInteger: true, lower: "Sign", gradient: ({ dy }) => mul(dy, 0), reference: Math.sign });
export const exp = unary({ name: "exp", lower: "Exp", gradient: ({ y, dy }) => mul(dy, y), reference: Math.exp });
export const log = unary({ name: "log", lower: "Log", gradient: ({ x, dy }) => div(dy, x), reference: Math.log });
export const sqrt = unary({ name: "sqrt", lower: "Sqrt", gradient: ({ y, dy }) => div(mul(dy, 0.5), y), reference: Math.sqrt }); // 1 / (2 sqrt x)
export const reciprocal = unary({
  name: "reciprocal",
  lower: "Reciprocal",
  gradient: ({ y, dy }) => neg(mul(dy, mul(y, y))),
  reference: (x) => 1 / x,
});
export const tanh = unary({ name: "tanh", lower: "Tanh", gradient: ({ y, dy }) => mul(dy, sub(1, mul(y, y))), reference: Math.tanh });
export const sigmoid = unary({
  name: "sigmoid",
  lower: "Sigmoid",
  gradient: ({ y, dy }) => mul(dy, mul(y, sub(1, y))),
  reference: (x) => 1 / (1 + Math.exp(-x)),
});
export const sin = unary({ name: "sin", lower: "Sin", gradient: ({ x, dy }) => mul(dy, cos(x)), reference: Math.sin });
export const cos = unary({ name: "cos", lower: "Cos", gradient: ({ x, dy }) => neg(mul(dy, sin(x))), reference: Math.cos });
/** max(x, 0); its gradient at 0 is 0. */
export const relu = unary({
  name: "relu",
  lower: "Relu",
  gradient: ({ x, dy }) => where(greater(x, 0), dy, 0),
  reference: (x) => (x > 0 ? x : Number.isNaN(x) ? x : 0),
});
/** Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x. */
export const erf = unary({
  name: "erf",
  lower: "Erf",
  gradient: ({ x, dy }) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
  reference: erfReference,
});

export const rsqrt = (x: Value): Value => reciprocal(sqrt(x));
export const square = (x: Value): Value => mul(x, x);
export const silu = (x: Value): Value => mul(x, sigmoid(x));

/** Maclaurin series for small |x|, continued fraction of erfc for large: full double precision, slow. */
function erfReference(x: number): number {
  const z = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let term = z;
    let total = z;
    for (let n = 1; n < 100; n++) {
      term *= (-z * z) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}

const castEntry = defineOp<"x", { to: DType }>({
  name: "cast",
  inputs: ["x"],
  infer: ({ x }, { to }) => ({ dtype: to, shape: x.shape }),
  gradient: ({ x, dy }, { to }) => (isFloat(to) && isFloat(x.dtype) ? { x: cast(dy, x.dtype) } : {}),
  lower: (graph, { x }, { to }) => graph.node("Cast", [x], { to: onnxTypeCode[to] }),
  reference: ({ x }, { to }) =>
    hostTensor(
      x.shape,
      x.data.map((v) => (isFloat(to) ? v : to === "bool" ? Number(v !== 0) : Math.trunc(v))),
    ),
});

/** TensorProto.DataType of ONNX. */
export const onnxTypeCode: Readonly<Record<DType, number>> = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10, bf16: 16 };

/** Converts to another dtype; float to integer truncates. Gradients pass through float to float casts only. */
export function cast(x: Value, to: DType): Value {
  return x.dtype === to ? x : apply(castEntry, [x], { to });
}

const whereEntry = defineOp({
  name: "where",
  inputs: ["condition", "a", "b"],
  infer: ({ condition, a, b }) => {
    if (condition.dtype !== "bool") {
      throw new DTypeError({ where: "where", expected: "a bool condition", received: describe(condition), fix: "compare first, for example greater(x, 0)" });
    }
    const both = inferBroadcast("where", a, b);
    return { dtype: a.dtype, shape: inferBroadcast("where", { dtype: both.dtype, shape: condition.shape }, both).shape };
  },
  gradient: ({ condition, a, b, dy }) => ({ a: sumTo(where(condition, dy, 0), a.shape), b: sumTo(where(condition, 0, dy), b.shape) }),
  lower: (graph, { condition, a, b }) => graph.node("Where", [condition, a, b]),
  reference: ({ condition, a, b }, _, [type]) => {
    const picked = referenceBroadcast(condition, a, type, (c, x) => (c ? x : Number.NaN));
    const other = referenceBroadcast(condition, b, type, (c, x) => (c ? Number.NaN : x));
    const mask = referenceBroadcast(condition, picked, type, (c) => c);
    return hostTensor(
      type.shape,
      picked.data.map((x, i) => (mask.data[i] ? x : other.data[i])),
    );
  },
});

/** a where condition is true, otherwise b; all three broadcast. Numbers take the dtype of the other branch. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const like = typeof a === "number" ? b : a;
  const dtype = typeof like === "number" ? "f32" : like.dtype;
  return apply(whereEntry, [condition, toValue(a, dtype), toValue(b, dtype)]);
}
