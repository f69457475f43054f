import { normalizeAxis, ShapeError, type Value } from "../ir/index.ts";
import { mul } from "./arithmetic.ts";
import { alongAxes } from "./batch.ts";
import { apply, applyAll, defineOp, hostTensor, notDifferentiable, type OpEntry, scalar, stridesOf } from "./define.ts";
import { cast } from "./elementwise.ts";
import { scatterAddAlong } from "./gather.ts";
import { reducedShape, referenceReduce } from "./reduce.ts";
import { broadcastTo, concat, slice } from "./shape.ts";

export interface ArgOptions {
  /** @default the last axis */
  axis?: number;
  /** Keep the axis with size 1. @default false */
  keepDims?: boolean;
}
type ArgAttributes = { axis: number; keepDims: boolean };

function argReduction(name: string, opType: string, pick: (group: number[]) => number) {
  const entry = defineOp<"x", ArgAttributes>({
    name,
    batch: alongAxes,
    inputs: ["x"],
    infer: ({ x }, { axis, keepDims }) => {
      if (x.shape[axis] === 0)
        throw new ShapeError({ where: name, expected: "an axis that is not empty", received: `axis ${axis} of size 0`, fix: "check the data" });
      return { dtype: "i64", shape: reducedShape(x.shape, [axis], keepDims) };
    },
    gradient: notDifferentiable("gives an index"),
    lower: (graph, { x }, { axis, keepDims }) => graph.node(opType, [x], { axis, keepdims: Number(keepDims) }),
    reference: ({ x }, { axis }, [type]) => referenceReduce(x, [axis], type, (group) => group.indexOf(pick(group))),
  });
  return (x: Value, { axis = -1, keepDims = false }: ArgOptions = {}): Value =>
    apply(entry, [x], { axis: normalizeAxis(name, axis, x.shape.length), keepDims });
}

/** Index of the largest element along an axis, the first at ties: i64. */
export const argmax = argReduction("argmax", "ArgMax", (group) => Math.max(...group));
/** Index of the smallest element along an axis, the first at ties: i64. */
export const argmin = argReduction("argmin", "ArgMin", (group) => Math.min(...group));

type TopkAttributes = { k: number; axis: number; largest: boolean };
const topkBase = defineOp<"x", TopkAttributes>({
  name: "topk",
  batch: alongAxes,
  inputs: ["x"],
  infer: ({ x }, { k, axis }) => {
    const size = x.shape[axis];
    if (typeof size === "number" && k > size) {
      throw new ShapeError({ where: "topk", expected: `k of at most ${size}, the size of axis ${axis}`, received: String(k), fix: "ask for fewer" });
    }
    const shape = x.shape.map((s, i) => (i === axis ? k : s));
    return [
      { dtype: x.dtype, shape },
      { dtype: "i64", shape },
    ];
  },
  gradient: notDifferentiable("has several outputs; see topkEntry"),
  lower: (graph, { x }, { k, axis, largest }) => graph.nodes("TopK", [x, graph.constant("i64", [1], [k])], 2, { axis, largest: Number(largest), sorted: 1 }),
  reference: ({ x }, { axis, largest }, [type]) => {
    const values = hostTensor(type.shape);
    const indices = hostTensor(type.shape);
    const [size, k] = [x.shape[axis], values.shape[axis]];
    const inner = stridesOf(x.shape)[axis];
    const outer = size === 0 ? 0 : x.data.length / (size * inner);
    for (let row = 0; row < outer * inner; row++) {
      const [block, offset] = [Math.floor(row / inner), row % inner];
      const at = (j: number) => x.data[(block * size + j) * inner + offset];
      const order = Array.from({ length: size }, (_, j) => j).sort((a, b) => (largest ? at(b) - at(a) : at(a) - at(b)) || a - b);
      for (let j = 0; j < k; j++) {
        values.data[(block * k + j) * inner + offset] = at(order[j]);
        indices.data[(block * k + j) * inner + offset] = order[j];
      }
    }
    return [values, indices];
  },
});
const topkEntry: OpEntry = {
  ...topkBase,
  gradient: (node, [dy]) => {
    const [x] = node.inputs;
    const { axis } = node.attributes as TopkAttributes;
    return [dy && scatterAddAlong(broadcastTo(scalar(0, x.dtype), x.shape), node.outputs[1], dy, axis)];
  },
};

export interface Ordered {
  values: Value;
  /** Positions in x: i64. */
  indices: Value;
}

/** The k largest (or smallest) elements along an axis, best first; at ties the first. @default last axis, largest */
export function topk(x: Value, k: number, { axis = -1, largest = true }: { axis?: number; largest?: boolean } = {}): Ordered {
  const at = normalizeAxis("topk", axis, x.shape.length);
  const [values, indices] = applyAll(topkEntry, [x], { k, axis: at, largest });
  return { values, indices };
}

/** All elements along an axis of known size in order; equal elements keep theirs. @default last axis, ascending */
export function sort(x: Value, { axis = -1, descending = false }: { axis?: number; descending?: boolean } = {}): Ordered {
  const size = x.shape[normalizeAxis("sort", axis, x.shape.length)];
  if (typeof size !== "number") throw new ShapeError({ where: "sort", expected: "an axis of known size", received: String(size), fix: "fix this size" });
  if (size === 0) return { values: x, indices: cast(x, "i64") };
  return topk(x, size, { axis, largest: descending });
}

/** Indices that sort x: i64. */
export const argsort = (x: Value, options?: { axis?: number; descending?: boolean }): Value => sort(x, options).indices;

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
  batch: alongAxes,
  inputs: ["x"],
  infer: ({ x }) => x,
  gradient: ({ dy }, attributes) => ({ x: cumsum(dy, { ...attributes, reverse: !attributes.reverse }) }),
  lower: (graph, { x }, { axis, exclusive, reverse }) =>
    graph.node("CumSum", [x, graph.constant("i64", [], [axis])], { exclusive: Number(exclusive), reverse: Number(reverse) }),
  reference: ({ x }, { axis, exclusive, reverse }) => {
    const out = hostTensor(x.shape);
    const size = x.shape[axis];
    const inner = stridesOf(x.shape)[axis];
    for (let start = 0; start < x.data.length; start += size * inner) {
      for (let i = 0; i < inner; i++) {
        let total = 0;
        for (let step = 0; step < size; step++) {
          const at = start + (reverse ? size - 1 - step : step) * inner + i;
          if (!exclusive) total += x.data[at];
          out.data[at] = total;
          if (exclusive) total += x.data[at];
        }
      }
    }
    return out;
  },
});
/** Sum of all elements up to each along an axis. */
export function cumsum(x: Value, { axis = -1, exclusive = false, reverse = false }: CumulativeOptions = {}): Value {
  return apply(cumsumEntry, [x], { axis: normalizeAxis("cumsum", axis, x.shape.length), exclusive, reverse });
}

/**
 * Product of all elements up to each along an axis of known size n: in log2(n) rounds, each multiplying by the array moved
 * by 1, 2, 4, ..., so that the gradient is exact at zeros too. Hillis and Steele 1986.
 */
export function cumprod(x: Value, axis = -1): Value {
  const at = normalizeAxis("cumprod", axis, x.shape.length);
  const size = x.shape[at];
  if (typeof size !== "number") throw new ShapeError({ where: "cumprod", expected: "an axis of known size", received: String(size), fix: "fix this size" });
  let products = x;
  for (let reach = 1; reach < size; reach *= 2) {
    const moved = mul(slice(products, { axis: at, start: reach }), slice(products, { axis: at, end: size - reach }));
    products = concat([slice(products, { axis: at, end: reach }), moved], at);
  }
  return products;
}
