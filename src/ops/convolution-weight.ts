/** The gradient of a convolution's weight in ONNX, which has no operator for it: two ways. */
import { type Node, requireStatic, type Size } from "../ir/index.ts";
import { type ConvAttributes, windowCounts } from "./convolution-window.ts";
import { forEachIndex } from "./host-tensor.ts";
import { i64Vector, type Lowering } from "./lowering.ts";

export type WeightGradientAttributes = ConvAttributes & { kernel: readonly Size[] };

/**
 * dW as one large product: dy as [O, N L] times the windows' elements as [kernel C, N L], transposed. Three times as
 * fast on the CPU as a convolution, whose products would be as narrow as the kernel.
 */
export function weightGradientByProduct(
  graph: Lowering,
  x: string,
  upstream: string,
  { stride, pads, dilation, kernel }: WeightGradientAttributes,
  node: Node,
): string {
  const [[batch, channels, ...sizes], [, outChannels, ...counts]] = node.inputs.map(({ shape }) =>
    requireStatic("convWeightGradient", shape),
  );
  const rank = sizes.length;
  const axes = sizes.map((_, i) => i);
  const [before, after] = [pads.slice(0, rank), pads.slice(rank)];
  const zero = graph.constant(node.inputs[0].dtype, [], [0]);
  const padded = pads.some((pad) => pad > 0)
    ? graph.node("Pad", [x, i64Vector(graph, [0, 0, ...before, 0, 0, ...after]), zero])
    : x;
  const swap = [1, 0, ...axes.map((i) => i + 2)];
  const images = graph.node("Transpose", [padded], { perm: swap }); // [C, N, ...]
  const columns = batch * counts.reduce((a, b) => a * b, 1);
  const windows: string[] = [];
  forEachIndex(kernel as readonly number[], (offset) => {
    const starts = axes.map((i) => offset[i] * dilation[i]);
    const ends = axes.map((i) => starts[i] + stride[i] * (counts[i] - 1) + 1);
    const window = graph.node("Slice", [
      images,
      i64Vector(graph, starts),
      i64Vector(graph, ends),
      i64Vector(
        graph,
        axes.map((i) => i + 2),
      ),
      i64Vector(graph, stride),
    ]);
    windows.push(graph.node("Reshape", [window, i64Vector(graph, [channels, columns])]));
  });
  const elements = windows.length > 1 ? graph.node("Concat", windows, { axis: 0 }) : windows[0]; // [kernel C, N L]
  const dy = graph.node("Reshape", [
    graph.node("Transpose", [upstream], { perm: swap }),
    i64Vector(graph, [outChannels, columns]),
  ]);
  const product = graph.node("Gemm", [dy, elements], { transB: 1 }); // [O, kernel C]
  const turned = graph.node(
    "Transpose",
    [graph.node("Reshape", [product, i64Vector(graph, [outChannels, windows.length, channels])])],
    { perm: [0, 2, 1] },
  );
  return graph.node("Reshape", [turned, i64Vector(graph, [outChannels, channels, ...(kernel as readonly number[])])]);
}

/** dW as a convolution of x with dy in the place of the weight; examples are the channels that are summed over. */
export function weightGradientByConv(
  graph: Lowering,
  x: string,
  upstream: string,
  attributes: WeightGradientAttributes,
  node: Node,
): string {
  const { stride, pads, dilation, groups, kernel } = attributes;
  const [[batch, channels, ...sizes], [, , ...counts]] = node.inputs.map(({ shape }) =>
    requireStatic("convWeightGradient", shape),
  );
  const axes = sizes.map((_, i) => i);
  const perGroup = channels / groups;
  const cut = graph.node("Reshape", [x, graph.sizes([batch, groups, perGroup, ...sizes])]);
  const turned = graph.node("Transpose", [cut], { perm: [2, 1, 0, ...axes.map((i) => i + 3)] });
  const images = graph.node("Reshape", [turned, graph.sizes([perGroup, groups * batch, ...sizes])]);
  const swap = [1, 0, ...axes.map((i) => i + 2)];
  const window = graph.node("Transpose", [upstream], { perm: swap }); // [O, N, ...]
  // [C / groups, O, ...]
  const correlation = graph.node("Conv", [images, window], {
    strides: dilation,
    dilations: stride,
    pads,
    group: groups,
  });
  if (axes.length > 2) graph.keepOnCpu();
  const gradient = graph.node("Transpose", [correlation], { perm: swap });
  const reach = windowCounts(sizes, counts, { stride: dilation, dilation: stride, pads });
  if (reach.every((size, i) => size === kernel[i])) return gradient;
  return graph.node("Slice", [
    gradient,
    ...[axes.map(() => 0), kernel as readonly number[], axes.map((i) => i + 2)].map((values) =>
      i64Vector(graph, values),
    ),
  ]);
}
