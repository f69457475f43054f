import {
  bytesPerElement,
  type DType,
  DTypeError,
  isFloat,
  isInteger,
  requireFloatDType,
  ShapeError,
} from "../base/index.ts";
import {
  broadcastShapes,
  describe,
  type Node,
  normalizeAxis,
  requireStatic,
  type Shape,
  type Size,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { apply, scalar } from "./apply.ts";
import { abs, add, clip, div, exp, log, mul, pow, sqrt, square, sub } from "./arithmetic.ts";
import { stopGradient } from "./control.ts";
import { defineOp } from "./define.ts";
import { cast, where } from "./elementwise.ts";
import type { OpEntry } from "./entry.ts";
import { type ExactTensor, forEachIndex, type HostTensor, hostTensor } from "./host-tensor.ts";
import { equal, greater, logicalNot } from "./logic.ts";
import { lowerIsNan } from "./lower-missing.ts";
import { i64Vector, type Lowering, onnxTypeCode } from "./lowering.ts";
import { broadcastTo, reshape } from "./shape.ts";
import { concat, slice } from "./slice.ts";

/** Which axes a reduction takes together, and whether they stay. */
export interface ReduceOptions {
  /** Axes to reduce; negative ones count from the end. @default all */
  axes?: number | readonly number[];
  /** Keep the reduced axes with size 1. @default false */
  keepDims?: boolean;
}
type ReduceAttributes = { axes: readonly number[]; keepDims: boolean };

export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims ? shape.map((size, i) => (axes.includes(i) ? 1 : size)) : shape.filter((_, i) => !axes.includes(i));
}

/** Splits the index space of `x` into groups of one result each. */
function groupsOf<N>(x: { shape: readonly number[]; data: ArrayLike<N> }, axes: readonly number[]): N[][] {
  const kept = reducedShape(x.shape, axes, true) as number[];
  const groups = new Map<number, N[]>();
  forEachIndex(kept, (_, flat) => groups.set(flat, []));
  forEachIndex(x.shape, (index, flat) => {
    const position = index.reduce((p, i, axis) => p * kept[axis] + (kept[axis] === 1 ? 0 : i), 0);
    groups.get(position)?.push(x.data[flat]);
  });
  return [...groups.values()];
}

export function referenceReduce(
  x: HostTensor,
  axes: readonly number[],
  type: TensorType,
  reduce: (group: number[]) => number,
): HostTensor {
  return hostTensor(type.shape, groupsOf(x, axes).map(reduce));
}

export function exactReduce(
  x: ExactTensor,
  axes: readonly number[],
  type: TensorType,
  reduce: (group: bigint[]) => bigint,
): ExactTensor {
  return { shape: type.shape as readonly number[], data: groupsOf(x, axes).map(reduce) };
}

interface Reduction {
  name: string;
  lower: (graph: Lowering, x: string, attributes: ReduceAttributes, node: Node) => string;
  gradient: (values: { x: Value; y: Value; dy: Value }, attributes: ReduceAttributes) => Value;
  reference: (group: number[]) => number;
  /** The same for integers. */
  exact?: (group: bigint[], dtype: DType) => bigint;
  floatOnly?: boolean;
}

function reduction({ name, lower, gradient, reference, exact, floatOnly }: Reduction) {
  const entry: OpEntry = defineOp<"x", ReduceAttributes>({
    name,
    precision: "f32",
    batch: "axes",
    inputs: ["x"],
    infer: ({ x }, { axes, keepDims }) => {
      if (floatOnly) requireFloatDType(name, x.dtype);
      else if (x.dtype === "bool")
        throw new DTypeError({
          where: name,
          expected: "numbers",
          received: describe(x),
          fix: 'cast it first: cast(x, "i32")',
        });
      return { dtype: x.dtype, shape: reducedShape(x.shape, axes, keepDims) };
    },
    // y and dy are given the kept shape first, so that they broadcast against x
    gradient: ({ x, y, dy }, attributes) => {
      const kept = reducedShape(x.shape, attributes.axes, true);
      return { x: gradient({ x, y: reshape(y, kept), dy: reshape(dy, kept) }, attributes) };
    },
    lower: (graph, { x }, attributes, node) => lower(graph, x, attributes, node),
    reference: ({ x }, { axes }, [type]) => referenceReduce(x, axes, type, reference),
    exact: exact && (({ x }, { axes }, [type]) => exactReduce(x, axes, type, (group) => exact(group, type.dtype))),
  });
  const call = (x: Value, { axes, keepDims = false }: ReduceOptions = {}): Value => {
    const list = axes === undefined ? x.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : [...axes];
    const normal = [...new Set(list.map((axis) => normalizeAxis(name, axis, x.shape.length)))].sort((a, b) => a - b);
    return normal.length === 0 ? x : apply(entry, [x], { axes: normal, keepDims });
  };
  return Object.assign(call, { entry });
}

const lowerReduce =
  (opType: string): Reduction["lower"] =>
  (graph, x, { axes, keepDims }) =>
    graph.node(opType, [x, i64Vector(graph, axes)], { keepdims: keepDims ? 1 : 0 });

/** ONNX Runtime has no reductions of 8 bits, and adds integers up in doubles. Those of 32 bits are exact in 64. */
const lowerSum: Reduction["lower"] = (graph, x, attributes, node) => {
  const { dtype, shape } = node.inputs[0];
  const { axes, keepDims } = attributes;
  const reduceSum = lowerReduce("ReduceSum");
  if (isFloat(dtype)) return reduceSum(graph, x, attributes, node);
  if (dtype !== "i64") {
    const wide = reduceSum(graph, graph.node("Cast", [x], { to: onnxTypeCode.i64 }), attributes, node);
    return graph.node("Cast", [wide], { to: onnxTypeCode[dtype] });
  }
  if (axes.some((axis) => shape[axis] === 0)) return reduceSum(graph, x, attributes, node);
  // the last of the running sums, which are added up in i64, of one axis after the other
  const last = (sums: string, axis: number) => graph.node("Gather", [sums, graph.constant("i64", [1], [-1])], { axis });
  const total = axes.reduce(
    (sums, axis) => last(graph.node("CumSum", [sums, graph.constant("i64", [], [axis])]), axis),
    x,
  );
  return keepDims ? total : graph.node("Squeeze", [total, i64Vector(graph, axes)]);
};

/**
 * The largest or smallest element. ONNX Runtime's own pass over NaN, as they please, which then is found by a sum of
 * absolute values, and compare i64 by their last 32 bits: of these the best is taken along one axis after the other.
 */
const lowerExtreme =
  (opType: "ReduceMax" | "ReduceMin"): Reduction["lower"] =>
  (graph, x, attributes, node) => {
    const { dtype } = node.inputs[0];
    const best = () => lowerReduce(opType)(graph, x, attributes, node);
    if (dtype === "i64" && !node.inputs[0].shape.includes(0)) {
      const flags = { largest: Number(opType === "ReduceMax"), sorted: 1 };
      const kept = attributes.axes.reduce(
        (y, axis) => graph.nodes("TopK", [y, graph.constant("i64", [1], [1])], 2, { axis, ...flags })[0],
        x,
      );
      return attributes.keepDims ? kept : graph.node("Squeeze", [kept, i64Vector(graph, attributes.axes)]);
    }
    if (!isFloat(dtype)) return best();
    const absolute = lowerReduce("ReduceL1")(graph, x, attributes, node);
    return graph.node("Where", [lowerIsNan(graph, absolute), absolute, best()]);
  };

/** Sum over axes; of nothing it is 0. */
export const sum = reduction({
  name: "sum",
  lower: lowerSum,
  gradient: ({ x, dy }) => broadcastTo(dy, x.shape),
  reference: (group) => group.reduce((a, b) => a + b, 0),
  exact: (group) => group.reduce((a, b) => a + b, 0n),
});

/** Mean over axes; of nothing it is NaN. */
export const mean = reduction({
  name: "mean",
  floatOnly: true,
  lower: (graph, x, attributes, node) => {
    const [{ dtype, shape }] = node.outputs;
    const isOfNothing = attributes.axes.some((axis) => node.inputs[0].shape[axis] === 0);
    if (!isOfNothing) return lowerReduce("ReduceMean")(graph, x, attributes, node);
    return graph.node("Expand", [graph.constant(dtype, [], [Number.NaN]), graph.sizes(shape)]);
  },
  gradient: ({ x, dy }, { axes }) => {
    const count = sizeOf(axes.map((axis) => x.shape[axis]));
    if (typeof count === "number") return broadcastTo(mul(dy, 1 / count), x.shape);
    const ones = broadcastTo(div(dy, dy), x.shape);
    return div(broadcastTo(dy, x.shape), sum(ones, { axes, keepDims: true }));
  },
  reference: (group) => group.reduce((a, b) => a + b, 0) / group.length,
});

function shareAmongEqual({ x, y, dy }: { x: Value; y: Value; dy: Value }, { axes }: ReduceAttributes): Value {
  const winners = cast(equal(x, y), x.dtype);
  return mul(winners, div(dy, sum(winners, { axes, keepDims: true })));
}

/** The range of an integer dtype. */
function limitsOf(dtype: DType): { least: bigint; most: bigint } {
  const bits = BigInt(8 * bytesPerElement[dtype]);
  return dtype === "u8"
    ? { least: 0n, most: 2n ** bits - 1n }
    : { least: -(2n ** (bits - 1n)), most: 2n ** (bits - 1n) - 1n };
}

/**
 * Largest element over axes, of nothing the least there is; where several are largest, each gets an equal share of the
 * gradient.
 */
export const max = reduction({
  name: "max",
  lower: lowerExtreme("ReduceMax"),
  gradient: shareAmongEqual,
  reference: (group) => group.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  exact: (group, dtype) => group.reduce((a, b) => (a > b ? a : b), limitsOf(dtype).least),
});

/**
 * Smallest element over axes, of nothing the largest there is; where several are smallest, each gets an equal share of
 * the gradient.
 */
export const min = reduction({
  name: "min",
  lower: lowerExtreme("ReduceMin"),
  gradient: shareAmongEqual,
  reference: (group) => group.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  exact: (group, dtype) => group.reduce((a, b) => (a < b ? a : b), limitsOf(dtype).most),
});

/**
 * The product of integers, of which ONNX Runtime's is one of doubles: the two halves of each axis are multiplied until
 * one element is left.
 */
function wholeProduct(x: Value, { axes, keepDims = false }: ReduceOptions): Value {
  const list =
    axes === undefined
      ? x.shape.map((_, i) => i)
      : [axes].flat().map((axis) => normalizeAxis("prod", axis, x.shape.length));
  const product = list.reduce((y, axis) => {
    let rest = y;
    for (let size = rest.shape[axis] as number; size > 1; size = Math.ceil(size / 2)) {
      const half = Math.floor(size / 2);
      const halves = mul(slice(rest, { axis, end: half }), slice(rest, { axis, start: size - half }));
      rest = size % 2 === 0 ? halves : concat([halves, slice(rest, { axis, start: half, end: half + 1 })], axis);
    }
    return rest.shape[axis] === 0 ? broadcastTo(scalar(1, x.dtype), reducedShape(rest.shape, [axis], true)) : rest;
  }, x);
  return keepDims ? product : reshape(product, reducedShape(x.shape, list, false));
}

/**
 * Product over axes; of nothing it is 1. An element's gradient is the product of the others: with no zero among them y
 * / x, with one zero only that one has a gradient, with more none has. At zeros the gradient of the gradient is not
 * followed.
 */
const floatProduct = reduction({
  name: "prod",
  lower: lowerReduce("ReduceProd"),
  gradient: ({ x, dy }, { axes }) => {
    const isZero = equal(x, 0);
    const filled = where(isZero, 1, x);
    const zeros = cast(isZero, x.dtype);
    const otherZeros = sub(sum(zeros, { axes, keepDims: true }), zeros);
    const others = div(floatProduct(filled, { axes, keepDims: true }), filled);
    return where(equal(otherZeros, 0), mul(dy, others), 0);
  },
  reference: (group) => group.reduce((a, b) => a * b, 1),
  exact: (group) => group.reduce((a, b) => a * b, 1n),
});
/** Product of elements; of none it is 1. An element's gradient is the product of the others. @default all axes */
export function prod(x: Value, options: ReduceOptions = {}): Value {
  const isKnown = x.shape.every((size) => typeof size === "number");
  return isInteger(x.dtype) && isKnown ? wholeProduct(x, options) : floatProduct(x, options);
}

/** Square root of the sum of squares; the gradient of a zero vector is 0. */
const euclidean = reduction({
  name: "norm",
  floatOnly: true,
  lower: lowerReduce("ReduceL2"),
  gradient: ({ x, y, dy }) => mul(x, div(dy, where(equal(y, 0), 1, y))),
  reference: (group) => Math.sqrt(group.reduce((a, b) => a + b * b, 0)),
});

/** (sum |x|^p)^(1/p) over axes; p of Infinity is the largest |x|, -Infinity the smallest. @default p = 2 */
export function norm(x: Value, { p = 2, ...options }: ReduceOptions & { p?: number } = {}): Value {
  if (p === 2) return euclidean(x, options);
  if (p === 1) return sum(abs(x), options);
  if (p === Number.POSITIVE_INFINITY) return max(abs(x), options);
  if (p === Number.NEGATIVE_INFINITY) return min(abs(x), options);
  return pow(sum(pow(abs(x), p), options), 1 / p);
}

/** The axes of `variance` and `standardDeviation`, and what the squares are divided by. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements. @default 1, which makes the estimate unbiased */
  correction?: number;
}
/** Mean squared deviation from the mean. @default all axes */
export function variance(x: Value, { axes, keepDims, correction = 1 }: VarianceOptions = {}): Value {
  const deviation = square(sub(x, mean(x, { axes, keepDims: true })));
  if (correction === 0) return mean(deviation, { axes, keepDims });
  const list =
    axes === undefined
      ? x.shape.map((_, i) => i)
      : [axes].flat().map((axis) => normalizeAxis("variance", axis, x.shape.length));
  const count = requireStatic(
    "variance",
    list.map((axis) => x.shape[axis]),
  ).reduce((a, b) => a * b, 1);
  return mul(sum(deviation, { axes, keepDims }), 1 / Math.max(0, count - correction));
}
/** Square root of the variance; the gradient where it is 0 is 0. */
export function standardDeviation(x: Value, options?: VarianceOptions): Value {
  const squared = variance(x, options);
  const isZero = equal(squared, 0);
  return where(isZero, 0, sqrt(where(isZero, 1, squared)));
}

/** log of the sum of exp(x) over axes, computed without overflow. */
export function logSumExp(x: Value, { axes, keepDims }: ReduceOptions = {}): Value {
  const reduced =
    axes === undefined
      ? x.shape
      : [axes].flat().map((axis) => x.shape[normalizeAxis("logSumExp", axis, x.shape.length)]);
  if (reduced.includes(0)) return log(sum(exp(x), { axes, keepDims }));
  // the largest element is finite here even when all are -Infinity, which then gives log 0
  const limit = x.dtype === "f16" ? 65504 : 3e38;
  const largest = stopGradient(clip(max(x, { axes, keepDims: true }), { min: -limit, max: limit }));
  const shifted = log(sum(exp(sub(x, largest)), { axes, keepDims: true }));
  const total = add(shifted, largest);
  return keepDims ? total : reshape(total, sumShape(x, axes));
}

function sumShape(x: Value, axes: ReduceOptions["axes"]): Shape {
  const list =
    axes === undefined
      ? x.shape.map((_, i) => i)
      : [axes].flat().map((axis) => normalizeAxis("logSumExp", axis, x.shape.length));
  return reducedShape(x.shape, list, false);
}

/** Whether any element is true; of nothing it is false. */
export const any = (x: Value, options?: ReduceOptions): Value =>
  greater((x.shape.includes(0) ? sum : max)(cast(x, "i32"), options), 0);
/** Whether all elements are true; of nothing it is true. */
export const all = (x: Value, options?: ReduceOptions): Value => logicalNot(any(logicalNot(x), options));

/** Sums a gradient over the axes along which a tensor of `shape` was broadcast: the reverse of broadcasting. */
export function sumTo(x: Value, shape: Shape): Value {
  if (shapesEqual(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size: Size, i) =>
    i < extra || (shape[i - extra] === 1 && !sizesEqual(size, 1)) ? [i] : [],
  );
  if (!broadcastShapes(x.shape, shape)) {
    throw new ShapeError({
      where: "sumTo",
      expected: `a shape that broadcasts to ${describe(x)}`,
      received: `[${shape.join(", ")}]`,
      fix: "check shapes",
    });
  }
  return reshape(sum(x, { axes, keepDims: true }), shape);
}
