import { type DType, DTypeError, isFloat, isInteger, requireFloatDType, ShapeError } from "../base/index.ts";
import { broadcastShapes, describe, type Node, type TensorType, type Value } from "../ir/index.ts";
import { apply, type Operand, toValue } from "./apply.ts";
import { defineOp, type notDifferentiable } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import {
  broadcastPosition,
  type ExactTensor,
  forEachIndex,
  type HostTensor,
  hostTensor,
  stridesOf,
} from "./host-tensor.ts";
import { lowerOr } from "./lower-missing.ts";
import { type Lowering, onnxTypeCode } from "./lowering.ts";

/** An op as users of the graph call it, with its entry at hand for tests. */
export type UnaryOp = ((x: Value) => Value) & { entry: OpEntry };
/** An op of two operands that broadcast, as users of the graph call it, with its entry at hand for tests. */
export type BinaryOp = ((a: Operand, b: Operand) => Value) & { entry: OpEntry };

export interface UnaryDefinition {
  name: string;
  /** Dtypes it takes. @default float */
  accepts?: "float" | "number" | "integer" | "bool";
  gradient: ((values: { x: Value; y: Value; dy: Value }) => Value) | ReturnType<typeof notDifferentiable>;
  /** ONNX operator with the same meaning, or a function that emits several. */
  lower: string | ((graph: Lowering, x: string, type: TensorType) => string);
  reference: (x: number) => number;
  /** The same for integers. */
  exact?: (x: bigint) => bigint;
  /** Result dtype when not that of the operand. */
  result?: DType;
  /** @default "f32" */
  precision?: OpEntry["precision"];
}

/** Elementwise op of one input: same shape and dtype out. */
export function unary({
  name,
  accepts = "float",
  result,
  gradient,
  lower,
  reference,
  exact,
  precision = "f32",
}: UnaryDefinition): UnaryOp {
  const entry = defineOp({
    name,
    batch: "elementwise",
    precision,
    inputs: ["x"],
    infer: ({ x }) => {
      const isNumber = accepts === "number" && x.dtype !== "bool";
      const isFine =
        accepts === "bool"
          ? x.dtype === "bool"
          : accepts === "integer"
            ? isInteger(x.dtype)
            : isFloat(x.dtype) || isNumber;
      if (!isFine)
        throw new DTypeError({
          where: name,
          expected: `${accepts} dtype`,
          received: describe(x),
          fix: `cast it first: cast(x, "f32")`,
        });
      return { dtype: result ?? x.dtype, shape: x.shape };
    },
    gradient: typeof gradient === "function" ? (values) => ({ x: gradient(values) }) : gradient,
    lower: (graph, { x }, _, node) =>
      typeof lower === "string" ? graph.node(lower, [x]) : lower(graph, x, node.inputs[0]),
    reference: ({ x }) => hostTensor(x.shape, x.data.map(reference)),
    exact: exact && (({ x }) => ({ shape: x.shape, data: x.data.map(exact) })),
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

/** What the operands have at each index of a shape that they broadcast to. */
function forEachPair<N>(
  a: Elements<N>,
  b: Elements<N>,
  shape: readonly number[],
  visit: (a: N, b: N, flat: number) => void,
): void {
  const stridesA = stridesOf(a.shape);
  const stridesB = stridesOf(b.shape);
  forEachIndex(shape, (index, flat) => {
    visit(
      a.data[broadcastPosition(a.shape, stridesA, index)],
      b.data[broadcastPosition(b.shape, stridesB, index)],
      flat,
    );
  });
}
type Elements<N> = { readonly shape: readonly number[]; readonly data: ArrayLike<N> };

/** Applies `f` to pairs of elements with broadcasting. */
function referenceBroadcast(
  a: HostTensor,
  b: HostTensor,
  type: TensorType,
  f: (a: number, b: number) => number,
): HostTensor {
  const out = hostTensor(type.shape);
  forEachPair(a, b, out.shape, (x, y, flat) => {
    out.data[flat] = f(x, y);
  });
  return out;
}

function exactBroadcast(
  a: ExactTensor,
  b: ExactTensor,
  type: TensorType,
  f: (a: bigint, b: bigint) => bigint,
): ExactTensor {
  const shape = type.shape as readonly number[];
  const data: bigint[] = [];
  forEachPair(a, b, shape, (x, y) => data.push(f(x, y)));
  return { shape, data };
}

interface BinaryDefinition {
  name: string;
  /** ONNX operator with the same meaning, or a function that emits several. */
  lower: string | ((graph: Lowering, a: string, b: string, node: Node) => string);
  gradient:
    | ((values: { a: Value; b: Value; y: Value; dy: Value }) => { a: Value; b: Value })
    | ReturnType<typeof notDifferentiable>;
  reference: (a: number, b: number) => number;
  /** The same for integers. */
  exact?: (a: bigint, b: bigint) => bigint;
  /** Result dtype when not that of the operands. */
  result?: DType;
  /** A value equal to y, or undefined; `a` or `b` may be constants. */
  simplify?: (values: { a: Value; b: Value }) => Value | undefined;
  accepts?: "float" | "bool" | "integer";
  /** @default "f32" */
  precision?: OpEntry["precision"];
}

/** Elementwise op of two inputs with broadcasting. Its gradients have the shape of y: reverse.ts sums them back. */
export function binary({
  name,
  lower,
  gradient,
  reference,
  exact,
  result,
  accepts,
  simplify,
  precision = "f32",
}: BinaryDefinition): BinaryOp {
  const entry = defineOp({
    name,
    batch: "elementwise",
    precision,
    inputs: ["a", "b"],
    infer: ({ a, b }) => {
      const type = inferBroadcast(name, a, b);
      if (accepts === "float") requireFloatDType(name, a.dtype);
      if (
        ((a.dtype === "bool") !== (accepts === "bool") && result !== "bool") ||
        (accepts === "integer" && !isInteger(a.dtype))
      ) {
        throw new DTypeError({
          where: name,
          expected: accepts ?? "numbers",
          received: describe(a),
          fix: "cast the operands first",
        });
      }
      return { dtype: result ?? type.dtype, shape: type.shape };
    },
    gradient,
    lower: (graph, { a, b }, _, node) =>
      typeof lower === "string" ? graph.node(lower, [a, b]) : lower(graph, a, b, node),
    reference: ({ a, b }, _, [type]) => referenceBroadcast(a, b, type, reference),
    exact: exact && (({ a, b }, _, [type]) => exactBroadcast(a, b, type, exact)),
    inPlace: [
      [0, 0],
      [1, 0],
    ],
    simplify,
  });
  return Object.assign((a: Operand, b: Operand) => apply(entry, [a, b]), { entry });
}

const castEntry: OpEntry = defineOp<"x", { to: DType }>({
  name: "cast",
  acceptsBfloat16: true,
  precision: "f32",
  batch: "elementwise",
  inputs: ["x"],
  infer: ({ x }, { to }) => ({ dtype: to, shape: x.shape }),
  gradient: ({ x, dy }, { to }) => (isFloat(to) && isFloat(x.dtype) ? { x: cast(dy, x.dtype) } : {}),
  lower: (graph, { x }, { to }) => graph.node("Cast", [x], { to: onnxTypeCode[to] }),
  reference: ({ x }, { to }) =>
    hostTensor(
      x.shape,
      x.data.map(to === "bool" ? (v) => Number(v !== 0) : isFloat(to) ? (v) => v : (v) => toInteger(v, to)),
    ),
  exact: ({ x }, { to }) => ({
    shape: x.shape,
    data: to === "bool" ? x.data.map((v) => (v === 0n ? 0n : 1n)) : x.data,
  }),
  // 16-bit floats are among those of 32 bits
  simplify: ({ x }, { to }) => {
    const narrow = widenedFrom(x);
    return narrow?.dtype === to ? narrow : undefined;
  },
});

/** The 16-bit floats that an f32 value widens; undefined for all others. */
export function widenedFrom({ node, dtype }: Value): Value | undefined {
  const [source] = node.inputs;
  return node.op === castEntry && dtype === "f32" && (source.dtype === "f16" || source.dtype === "bf16")
    ? source
    : undefined;
}

/**
 * A float as an integer: without its fraction. What is no number or beyond i32 or i64 becomes the least of these, as
 * the instruction of x86 has it and with it PyTorch and ONNX Runtime there (C++ leaves it open); i8 and u8 are the last
 * bits.
 */
function toInteger(value: number, to: DType): number {
  const whole = Math.trunc(value) + 0; // no -0
  const limit = to === "i64" ? 2 ** 63 : 2 ** 31;
  return (whole >= -limit && whole < limit) || to === "i8" || to === "u8" ? whole : -limit;
}

/** Converts to another dtype; float to integer truncates. Gradients pass through float to float casts only. */
export function cast(x: Value, to: DType): Value {
  return x.dtype === to ? x : apply(castEntry, [x], { to });
}

const whereEntry = defineOp({
  name: "where",
  precision: "any",
  batch: "elementwise",
  inputs: ["condition", "a", "b"],
  infer: ({ condition, a, b }) => {
    if (condition.dtype !== "bool") {
      throw new DTypeError({
        where: "where",
        expected: "a bool condition",
        received: describe(condition),
        fix: "compare first, for example greater(x, 0)",
      });
    }
    const both = inferBroadcast("where", a, b);
    return {
      dtype: a.dtype,
      shape: inferBroadcast("where", { dtype: both.dtype, shape: condition.shape }, both).shape,
    };
  },
  gradient: ({ condition, dy }) => ({
    a: where(condition, dy, 0),
    b: where(condition, 0, dy),
  }),
  carries: ["a", "b"],
  lower: (graph, { condition, a, b }, _, node) => lowerWhere(graph, condition, a, b, node.outputs[0].dtype),
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

/** ONNX Runtime has no Where of bool and i8. */
export function lowerWhere(graph: Lowering, condition: string, a: string, b: string, dtype: DType): string {
  if (dtype === "bool") {
    const [left, right] = [graph.node("And", [condition, a]), graph.node("And", [graph.node("Not", [condition]), b])];
    return lowerOr(graph, left, right);
  }
  if (dtype !== "i8") return graph.node("Where", [condition, a, b]);
  const [left, right] = [a, b].map((name) => graph.node("Cast", [name], { to: onnxTypeCode.i32 }));
  return graph.node("Cast", [graph.node("Where", [condition, left, right])], { to: onnxTypeCode.i8 });
}

/** a where condition is true, otherwise b; all three broadcast. Numbers take the dtype of the other branch. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const like = typeof a === "number" ? b : a;
  const dtype = typeof like === "number" ? "f32" : like.dtype;
  return apply(whereEntry, [condition, toValue(a, dtype), toValue(b, dtype)]);
}
