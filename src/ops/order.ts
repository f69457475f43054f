import { DTypeError, isFloat, ShapeError } from "../base/index.ts";
import { describe, type Node, normalizeAxis, type TensorType, type Value } from "../ir/index.ts";
import { apply, applyAll, scalar } from "./apply.ts";
import { mul } from "./arithmetic.ts";
import { defineMultiOp, defineOp, notDifferentiable } from "./define.ts";
import { cast } from "./elementwise.ts";
import type { OpEntry } from "./entry.ts";
import { scatterAddAlong } from "./gather.ts";
import { hostTensor, stridesOf } from "./host-tensor.ts";
import { lowerIsNan } from "./lower-missing.ts";
import { type Lowering, onnxTypeCode } from "./lowering.ts";
import { exactReduce, reducedShape, referenceReduce } from "./reduce.ts";
import { broadcastTo } from "./shape.ts";
import { concat, slice } from "./slice.ts";

/** The axis along which `argmax` and `argmin` look. */
export interface ArgOptions {
  /** @default the last axis */
  axis?: number;
  /** Keep the axis with size 1. @default false */
  keepDims?: boolean;
}
type ArgAttributes = { axis: number; keepDims: boolean };

/** The first NaN, or the first that no other precedes. */
function firstOf<N extends number | bigint>(group: readonly N[], precedes: (a: N, b: N) => boolean): number {
  const isNan = (x: N) => Number.isNaN(x);
  return group.reduce((best, x, i) => (!isNan(group[best]) && (isNan(x) || precedes(x, group[best])) ? i : best), 0);
}

/** ONNX Runtime compares NaN as it comes. An infinity takes its place; between the two the first counts. */
function lowerNanAs(graph: Lowering, x: string, { inputs: [{ dtype }] }: Node, infinity: number): string {
  return isFloat(dtype) ? graph.node("Where", [lowerIsNan(graph, x), graph.constant(dtype, [], [infinity]), x]) : x;
}

function argReduction(name: string, opType: "ArgMax" | "ArgMin") {
  const precedes = <N extends number | bigint>(a: N, b: N) => (opType === "ArgMax" ? a > b : a < b);
  const entry = defineOp<"x", ArgAttributes>({
    name,
    precision: "f32",
    batch: "axes",
    inputs: ["x"],
    infer: ({ x }, { axis, keepDims }) => {
      if (x.shape[axis] === 0)
        throw new ShapeError({
          where: name,
          expected: "an axis that is not empty",
          received: `axis ${axis} of size 0`,
          fix: "check the data",
        });
      return { dtype: "i64", shape: reducedShape(x.shape, [axis], keepDims) };
    },
    gradient: notDifferentiable("gives an index"),
    lower: (graph, { x }, { axis, keepDims }, node) => {
      const ranked = lowerNanAs(
        graph,
        x,
        node,
        opType === "ArgMax" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY,
      );
      return graph.node(opType, [ranked], { axis, keepdims: Number(keepDims) });
    },
    reference: ({ x }, { axis }, [type]) => referenceReduce(x, [axis], type, (group) => firstOf(group, precedes)),
    exact: ({ x }, { axis }, [type]) => exactReduce(x, [axis], type, (group) => BigInt(firstOf(group, precedes))),
  });
  return (x: Value, { axis = -1, keepDims = false }: ArgOptions = {}): Value =>
    apply(entry, [x], { axis: normalizeAxis(name, axis, x.shape.length), keepDims });
}

/** Index of the largest element along an axis, of NaN if there is one; the first at ties: i64. */
export const argmax = argReduction("argmax", "ArgMax");
/** Index of the smallest element along an axis, of NaN if there is one; the first at ties: i64. */
export const argmin = argReduction("argmin", "ArgMin");

function requireNumbers(where: string, x: TensorType): void {
  if (x.dtype === "bool")
    throw new DTypeError({ where, expected: "numbers", received: describe(x), fix: 'cast it first: cast(x, "i32")' });
}

type TopkAttributes = { k: number; axis: number; largest: boolean };
const topkEntry = defineMultiOp<"x", TopkAttributes>({
  name: "topk",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }, { k, axis }) => {
    requireNumbers("topk", x);
    const size = x.shape[axis];
    if (typeof size === "number" && k > size) {
      throw new ShapeError({
        where: "topk",
        expected: `k of at most ${size}, the size of axis ${axis}`,
        received: String(k),
        fix: "ask for fewer",
      });
    }
    const shape = x.shape.map((s, i) => (i === axis ? k : s));
    return [
      { dtype: x.dtype, shape },
      { dtype: "i64", shape },
    ];
  },
  gradient: ({ x, ys: [, indices], dys: [dy] }, { axis }) => ({
    x: dy && scatterAddAlong(broadcastTo(scalar(0, x.dtype), x.shape), indices, dy, axis),
  }),
  lower: (graph, { x }, { k, axis, largest }, node) => {
    // ONNX Runtime's TopK ends the process when there is nothing to order
    if (node.outputs[0].shape.includes(0))
      return node.outputs.map(({ dtype, shape }) => graph.constant(dtype, shape as readonly number[], []));
    const ranked = lowerNanAs(graph, x, node, Number.POSITIVE_INFINITY);
    const [values, indices] = graph.nodes("TopK", [ranked, graph.constant("i64", [1], [k])], 2, {
      axis,
      largest: Number(largest),
      sorted: 1,
    });
    return [isFloat(node.inputs[0].dtype) ? graph.node("GatherElements", [x, indices], { axis }) : values, indices];
  },
  reference: ({ x }, { axis, largest }, [type]) => {
    const positions = bestPositions(x, axis, type.shape as readonly number[], largest);
    return [
      hostTensor(
        type.shape,
        positions.map(({ flat }) => x.data[flat]),
      ),
      hostTensor(
        type.shape,
        positions.map(({ along }) => along),
      ),
    ];
  },
  exact: ({ x }, { axis, largest }, [type]) => {
    const shape = type.shape as readonly number[];
    const positions = bestPositions(x, axis, shape, largest);
    return [
      { shape, data: positions.map(({ flat }) => x.data[flat]) },
      { shape, data: positions.map(({ along }) => BigInt(along)) },
    ];
  },
});

/** For each element of the result, where it lies along the axis and in the data. NaN is larger than all numbers. */
function bestPositions<N extends number | bigint>(
  x: { shape: readonly number[]; data: ArrayLike<N> },
  axis: number,
  shape: readonly number[],
  largest: boolean,
): { along: number; flat: number }[] {
  const [size, k, inner] = [x.shape[axis], shape[axis], stridesOf(x.shape)[axis]];
  const positions = new Array<{ along: number; flat: number }>(shape.reduce((a, b) => a * b, 1));
  const compare = (a: N, b: N) =>
    Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) || a < b ? -1 : a > b ? 1 : 0;
  for (let row = 0; row < positions.length / k; row++) {
    const [block, offset] = [Math.floor(row / inner), row % inner];
    const flat = (j: number) => (block * size + j) * inner + offset;
    const ranked = Array.from({ length: size }, (_, j) => j).sort(
      (a, b) => (largest ? -1 : 1) * compare(x.data[flat(a)], x.data[flat(b)]) || a - b,
    );
    for (let j = 0; j < k; j++)
      positions[(block * k + j) * inner + offset] = { along: ranked[j], flat: flat(ranked[j]) };
  }
  return positions;
}
/** Elements along an axis in order, and where they were. */
export interface Ordered {
  /** The elements. */
  values: Value;
  /** Positions in x: i64. */
  indices: Value;
}

/** The k largest (or smallest) elements along an axis, best first; at ties the first. @default last axis, largest */
export function topk(
  x: Value,
  k: number,
  { axis = -1, largest = true }: { axis?: number; largest?: boolean } = {},
): Ordered {
  const at = normalizeAxis("topk", axis, x.shape.length);
  const [values, indices] = applyAll(topkEntry, [x], { k, axis: at, largest });
  return { values, indices };
}

/** All elements along an axis of known size in order; equal elements keep theirs. @default last axis, ascending */
export function sort(
  x: Value,
  { axis = -1, descending = false }: { axis?: number; descending?: boolean } = {},
): Ordered {
  const size = x.shape[normalizeAxis("sort", axis, x.shape.length)];
  if (typeof size !== "number")
    throw new ShapeError({
      where: "sort",
      expected: "an axis of known size",
      received: String(size),
      fix: "fix this size",
    });
  if (size === 0) return { values: x, indices: cast(x, "i64") };
  return topk(x, size, { axis, largest: descending });
}

/** Indices that sort x: i64. */
export const argsort = (x: Value, options?: { axis?: number; descending?: boolean }): Value => sort(x, options).indices;

/** Axis and direction of `cumsum` and `cumprod`. */
export interface CumulativeOptions {
  /** @default the last axis */
  axis?: number;
  /** Leave the element itself out, so that results start with the neutral element. @default false */
  exclusive?: boolean;
  /** From the end to the start. @default false */
  reverse?: boolean;
}
type CumulativeAttributes = { axis: number; exclusive: boolean; reverse: boolean };
const cumsumEntry: OpEntry = defineOp<"x", CumulativeAttributes>({
  name: "cumsum",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }) => {
    requireNumbers("cumsum", x);
    return x;
  },
  gradient: ({ dy }, attributes) => ({ x: cumsum(dy, { ...attributes, reverse: !attributes.reverse }) }),
  lower: (graph, { x }, { axis, exclusive, reverse }, { inputs: [{ dtype }] }) => {
    const sums = (name: string) =>
      graph.node("CumSum", [name, graph.constant("i64", [], [axis])], {
        exclusive: Number(exclusive),
        reverse: Number(reverse),
      });
    if (dtype !== "i8" && dtype !== "u8") return sums(x);
    return graph.node("Cast", [sums(graph.node("Cast", [x], { to: onnxTypeCode.i32 }))], { to: onnxTypeCode[dtype] });
  },
  reference: ({ x }, attributes) => {
    const out = hostTensor(x.shape);
    runningSums(x, attributes, 0, (a, b) => a + b, out.data);
    return out;
  },
  exact: ({ x }, attributes) => {
    const data = new Array<bigint>(x.data.length);
    runningSums(x, attributes, 0n, (a, b) => a + b, data);
    return { shape: x.shape, data };
  },
});

/** The sums of all elements up to each along an axis, written into `out`. */
function runningSums<N>(
  x: { shape: readonly number[]; data: ArrayLike<N> },
  { axis, exclusive, reverse }: CumulativeAttributes,
  zero: N,
  add: (a: N, b: N) => N,
  out: { [index: number]: N },
): void {
  const size = x.shape[axis];
  const inner = stridesOf(x.shape)[axis];
  for (let start = 0; start < x.data.length; start += size * inner) {
    for (let i = 0; i < inner; i++) {
      let total = zero;
      for (let step = 0; step < size; step++) {
        const at = start + (reverse ? size - 1 - step : step) * inner + i;
        const next = add(total, x.data[at]);
        out[at] = exclusive ? total : next;
        total = next;
      }
    }
  }
}
/** Sum of all elements up to each along an axis. */
export function cumsum(x: Value, { axis = -1, exclusive = false, reverse = false }: CumulativeOptions = {}): Value {
  return apply(cumsumEntry, [x], { axis: normalizeAxis("cumsum", axis, x.shape.length), exclusive, reverse });
}

/**
 * Product of all elements up to each along an axis of known size n: in log2(n) rounds, each multiplying by the array
 * moved by 1, 2, 4, ..., so that the gradient is exact at zeros too. Hillis and Steele 1986.
 */
export function cumprod(x: Value, axis = -1): Value {
  const at = normalizeAxis("cumprod", axis, x.shape.length);
  const size = x.shape[at];
  if (typeof size !== "number")
    throw new ShapeError({
      where: "cumprod",
      expected: "an axis of known size",
      received: String(size),
      fix: "fix this size",
    });
  let products = x;
  for (let reach = 1; reach < size; reach *= 2) {
    const moved = mul(slice(products, { axis: at, start: reach }), slice(products, { axis: at, end: size - reach }));
    products = concat([slice(products, { axis: at, end: reach }), moved], at);
  }
  return products;
}
