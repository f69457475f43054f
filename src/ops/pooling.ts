import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, isStatic, type Node, requireStatic, sizeOf, type TensorType, type Value } from "../ir/index.ts";
import { apply, applyAll, constantOf, filled, vector } from "./apply.ts";
import { mul } from "./arithmetic.ts";
import { convTranspose } from "./convolution.ts";
import { padsOf, perAxis, type Window, windowCounts } from "./convolution-window.ts";
import { defineMultiOp, defineOp, notDifferentiable } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { addAtPositions, gather } from "./gather.ts";
import { forEachIndex, type HostTensor, hostTensor, stridesOf } from "./host-tensor.ts";
import { i64Vector, type Lowering, onnxTypeCode } from "./lowering.ts";
import type { Padding } from "./movement.ts";
import { max, mean } from "./reduce.ts";
import { contractAxis } from "./resize.ts";
import { reshape } from "./shape.ts";

/** The window over which `maxPool` and `averagePool` take an element. */
export interface PoolOptions {
  /** Size of the window: one number, or one for each spatial axis. */
  kernelSize: number | readonly number[];
  /** Distance between window positions. @default kernelSize */
  stride?: number | readonly number[];
  /** Border around: -Infinity for the maximum, zeros for the average. At most half of the kernel. @default 0 */
  padding?: number | readonly number[] | Padding;
  /** Also windows that lie only partly inside at the end. @default false */
  ceilMode?: boolean;
}
/** The window of `maxPool`, which may have gaps. */
export interface MaxPoolOptions extends PoolOptions {
  /** Distance between elements of a window. @default 1 */
  dilation?: number | readonly number[];
}
/** The window of `averagePool`, and by what it divides at the border. */
export interface AveragePoolOptions extends PoolOptions {
  /** Zeros of the padding count as elements. @default true */
  countIncludePad?: boolean;
}

type PoolAttributes = Window & { kernel: readonly number[] };

/** The window, and the pads made longer at the end where ceilMode wants another position. */
function poolWindow(
  where: string,
  x: Value,
  { kernelSize, stride = kernelSize, padding = 0, ceilMode = false, dilation = 1 }: MaxPoolOptions,
): PoolAttributes {
  requireFloatDType(where, x.dtype);
  const rank = x.shape.length - 2;
  if (rank < 1)
    throw new ShapeError({
      where,
      expected: "x [N, C, ...spatial]",
      received: describe(x),
      fix: "add a batch or a channel axis",
    });
  const kernel = perAxis(where, "kernelSize", kernelSize, rank, 1);
  const window = {
    stride: perAxis(where, "stride", stride, rank, 1),
    dilation: perAxis(where, "dilation", dilation, rank, 1),
  };
  const pads = [...padsOf(where, padding, rank)];
  if (pads.some((pad, i) => pad > kernel[i % rank] / 2)) {
    throw new ShapeError({
      where,
      expected: "padding of at most half the kernel",
      received: `padding ${pads}, kernel ${kernel}`,
      fix: "pad less",
    });
  }
  const sizes = requireStatic(where, x.shape.slice(2));
  if (ceilMode) {
    sizes.forEach((size, i) => {
      const reach = window.dilation[i] * (kernel[i] - 1) + 1;
      const rest = size + pads[i] + pads[i + rank] - reach;
      let count = Math.ceil(rest / window.stride[i]);
      if (count * window.stride[i] >= size + pads[i]) count--; // a window must not start beyond the input
      pads[i + rank] += Math.max(0, count * window.stride[i] - rest);
    });
  }
  if (windowCounts(sizes, kernel, { ...window, pads }).some((count) => count < 1)) {
    throw new ShapeError({
      where,
      expected: "an input at least as large as the window",
      received: `${describe(x)}, kernel ${kernel}`,
      fix: "pad more",
    });
  }
  return { ...window, pads, kernel };
}

const onnxPool = ({ kernel, stride, pads, dilation }: PoolAttributes) => ({
  kernel_shape: kernel,
  strides: stride,
  pads,
  dilations: dilation,
});
const pooledShape = (x: { shape: readonly unknown[] }, attributes: PoolAttributes) =>
  windowCounts(x.shape.slice(2) as number[], attributes.kernel, attributes);

/** Calls `visit` with each output position and each input position of its window. */
function forEachWindow(
  xShape: readonly number[],
  yShape: readonly number[],
  { kernel, stride, pads, dilation }: PoolAttributes,
  visit: (y: number, x: number) => void,
): void {
  const strides = stridesOf(xShape);
  forEachIndex(yShape, ([n, c, ...position], yAt) => {
    forEachIndex(kernel, (offset) => {
      let at = n * strides[0] + c * strides[1];
      for (let i = 0; i < offset.length; i++) {
        const p = position[i] * stride[i] - pads[i] + offset[i] * dilation[i];
        if (p < 0 || p >= xShape[i + 2]) return;
        at += p * strides[i + 2];
      }
      visit(yAt, at);
    });
  });
}

/** Output 1 is the position of each maximum in the flattened input: that is where its gradient goes. */
const maxPoolEntry = defineMultiOp<"x", PoolAttributes>({
  name: "maxPool",
  batch: "oneByOne",
  precision: "any",
  inputs: ["x"],
  infer: ({ x }, attributes) => {
    const shape = [...x.shape.slice(0, 2), ...pooledShape(x, attributes)];
    return [
      { dtype: x.dtype, shape },
      { dtype: "i64", shape },
    ];
  },
  gradient: ({ x, ys: [, positions], dys: [dy] }) => ({ x: dy && addAtPositions(x.shape, positions, dy) }),
  lower: (graph, { x }, attributes, node) => {
    if (!graph.isWebGpu) return graph.nodes("MaxPool", [x], 2, onnxPool(attributes));
    const { shape } = node.inputs[0];
    if (isStatic(shape) && Number(sizeOf(shape)) < 2 ** 31) {
      const maxima = graph.node("MaxPool", [x], onnxPool(attributes));
      return [maxima, lowerPositions(graph, x, maxima, attributes, node)];
    }
    const outputs = graph.nodes("MaxPool", [x], 2, onnxPool(attributes));
    graph.keepOnCpu(); // WebGPU's kernel gives no positions, and those of unknown counts need integers of 64 bits
    return outputs;
  },
  withoutOutputs: (unused) => (unused.has(1) ? { op: maxPoolAloneEntry, kept: [0] } : undefined),
  reference: ({ x }, attributes, [type]) => maximaOf(x, attributes, type),
});

/**
 * Where in x each maximum is, for WebGPU, whose kernel does not tell: the first element of the window that equals it.
 * Outside of x stands the window's first element inside, which is where a maximum of -Infinity is.
 */
function lowerPositions(
  graph: Lowering,
  x: string,
  maxima: string,
  { kernel, stride, pads, dilation }: PoolAttributes,
  { inputs: [input], outputs: [output] }: Node,
): string {
  const [examples, channels, ...sizes] = input.shape as readonly number[];
  const counts = output.shape.slice(2) as readonly number[];
  const [plane, strides] = [sizes.reduce((a, b) => a * b, 1), stridesOf(sizes)];
  const first: number[] = [];
  const atOffset: number[][] = [];
  const offsets: number[][] = [];
  forEachIndex(kernel, (offset) => {
    const places: number[] = [];
    forEachIndex(counts, (position, flat) => {
      const at = offset.map((step, i) => position[i] * stride[i] - pads[i] + step * dilation[i]);
      if (at.every((p, i) => p >= 0 && p < sizes[i])) {
        places.push(at.reduce((sum, p, i) => sum + p * strides[i], 0));
        first[flat] ??= places[flat];
      } else places.push(-1);
    });
    atOffset.push(places);
    offsets.push([...offset]);
  });
  const constant = (places: readonly number[]) => graph.constant("i32", [1, ...counts], places);
  const rank = kernel.length;
  const border = [0, ...pads.slice(0, rank), 0, ...pads.slice(rank)];
  const images = examples * channels;
  // the pooling's transposed layout ends at a change of shape, and does not go through all that follows
  const flat = (name: string, shape: readonly number[]) =>
    graph.node("Reshape", [name, i64Vector(graph, shape)], { allowzero: 1 });
  const largest = flat(maxima, [images, ...counts]);
  const padded = graph.node("Pad", [
    flat(x, [images, ...sizes]),
    i64Vector(graph, border),
    graph.constant(input.dtype, [], [Number.NEGATIVE_INFINITY]),
  ]);
  const axes = i64Vector(
    graph,
    kernel.map((_, i) => i + 1),
  );
  const positions = offsets.reduceRight((later, offset, k) => {
    const starts = offset.map((step, i) => step * dilation[i]);
    const ends = starts.map((start, i) => start + (counts[i] - 1) * stride[i] + 1);
    const elements = graph.node("Slice", [
      padded,
      i64Vector(graph, starts),
      i64Vector(graph, ends),
      axes,
      i64Vector(graph, stride),
    ]);
    const places = atOffset[k].map((place, flat) => (place < 0 ? first[flat] : place));
    return graph.node("Where", [graph.node("Equal", [elements, largest]), constant(places), later]);
  }, constant(first));
  const starts = Array.from({ length: images }, (_, i) => i * plane);
  const whole = graph.node("Add", [positions, graph.constant("i32", [images, ...kernel.map(() => 1)], starts)]);
  return graph.node("Cast", [flat(whole, [examples, channels, ...counts])], { to: onnxTypeCode.i64 });
}

/** Without the positions, which only the gradient needs. */
const maxPoolAloneEntry: OpEntry = defineOp<"x", PoolAttributes>({
  name: "maxPoolAlone",
  batch: "oneByOne",
  precision: "any",
  inputs: ["x"],
  infer: ({ x }, attributes) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...pooledShape(x, attributes)] }),
  gradient: notDifferentiable("is made by passes that run after gradients are taken"),
  lower: (graph, { x }, attributes) => graph.node("MaxPool", [x], onnxPool(attributes)),
  reference: ({ x }, attributes, [type]) => maximaOf(x, attributes, type)[0],
});

/** The largest element of each window, and its position; at ties the first. A NaN is larger than all. */
function maximaOf(x: HostTensor, attributes: PoolAttributes, { shape }: TensorType): [HostTensor, HostTensor] {
  const [values, positions] = [hostTensor(shape as number[]), hostTensor(shape as number[])];
  positions.data.fill(-1);
  forEachWindow(x.shape, values.shape, attributes, (y, at) => {
    const isBetter = x.data[at] > values.data[y] || (Number.isNaN(x.data[at]) && !Number.isNaN(values.data[y]));
    if (positions.data[y] >= 0 && !isBetter) return;
    values.data[y] = x.data[at];
    positions.data[y] = at;
  });
  return [values, positions];
}

/** Largest element of each window; at ties the first. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function maxPool(x: Value, options: MaxPoolOptions): Value {
  return maxPoolWithPositions(x, options).values;
}

/** maxPool, and where in the flattened x each maximum is: i64 [N, C, ...counts]. */
export function maxPoolWithPositions(x: Value, options: MaxPoolOptions): { values: Value; positions: Value } {
  const [values, positions] = applyAll(maxPoolEntry, [x], poolWindow("maxPool", x, options));
  return { values, positions };
}

/** The mean over whole windows, padding included. Its gradient is a transposed convolution with equal weights. */
const averagePoolEntry: OpEntry = defineOp<"x", PoolAttributes>({
  name: "averagePool",
  precision: "any",
  batch: { fold: 1 },
  inputs: ["x"],
  infer: ({ x }, attributes) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...pooledShape(x, attributes)] }),
  gradient: ({ x, dy }, attributes) => ({ x: spread(dy, x, attributes) }),
  lower: (graph, { x }, attributes) =>
    graph.node("AveragePool", [x], { ...onnxPool(attributes), count_include_pad: 1 }),
  reference: ({ x }, attributes, [type]) => {
    const out = hostTensor(type.shape);
    const count = attributes.kernel.reduce((a, b) => a * b, 1);
    forEachWindow(x.shape, out.shape, attributes, (y, at) => {
      out.data[y] += x.data[at] / count;
    });
    return out;
  },
});

function spread(dy: Value, x: Value, { kernel, stride, pads }: PoolAttributes): Value {
  const rank = kernel.length;
  const images = (shape: Value["shape"]) => [(shape[0] as number) * (shape[1] as number), 1, ...shape.slice(2)];
  const weight = filled([1, 1, ...kernel], 1 / kernel.reduce((a, b) => a * b, 1), dy.dtype);
  const least = kernel.map(
    (size, i) => stride[i] * ((dy.shape[i + 2] as number) - 1) + size - pads[i] - pads[i + rank],
  );
  const outputPadding = least.map((size, i) => (x.shape[i + 2] as number) - size);
  const padding = kernel.map((_, i) => [pads[i], pads[i + rank]] as const);
  return reshape(
    convTranspose(reshape(dy, images(dy.shape)), weight, undefined, { stride, padding, outputPadding }),
    x.shape,
  );
}

/** Mean of each window. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function averagePool(x: Value, { countIncludePad = true, ...options }: AveragePoolOptions): Value {
  const attributes = poolWindow("averagePool", x, options);
  const y = apply(averagePoolEntry, [x], attributes);
  const rank = attributes.kernel.length;
  const pads = padsOf("averagePool", options.padding ?? 0, rank);
  const sizes = x.shape.slice(2) as number[];
  const whole = attributes.kernel.reduce((a, b) => a * b, 1);
  // how many elements of each window count
  const perAxis = sizes.map((size, i) =>
    Array.from({ length: y.shape[i + 2] as number }, (_, position) => {
      const start = position * attributes.stride[i] - attributes.pads[i];
      const [low, high] = countIncludePad ? [-pads[i], size + pads[i + rank]] : [0, size];
      return Math.min(start + attributes.kernel[i], high) - Math.max(start, low);
    }),
  );
  if (perAxis.every((counts, i) => counts.every((count) => count === attributes.kernel[i]))) return y;
  const factors: number[] = [];
  forEachIndex(y.shape.slice(2) as number[], (index) => {
    factors.push(whole / index.reduce((product, at, i) => product * perAxis[i][at], 1));
  });
  return mul(y, constantOf(factors, [1, 1, ...(y.shape.slice(2) as number[])], x.dtype));
}

/** First and last element (exclusive) of each of `count` nearly equal parts of `size` elements. */
const adaptiveBounds = (size: number, count: number) =>
  Array.from(
    { length: count },
    (_, i) => [Math.floor((i * size) / count), Math.ceil(((i + 1) * size) / count)] as const,
  );

/** Mean of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveAveragePool(x: Value, outputSize: number | readonly number[]): Value {
  const rank = x.shape.length - 2;
  return perAxis("adaptiveAveragePool", "outputSize", outputSize, rank, 1).reduce((pooled, count, i) => {
    const size = requireStatic("adaptiveAveragePool", x.shape)[i + 2];
    const rows = adaptiveBounds(size, count).map(([start, end]) =>
      Array.from({ length: size }, (_, j) => (j >= start && j < end ? 1 / (end - start) : 0)),
    );
    return contractAxis(pooled, rows, i + 2);
  }, x);
}

/** Largest element of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveMaxPool(x: Value, outputSize: number | readonly number[]): Value {
  const rank = x.shape.length - 2;
  return perAxis("adaptiveMaxPool", "outputSize", outputSize, rank, 1).reduce((pooled, count, i) => {
    const bounds = adaptiveBounds(requireStatic("adaptiveMaxPool", x.shape)[i + 2], count);
    const longest = Math.max(...bounds.map(([start, end]) => end - start));
    // shorter parts repeat their last element
    const indices = bounds.flatMap(([start, end]) =>
      Array.from({ length: longest }, (_, j) => Math.min(start + j, end - 1)),
    );
    return max(gather(pooled, reshape(vector(indices), [count, longest]), i + 2), { axes: i + 3 });
  }, x);
}

const spatialAxes = (x: Value) => x.shape.map((_, i) => i).slice(2);
/** Mean over all spatial axes, kept with size 1. */
export const globalAveragePool = (x: Value): Value => mean(x, { axes: spatialAxes(x), keepDims: true });
/** Largest over all spatial axes, kept with size 1. */
export const globalMaxPool = (x: Value): Value => max(x, { axes: spatialAxes(x), keepDims: true });
