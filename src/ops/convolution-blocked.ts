/**
 * Two-dimensional convolution and its gradients in the layout that ONNX Runtime's CPU kernels are fastest in: B
 * channels (8 or 16, as many as fit a vector register) beside one another, [N, C, H, W] kept as [N, C / B, H, W, B]. A
 * weight [O, C, h, w] is kept as [O / B, C / B, h, w, B of C, B of O]. Turning tensors into the layout and back is
 * cheap next to the products, so each convolution does it for itself and the rest of the graph knows nothing of it.
 */
import type { DType } from "../base/index.ts";
import type { Size } from "../ir/index.ts";
import { i64Vector, type Lowering } from "./lowering.ts";

const DOMAIN = "com.microsoft.nchwc";

/** A weight's sizes [O, C, h, w]. */
type WeightShape = readonly [number, number, number, number];
type Pair = readonly [number, number];
type Window2D = { stride: readonly number[]; pads: readonly number[]; dilation: readonly number[] };

const reshape = (graph: Lowering, x: string, shape: readonly Size[]) => graph.node("Reshape", [x, graph.sizes(shape)]);

/** [N, C, H, W] -> [N, C / B, H, W, B]. */
const toBlocks = (graph: Lowering, x: string) => graph.node("ReorderInput", [x], {}, DOMAIN);
const fromBlocks = (graph: Lowering, x: string, channels: number) =>
  graph.node("ReorderOutput", [x], { channels }, DOMAIN);

/** Convolution of blocked x; the kernel is [h, w]. */
const blockedConv = (
  graph: Lowering,
  operands: readonly string[],
  kernel: Pair,
  { stride, pads, dilation }: Window2D,
) =>
  graph.node("Conv", operands, { kernel_shape: kernel, strides: stride, pads, dilations: dilation, group: 1 }, DOMAIN);

interface Operands {
  dtype: DType;
  /** Sizes of the weight [O, C / groups, ...kernel]. */
  weight: readonly Size[];
  groups: number;
}

/** Whether there are kernels for the operands, with output channels in whole blocks. */
function fits({ channelBlock }: Lowering, { dtype, weight, groups }: Operands): boolean {
  return (
    channelBlock > 0 &&
    dtype === "f32" &&
    weight.length === 4 &&
    groups === 1 &&
    (weight[0] as number) % channelBlock === 0
  );
}

/** conv of x [N, C, H, W] and weight [O, C, h, w], or undefined where the layout does not fit. */
export function convInBlocks(
  graph: Lowering,
  [x, weight, ...bias]: readonly string[],
  operands: Operands,
  window: Window2D,
): string | undefined {
  const { channelBlock: block } = graph;
  const shape = operands.weight as WeightShape;
  const [outChannels, channels, ...kernel] = shape;
  const isFew = channels < block; // such as an image's three: these the kernel takes as they are
  if (!fits(graph, operands) || (channels % block !== 0 && !isFew)) return undefined;
  const input = isFew ? x : toBlocks(graph, x);
  const y = blockedConv(graph, [input, forwardWeight(graph, weight, shape), ...bias], kernel, window);
  return fromBlocks(graph, y, outChannels);
}

/** [O, C, h, w] -> [O / B, C / B, h, w, B of C, B of O], or [O / B, C, h, w, B of O] for few channels. */
function forwardWeight(graph: Lowering, weight: string, [outChannels, channels, height, width]: WeightShape): string {
  const { channelBlock: block } = graph;
  const taps = height * width;
  // [O / B, C taps, 1, B]
  const columns = toBlocks(graph, reshape(graph, weight, [outChannels / block, block, channels * taps, 1]));
  if (channels < block) return reshape(graph, columns, [outChannels, channels, height, width]);
  const rows = reshape(graph, columns, [outChannels / block, channels * taps, block]);
  const everyTap = Array.from({ length: taps }, (_, tap) => tap);
  return reshape(graph, gatherTaps(graph, rows, channels, taps, everyTap), [outChannels, channels, height, width]);
}

/**
 * Rows [..., channels all, B] -> [..., channels / B, taps, B, B]: of `all` taps of each channel those given, and blocks
 * of channels.
 */
function gatherTaps(graph: Lowering, rows: string, channels: number, all: number, taps: readonly number[]): string {
  const { channelBlock: block } = graph;
  const order: number[] = [];
  for (let first = 0; first < channels; first += block) {
    for (const tap of taps) for (let i = 0; i < block; i++) order.push((first + i) * all + tap);
  }
  return graph.node("Gather", [rows, i64Vector(graph, order)], { axis: 1 });
}

/**
 * The gradient of conv's x, of `sizes` [H, W], from dy [N, O, ...] and weight [O, C, h, w]. Positions of x that are
 * alike modulo the stride see the same part of the kernel: each such set is one convolution of dy without stride, and
 * the sets are interleaved. undefined where the layout does not fit.
 */
export function inputGradientInBlocks(
  graph: Lowering,
  [dy, weight]: readonly string[],
  operands: Operands,
  { stride, pads, dilation }: Window2D,
  [batch, dySizes, sizes]: readonly [Size, Pair, Pair],
): string | undefined {
  const [, channels, ...kernel] = operands.weight as WeightShape;
  if (
    !fits(graph, operands) ||
    channels % graph.channelBlock !== 0 ||
    dilation.some((step, i) => step !== 1 && stride[i] !== 1)
  )
    return undefined;
  const counts = [Math.ceil(sizes[0] / stride[0]), Math.ceil(sizes[1] / stride[1])] as const;
  const phases = [0, 1].map((axis) =>
    Array.from({ length: stride[axis] }, (_, at) =>
      phaseOf(at, kernel[axis], stride[axis], dilation[axis], pads[axis], counts[axis], dySizes[axis]),
    ),
  );
  if (phases.flat().some(({ taps, before, after }) => taps.length > 0 && (before < 0 || after < 0))) return undefined;
  const input = toBlocks(graph, dy);
  const weights = gradientWeight(graph, weight, operands.weight as WeightShape);
  const blocks = channels / graph.channelBlock;
  const rows = phases[0].map((row) => {
    const columns = phases[1].map((column) => {
      const part = [row.taps.length, column.taps.length] as const;
      if (part[0] * part[1] === 0)
        return graph.node("Expand", [graph.constant("f32", [], [0]), graph.sizes([batch, channels, ...counts])]);
      const taps = row.taps.flatMap((y) => column.taps.map((x) => y * kernel[1] + x));
      const window = { stride: [1, 1], dilation, pads: [row.before, column.before, row.after, column.after] };
      return blockedConv(graph, [input, weights(taps, part)], part, window);
    });
    return interleave(graph, columns, [batch, blocks, counts[0], counts[1], graph.channelBlock], 3);
  });
  const whole = interleave(graph, rows, [batch, blocks, counts[0], counts[1] * stride[1], graph.channelBlock], 2);
  const padded = [counts[0] * stride[0], counts[1] * stride[1]] as const;
  const dx = fromBlocks(graph, reshape(graph, whole, [batch, channels, ...padded]), channels);
  if (padded[0] === sizes[0] && padded[1] === sizes[1]) return dx;
  return graph.node("Slice", [dx, i64Vector(graph, [0, 0]), i64Vector(graph, sizes), i64Vector(graph, [2, 3])]);
}

/**
 * Along one axis, x at stride i + at gets dy[i + ahead - m] times the kernel's tap first + stride m, for every such
 * tap: a convolution of dy with those taps in reverse order and the padding returned.
 */
function phaseOf(
  at: number,
  kernel: number,
  stride: number,
  dilation: number,
  pad: number,
  count: number,
  size: number,
) {
  const first = (at + pad) % stride;
  const ahead = (at + pad - first) / stride;
  const taps: number[] = [];
  for (let tap = first; tap < kernel; tap += stride) taps.unshift(tap);
  const reach = dilation * (taps.length - 1);
  return { taps, before: reach - ahead, after: count + ahead - size };
}

/** Tensors of one shape -> the shape with that axis as many times as long, where their elements take turns. */
function interleave(graph: Lowering, parts: readonly string[], shape: readonly Size[], axis: number): string {
  if (parts.length === 1) return parts[0];
  const split = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
  return graph.node(
    "Concat",
    parts.map((part) => reshape(graph, part, split)),
    { axis: axis + 1 },
  );
}

/** Gives, for some taps of the weight [O, C, h, w], [C / B, O / B, taps, B of O, B of C]. */
function gradientWeight(graph: Lowering, weight: string, [outChannels, channels, height, width]: WeightShape) {
  const { channelBlock: block } = graph;
  const all = height * width;
  const byChannel = reshape(graph, toBlocks(graph, reshape(graph, weight, [outChannels, channels, all, 1])), [
    outChannels,
    channels / block,
    all * block,
  ]);
  const rows = reshape(graph, graph.node("Transpose", [byChannel], { perm: [1, 0, 2] }), [
    channels / block,
    outChannels * all,
    block,
  ]);
  return (taps: readonly number[], kernel: Pair): string =>
    reshape(graph, gatherTaps(graph, rows, outChannels, all, taps), [channels, outChannels, ...kernel]);
}

/**
 * The gradient of conv's weight [O, C, h, w], from x [N, C, H, W] and dy [N, O, ...]: a convolution in which the
 * channels of x are the examples, the examples are the channels that are summed over, and dy is the weight. undefined
 * where the layout does not fit.
 */
export function weightGradientInBlocks(
  graph: Lowering,
  [x, dy]: readonly string[],
  operands: Operands,
  { stride, pads, dilation }: Window2D,
  [batch, sizes, dySizes]: readonly [number, Pair, Pair],
): string | undefined {
  const { channelBlock: block } = graph;
  const [outChannels, channels, ...kernel] = operands.weight as WeightShape;
  const isProduct = kernel.every((size) => size === 1); // is faster as such: there is nothing to gather
  if (!fits(graph, operands) || batch % block !== 0 || isProduct) return undefined;
  const padded = [0, 1].map((i) => stride[i] * (dySizes[i] - 1) + 1 + dilation[i] * (kernel[i] - 1));
  // less than none where the last positions were left out
  const after = padded.map((size, i) => size - sizes[i] - pads[i]);
  // x as [C, N / B, H, W, B of N]; padding comes last, when it has the longest rows to copy
  const area = sizes[0] * sizes[1];
  const examples = toBlocks(graph, reshape(graph, x, [batch / block, block, channels, area]));
  const byChannel = graph.node("Transpose", [reshape(graph, examples, [batch / block, channels, area * block])], {
    perm: [1, 0, 2],
  });
  const rows = reshape(graph, byChannel, [channels * (batch / block), sizes[0], sizes[1] * block]);
  const isPadded = pads[0] !== 0 || pads[1] !== 0 || after[0] !== 0 || after[1] !== 0;
  const around = [0, pads[0], pads[1] * block, 0, after[0], after[1] * block];
  const whole = isPadded ? graph.node("Pad", [rows, i64Vector(graph, around)]) : rows;
  // dy as [O / B, N / B, H, W, B of N, B of O]
  const dyArea = dySizes[0] * dySizes[1];
  const upstream = reshape(graph, toBlocks(graph, dy), [batch / block, block, outChannels / block, dyArea, block]);
  const weight = graph.node("Transpose", [upstream], { perm: [2, 0, 3, 1, 4] });
  const window = { stride: dilation, pads: [0, 0, 0, 0], dilation: stride };
  const operand = reshape(graph, whole, [channels, batch, ...(padded as [number, number])]);
  const product = blockedConv(
    graph,
    [operand, reshape(graph, weight, [outChannels, batch, ...dySizes])],
    dySizes,
    window,
  ); // [C, O / B, h, w, B of O]
  const taps = kernel[0] * kernel[1];
  const turned = graph.node("Transpose", [reshape(graph, product, [channels, outChannels / block, taps * block])], {
    perm: [1, 0, 2],
  });
  const gradient = fromBlocks(graph, reshape(graph, turned, [outChannels / block, block, channels * taps, 1]), block);
  return reshape(graph, gradient, [outChannels, channels, ...kernel]);
}
