import { applyOp, Graph, isStatic, type Node, placeholder, requireStatic, sizeOf, type Value } from "../ir/index.ts";
import { gelu, lowerGeluTanhSlope, SLICE_ELEMENTS } from "./activation.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { cast } from "./elementwise.ts";
import type { OpEntry } from "./entry.ts";
import { gather } from "./gather.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";
import type { Lowering } from "./lowering.ts";
import { matmul } from "./matmul.ts";
import { type BlockAttributes, blockMatmul, lowerBlockMatmul } from "./quantize.ts";

/** Ops that stand for several others. Only the passes of lower/ make them, after gradients have been taken. */
const MADE_AFTER_GRADIENTS = notDifferentiable("is made by passes that run after gradients are taken");

const plusBias = (x: HostTensor, bias: HostTensor) =>
  hostTensor(
    x.shape,
    x.data.map((v, i) => v + bias.data[i % bias.data.length]),
  );

/** GELU's tanh form of x + bias. x: f32 [..., F], bias: [F]. */
export const biasedGeluEntry: OpEntry = defineOp({
  name: "biasedGelu",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "bias"],
  infer: ({ x }) => x,
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, bias }) => graph.node("FastGelu", [x, bias], {}, "com.microsoft"),
  reference: ({ x, bias }, _, types) => gelu.entry.reference([plusBias(x, bias)], { approximate: "tanh" }, types)[0],
});

/** upstream times the slope of GELU's tanh form at x + bias. x, upstream: f32 [..., F], bias: [F]. */
export const biasedGeluGradientEntry: OpEntry = defineOp({
  name: "biasedGeluGradient",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "bias", "upstream"],
  infer: ({ x }) => x,
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, bias, upstream }, _, node) => {
    const { dtype, shape } = node.inputs[0];
    const slope = ([x, dy]: readonly string[]) => lowerGeluTanhSlope(graph, dtype, graph.node("Add", [x, bias]), dy);
    const slices = isStatic(shape) && !graph.isWebGpu ? slicesOfRows(shape) : 1;
    if (slices < 2) return slope([x, upstream]);
    const features = shape[shape.length - 1] as number;
    const slice = [(sizeOf(shape) as number) / features / slices, features];
    const cut = [x, upstream].map((name) => graph.node("Reshape", [name, graph.sizes([slices, ...slice])]));
    return graph.node("Reshape", [graph.scan(cut, { dtype, shape: slice }, slope), graph.sizes(shape)]);
  },
  reference: ({ x, bias, upstream }, _, types) =>
    gelu.tanhGradientEntry.reference([plusBias(x, bias), upstream], {}, types)[0],
});

/** A product with blocks, and a vector [N] added to it. */
function lowerBlockMatmulPlus(
  graph: Lowering,
  operands: readonly string[],
  addend: string,
  attributes: BlockAttributes,
  node: Node,
): string {
  // input 4 is an order of the columns, which there is none of
  if (!graph.isWebGpu) return lowerBlockMatmul(graph, [...operands, "", addend], attributes, node);
  return graph.node("Add", [lowerBlockMatmul(graph, operands, attributes, node), addend]);
}

/**
 * blockMatmul of one row x, with a row added to it that may be computed. addend: f32 [N]; the other inputs are those of
 * blockMatmul.
 */
export const blockMatmulPlusEntry: OpEntry = defineOp<
  "x" | "packed" | "scales" | "zeroPoints" | "addend",
  BlockAttributes
>({
  name: "blockMatmulPlus",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "packed", "scales", "zeroPoints", "addend"],
  infer: ({ x }, { features }) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), features] }),
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, packed, scales, zeroPoints, addend }, attributes, node) =>
    lowerBlockMatmulPlus(graph, [x, packed, scales, zeroPoints], addend, attributes, node),
  reference: ({ x, packed, scales, zeroPoints, addend }, attributes, types) => {
    const [product] = blockMatmul.entry.reference([x, packed, scales, zeroPoints], attributes, types);
    return plusBias(product, addend);
  },
});

/**
 * blockMatmul of one row x whose blocks have minimums, which are added to all their numbers: they meet the sums of what
 * the numbers are multiplied with. minimums: f32 [blocks, N]; the other inputs are those of blockMatmul. A vector, and
 * not a matrix of one row, goes through it: the kernel adds vectors alone, and no shape has to be changed on the way.
 */
export const blockMatmulMinimumsEntry: OpEntry = defineOp<
  "x" | "packed" | "scales" | "zeroPoints" | "minimums",
  BlockAttributes
>({
  name: "blockMatmulMinimums",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "packed", "scales", "zeroPoints", "minimums"],
  infer: ({ x }, { features }) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), features] }),
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, packed, scales, zeroPoints, minimums }, attributes, node) => {
    const [blocks] = requireStatic("blockMatmul", node.inputs[4].shape);
    const inBlocks = graph.node("Reshape", [x, graph.sizes([blocks, attributes.blockSize])]);
    const sums = graph.node("ReduceSum", [inBlocks, graph.constant("i64", [1], [1])], { keepdims: 0 }); // [blocks]
    graph.keepUnpacked(minimums);
    const addend = graph.node("MatMul", [sums, minimums]); // [N]
    return lowerBlockMatmulPlus(graph, [x, packed, scales, zeroPoints], addend, attributes, node);
  },
  reference: ({ x, packed, scales, zeroPoints, minimums }, attributes, types) => {
    const [product] = blockMatmul.entry.reference([x, packed, scales, zeroPoints], attributes, types);
    const [blocks, features] = minimums.shape;
    const addend = hostTensor([features]);
    for (let block = 0; block < blocks; block++) {
      const start = block * attributes.blockSize;
      const sum = x.data.subarray(start, start + attributes.blockSize).reduce((a, b) => a + b, 0);
      for (let n = 0; n < features; n++) addend.data[n] += sum * minimums.data[block * features + n];
    }
    return plusBias(product, addend);
  },
});

/** Numbers of a tile, in f32 4 MiB: as many as a core's cache holds, and so many that a step of the loop is nothing. */
const TILE_NUMBERS = 2 ** 20;

/**
 * Numbers of a weight from which on it is widened in a loop, if of one tile only: ONNX Runtime runs early what hangs on
 * a model's inputs alone, and casts outside of loops would all be in memory before the first product.
 */
export const LEAST_TILED_NUMBERS = 2 ** 15;

/** Into how many equal tiles of rows a weight is cut: the fewest that are small enough, 1 where there are none. */
export function tilesOf([rows, columns]: readonly number[]): number {
  const least = Math.ceil((rows * columns) / TILE_NUMBERS);
  for (let tiles = Math.max(least, 1); tiles <= Math.min(4 * least, rows); tiles++)
    if (rows % tiles === 0) return tiles;
  return 1;
}

/**
 * scale x Wᵀ with a weight in 16 bits, of which one tile of rows at a time is widened: it never is in memory in f32 as
 * a whole, and a tile is still in the cache when it is multiplied with. x: f32 [..., K], weight: f16 or bf16 [N, K] ->
 * [..., N]. The plain path is matmul(x, cast(weight, "f32"), { transposeB: true, scale }).
 */
export const tiledMatmulEntry: OpEntry = defineOp<"x" | "weight", { tiles: number; scale: number }>({
  name: "tiledMatmul",
  acceptsBfloat16: true,
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "weight"],
  infer: ({ x, weight }) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), weight.shape[0]] }),
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, weight }, { tiles, scale }, node) => {
    const [{ shape }, { dtype, shape: weightShape }] = node.inputs;
    const [rows, columns] = requireStatic("tiledMatmul", weightShape);
    const input = placeholder("x", node.inputs[0]);
    const times = (part: Value) =>
      applyOp(matmul.entry, [input, cast(part, "f32")], { transposeA: false, transposeB: true, scale });
    const whole = placeholder("weight", node.inputs[1]);
    if (graph.isWebGpu) return graph.inline(new Graph([input, whole], times(whole)), [x, weight])[0]; // it has no loops
    const tile = placeholder("tile", { dtype, shape: [rows / tiles, columns] });
    const body = { graph: new Graph([tile, input], times(tile)), captured: [x] };
    const cut = graph.node("Reshape", [weight, graph.sizes([tiles, rows / tiles, columns])]);
    const [parts] = graph.withBodies("Scan", [cut], 1, { body }, { num_scan_inputs: 1 }); // [tiles, ..., N / tiles]
    const rank = shape.length;
    const isRow = sizeOf(shape.slice(0, -1)) === 1;
    const order = [...Array.from({ length: rank - 1 }, (_, axis) => axis + 1), 0, rank];
    const inOrder = isRow ? parts : graph.node("Transpose", [parts], { perm: order });
    return graph.node("Reshape", [inOrder, graph.sizes(node.outputs[0].shape)]);
  },
  reference: ({ x, weight }, { scale }, types) =>
    matmul.entry.reference([x, weight], { transposeA: false, transposeB: true, scale }, types)[0],
});

/**
 * scale x W with a weight in 16 bits, a tile of rows at a time: what `tiledMatmul` becomes in a gradient with respect
 * to its input. x: f32 [..., N], weight: f16 or bf16 [N, K] -> [..., K]. The plain path is
 * matmul(x, cast(weight, "f32"), { scale }).
 */
export const tiledMatmulRowsEntry: OpEntry = defineOp<"x" | "weight", { tiles: number; scale: number }>({
  name: "tiledMatmulRows",
  acceptsBfloat16: true,
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "weight"],
  infer: ({ x, weight }) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), weight.shape[1]] }),
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, weight }, { tiles, scale }, node) => {
    const [rows, columns] = requireStatic("tiledMatmulRows", node.inputs[1].shape);
    const input = placeholder("x", node.inputs[0]);
    const times = (part: Value, of: Value) =>
      applyOp(matmul.entry, [of, cast(part, "f32")], { transposeA: false, transposeB: false, scale });
    const whole = placeholder("weight", node.inputs[1]);
    if (graph.isWebGpu) return graph.inline(new Graph([input, whole], times(whole, input)), [x, weight])[0];
    const height = rows / tiles;
    const tile = placeholder("tile", { dtype: node.inputs[1].dtype, shape: [height, columns] });
    const places = placeholder("places", { dtype: "i32", shape: [height] });
    const part = tiles === 1 ? input : gather(input, places, node.inputs[0].shape.length - 1);
    const body = { graph: new Graph([tile, places, input], times(tile, part)), captured: [x] };
    const cut = graph.node("Reshape", [weight, graph.sizes([tiles, height, columns])]);
    const all = graph.constant(
      "i32",
      [tiles, height],
      Array.from({ length: rows }, (_, i) => i),
    );
    const [parts] = graph.withBodies("Scan", [cut, all], 1, { body }, { num_scan_inputs: 2 }); // [tiles, ..., K]
    return graph.node("ReduceSum", [parts, graph.constant("i64", [1], [0])], { keepdims: 0 });
  },
  reference: ({ x, weight }, { scale }, types) =>
    matmul.entry.reference([x, weight], { transposeA: false, transposeB: false, scale }, types)[0],
});

/**
 * Into how many equal slices of whole rows a tensor is cut: the fewest that are small enough, 1 when there are none.
 */
function slicesOfRows(shape: readonly number[]): number {
  const features = shape[shape.length - 1];
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  for (let slices = Math.max(1, Math.round((rows * features) / SLICE_ELEMENTS)); slices <= rows; slices++)
    if (rows % slices === 0) return slices;
  return 1;
}
