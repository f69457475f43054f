import {
  broadcastShapes,
  describe,
  normalizeAxis,
  requireFloatDType,
  type Shape,
  ShapeError,
  type Size,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { apply, defineOp, forEachIndex, type HostTensor, hostTensor, type Lowering, notDifferentiable, type OpEntry } from "./define.ts";
import { cast, div, equal, mul } from "./elementwise.ts";
import { broadcastTo, reshape } from "./shape.ts";

export interface ReduceOptions {
  /** Axes to reduce; negative ones count from the end. @default all */
  axes?: number | readonly number[];
  /** Keep the reduced axes with size 1. @default false */
  keepDims?: boolean;
}
type ReduceAttributes = { axes: readonly number[]; keepDims: boolean };

function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims ? shape.map((size, i) => (axes.includes(i) ? 1 : size)) : shape.filter((_, i) => !axes.includes(i));
}

/** Splits the index space of `x` into groups of one result each. */
function referenceReduce(x: HostTensor, axes: readonly number[], type: TensorType, reduce: (group: number[]) => number): HostTensor {
  const kept = reducedShape(x.shape, axes, true) as number[];
  const groups = new Map<number, number[]>();
  forEachIndex(kept, (_, flat) => groups.set(flat, []));
  forEachIndex(x.shape, (index, flat) => {
    const position = index.reduce((p, i, axis) => p * kept[axis] + (kept[axis] === 1 ? 0 : i), 0);
    groups.get(position)?.push(x.data[flat]);
  });
  return hostTensor(type.shape, [...groups.values()].map(reduce));
}

interface Reduction {
  name: string;
  lower: (graph: Lowering, x: string, attributes: ReduceAttributes) => string;
  gradient: (values: { x: Value; y: Value; dy: Value }, attributes: ReduceAttributes) => Value;
  reference: (group: number[]) => number;
  floatOnly?: boolean;
}

function reduction({ name, lower, gradient, reference, floatOnly }: Reduction) {
  const entry: OpEntry = defineOp<"x", ReduceAttributes>({
    name,
    inputs: ["x"],
    infer: ({ x }, { axes, keepDims }) => {
      if (floatOnly) requireFloatDType(name, x.dtype);
      return { dtype: x.dtype, shape: reducedShape(x.shape, axes, keepDims) };
    },
    // y and dy are given the kept shape first, so that they broadcast against x
    gradient: ({ x, y, dy }, attributes) => {
      const kept = reducedShape(x.shape, attributes.axes, true);
      return { x: gradient({ x, y: reshape(y, kept), dy: reshape(dy, kept) }, attributes) };
    },
    lower: (graph, { x }, attributes) => lower(graph, x, attributes),
    reference: ({ x }, { axes }, [type]) => referenceReduce(x, axes, type, reference),
  });
  const call = (x: Value, { axes, keepDims = false }: ReduceOptions = {}): Value => {
    const list = axes === undefined ? x.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : [...axes];
    const normal = [...new Set(list.map((axis) => normalizeAxis(name, axis, x.shape.length)))].sort((a, b) => a - b);
    return normal.length === 0 ? x : apply(entry, [x], { axes: normal, keepDims });
  };
  return Object.assign(call, { entry });
}

const lowerReduce =
  (opType: string) =>
  (graph: Lowering, x: string, { axes, keepDims }: ReduceAttributes) =>
    graph.node(opType, [x, graph.constant("i64", [axes.length], axes)], { keepdims: keepDims ? 1 : 0 });

/** Sum over axes; of nothing it is 0. */
export const sum = reduction({
  name: "sum",
  lower: lowerReduce("ReduceSum"),
  gradient: ({ x, dy }) => broadcastTo(dy, x.shape),
  reference: (group) => group.reduce((a, b) => a + b, 0),
});

/** Mean over axes; of nothing it is NaN. */
export const mean = reduction({
  name: "mean",
  floatOnly: true,
  lower: lowerReduce("ReduceMean"),
  gradient: ({ x, dy }, { axes }) => {
    const count = sizeOf(axes.map((axis) => x.shape[axis]));
    if (typeof count === "number") return broadcastTo(mul(dy, 1 / count), x.shape);
    const ones = broadcastTo(div(dy, dy), x.shape);
    return div(broadcastTo(dy, x.shape), sum(ones, { axes, keepDims: true }));
  },
  reference: (group) => group.reduce((a, b) => a + b, 0) / group.length,
});

/** Largest element over axes; where several are largest, each gets an equal share of the gradient. */
export const max = reduction({
  name: "max",
  lower: lowerReduce("ReduceMax"),
  gradient: ({ x, y, dy }, { axes }) => {
    const winners = cast(equal(x, y), x.dtype);
    return mul(winners, div(dy, sum(winners, { axes, keepDims: true })));
  },
  reference: (group) => group.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
});

const argmaxEntry = defineOp<"x", { axis: number }>({
  name: "argmax",
  inputs: ["x"],
  infer: ({ x }, { axis }) => ({ dtype: "i64", shape: reducedShape(x.shape, [axis], false) }),
  gradient: notDifferentiable("gives an index"),
  lower: (graph, { x }, { axis }) => graph.node("ArgMax", [x], { axis, keepdims: 0 }),
  reference: ({ x }, { axis }, [type]) => referenceReduce(x, [axis], type, (group) => group.indexOf(Math.max(...group))),
});

/** Index of the largest element along `axis`, the first at ties: i64. */
export function argmax(x: Value, axis = -1): Value {
  return apply(argmaxEntry, [x], { axis: normalizeAxis("argmax", axis, x.shape.length) });
}

/** Sums a gradient over the axes along which a tensor of `shape` was broadcast: the reverse of broadcasting. */
export function sumTo(x: Value, shape: Shape): Value {
  if (shapesEqual(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size: Size, i) => (i < extra || (shape[i - extra] === 1 && !sizesEqual(size, 1)) ? [i] : []));
  if (!broadcastShapes(x.shape, shape)) {
    throw new ShapeError({ where: "sumTo", expected: `a shape that broadcasts to ${describe(x)}`, received: `[${shape.join(", ")}]`, fix: "check shapes" });
  }
  return reshape(sum(x, { axes, keepDims: true }), shape);
}
