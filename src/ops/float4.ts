/** Products with weights of 4 bits that stand for the places of a table of 16 numbers: NF4 and FP4. */
import { DTypeError, type Float4Type, float4Levels, float4Pairs, ShapeError } from "../base/index.ts";
import { describe, type Node, requireStatic, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";
import { i64Vector, type Lowering, onnxTypeCode } from "./lowering.ts";

type Float4Attributes = { type: Float4Type; blockSize: number; features: number };

/** MatMulBnb4 of ONNX Runtime: its numbers for the tables. */
const quantTypes = { fp4: 0, nf4: 1 } as const;

const float4MatmulEntry: OpEntry = defineOp<"x" | "packed" | "absmax", Float4Attributes>({
  name: "float4Matmul",
  precision: "f32",
  batch: "leading",
  inputs: ["x", "packed", "absmax"],
  infer: ({ x, packed, absmax }, { blockSize, features }) => {
    const width = x.shape[x.shape.length - 1] as number;
    const blocks = width / blockSize;
    const isFine =
      String(packed.shape) === String([features, blocks, blockSize / 2]) &&
      String(absmax.shape) === String([features, blocks]);
    if (!isFine) {
      throw new ShapeError({
        where: "float4Matmul",
        expected: `packed [N, K / ${blockSize}, ${blockSize / 2}] and absmax [N, K / ${blockSize}] for x [..., K]`,
        received: `x ${describe(x)}, packed ${describe(packed)}, absmax ${describe(absmax)}`,
        fix: "quantize the weight with this block size",
      });
    }
    if (x.dtype !== "f32" || absmax.dtype !== "f32" || packed.dtype !== "u8") {
      throw new DTypeError({
        where: "float4Matmul",
        expected: "x and absmax in f32, and u8 weights",
        received: `${x.dtype}, ${absmax.dtype}, ${packed.dtype}`,
        fix: 'cast x: cast(x, "f32")',
      });
    }
    return { dtype: "f32", shape: [...x.shape.slice(0, -1), features] };
  },
  // d(x Wᵀ) / dx: dy W; W is not trained
  gradient: ({ packed, absmax, dy }, attributes) => ({
    x: apply(float4InputGradientEntry, [dy, packed, absmax], attributes),
  }),
  lower: (graph, { x, packed, absmax }, { type, blockSize, features }, node) => {
    const { shape } = node.inputs[0];
    if (graph.isWebGpu) {
      const products = eachRows(graph, x, { packed, absmax }, node).map(({ weights }) =>
        graph.node("MatMul", [x, graph.node("Transpose", [weights], { perm: [1, 0] })]),
      );
      return products.length === 1 ? products[0] : graph.node("Concat", products, { axis: shape.length - 1 });
    }
    const width = shape[shape.length - 1] as number;
    return graph.node(
      "MatMulBnb4",
      [x, packed, absmax],
      { K: width, N: features, block_size: blockSize, quant_type: quantTypes[type] },
      "com.microsoft",
    );
  },
  reference: ({ x, packed, absmax }, { type, blockSize, features }, [{ shape }]) => {
    const out = hostTensor(shape);
    const width = x.shape[x.shape.length - 1];
    const weightAt = float4Reader({ packed, absmax }, { type, blockSize });
    out.data.forEach((_, at) => {
      const [row, n] = [Math.floor(at / features), at % features];
      for (let k = 0; k < width; k++) out.data[at] += x.data[row * width + k] * weightAt(n * width + k);
    });
    return out;
  },
});

/** Gives the number that a place of the flat weight stands for. */
function float4Reader(
  { packed, absmax }: Record<"packed" | "absmax", HostTensor>,
  { type, blockSize }: Pick<Float4Attributes, "type" | "blockSize">,
): (at: number) => number {
  const levels = float4Levels[type];
  return (at) => {
    const byte = packed.data[at >> 1];
    return levels[at % 2 === 0 ? byte >> 4 : byte & 15] * absmax.data[Math.floor(at / blockSize)];
  };
}

/** Numbers of a weight that are in f32 at the same time. */
const EXPANDED_NUMBERS = 2 ** 22;

/** Rows of a weight in f32, and which. */
interface ExpandedRows {
  weights: string; // [stop - start, K]
  start: number;
  stop: number;
}

/**
 * The rows of a weight, some at a time. Which rows are meant is computed from `source`, the input that is no weight,
 * with a factor of 0: ONNX Runtime would otherwise expand all weights of a model at once, when the graph is compiled.
 */
function eachRows(
  graph: Lowering,
  source: string,
  operands: Record<"packed" | "absmax", string>,
  { inputs: [{ shape }, packed], attributes }: Node,
): ExpandedRows[] {
  const { features, blockSize } = attributes as Float4Attributes;
  const width = (packed.shape[1] as number) * blockSize;
  const [first, end] = [0, 1].map((at) => i64Vector(graph, new Array<number>(shape.length).fill(at)));
  const number = graph.node("Slice", [source, first, end]); // [1, ..., 1]
  const integer = graph.node("Cast", [number], { to: onnxTypeCode.i64 });
  const zero = graph.node("Mul", [
    graph.node("Reshape", [integer, i64Vector(graph, [1])]),
    graph.constant("i64", [], [0]),
  ]);
  const expand = graph.isWebGpu ? expandOnWebGpu : expandPairs;
  const count = Math.max(1, Math.floor(EXPANDED_NUMBERS / width));
  const parts: ExpandedRows[] = [];
  for (let start = 0; start < features; start += count) {
    const stop = Math.min(features, start + count);
    const rows = Array.from({ length: stop - start }, (_, i) => start + i);
    const ids = graph.node("Add", [i64Vector(graph, rows), zero]);
    const levels = expand(graph, { ...operands, ids, zero }, { ...(attributes as Float4Attributes), width });
    const blocks = graph.node("Reshape", [levels, i64Vector(graph, [rows.length, width / blockSize, blockSize])]);
    const absmax = graph.node("Gather", [operands.absmax, ids], { axis: 0 });
    const scaled = graph.node("Mul", [blocks, graph.node("Unsqueeze", [absmax, i64Vector(graph, [2])])]);
    parts.push({ weights: graph.node("Reshape", [scaled, i64Vector(graph, [rows.length, width])]), start, stop });
  }
  return parts;
}

type Expand = (
  graph: Lowering,
  names: Record<"packed" | "ids" | "zero", string>,
  sizes: Float4Attributes & { width: number },
) => string;

/** Numbers of the table for rows of bytes, two for each byte. */
const expandPairs: Expand = (graph, { packed, ids }, { type }) => {
  const bytes = graph.node("Gather", [packed, ids], { axis: 0 });
  const places = graph.node("Cast", [bytes], { to: onnxTypeCode.i32 });
  return graph.node("Gather", [graph.constant("f32", [256, 2], float4Pairs(type)), places], { axis: 0 });
};

/**
 * The same on WebGPU, which computes with no bytes, but for weights of another kind: their numbers less 8 times 1. Of a
 * byte that kernel takes the low half first, so neighbours change places.
 */
const expandOnWebGpu: Expand = (graph, { packed, ids, zero }, { type, blockSize, features, width }) => {
  // a shape that is known when the graph runs: with another the constant would be copied
  const shape = graph.node("Add", [i64Vector(graph, [features, width / 2]), zero]);
  const data = graph.node("Reshape", [packed, shape]);
  const count = features * (width / blockSize);
  const ones = graph.constant("f32", [features, width / blockSize], new Array<number>(count).fill(1));
  const settings = { bits: 4, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
  const shifted = graph.node("GatherBlockQuantized", [data, ids, ones], settings, "com.microsoft"); // [rows, K]
  const places = graph.node("Cast", [graph.node("Add", [shifted, graph.constant("f32", [], [8])])], {
    to: onnxTypeCode.i32,
  });
  const pairs = graph.node("Reshape", [places, i64Vector(graph, [-1, 2])]);
  const [low, high] = [0, 1].map((at) => graph.node("Gather", [pairs, i64Vector(graph, [at])], { axis: 1 }));
  const ordered = graph.node("Concat", [high, low], { axis: 1 });
  return graph.node("Gather", [graph.constant("f32", [16], float4Levels[type]), ordered], { axis: 0 });
};

/** dy W, the gradient of `float4Matmul` with respect to x: dy [..., N] -> [..., K]. */
const float4InputGradientEntry: OpEntry = defineOp<"dy" | "packed" | "absmax", Float4Attributes>({
  name: "float4InputGradient",
  precision: "f32",
  batch: "leading",
  inputs: ["dy", "packed", "absmax"],
  infer: ({ dy, absmax }, { blockSize }) => ({
    dtype: dy.dtype,
    shape: [...dy.shape.slice(0, -1), (absmax.shape[1] as number) * blockSize],
  }),
  // a product with W once more: its own gradient is that with Wᵀ
  gradient: ({ packed, absmax, dy }, attributes) => ({
    dy: apply(float4MatmulEntry, [dy, packed, absmax], attributes),
  }),
  lower: (graph, { dy, packed, absmax }, { features }, node) => {
    const products = eachRows(graph, dy, { packed, absmax }, node).map(({ weights, start, stop }) => {
      const range = [[start], [stop], [-1]].map((vector) => i64Vector(graph, vector));
      const part = stop - start === features ? dy : graph.node("Slice", [dy, ...range]);
      return graph.node("MatMul", [part, weights]); // [..., K]
    });
    return products.reduce((a, b) => graph.node("Add", [a, b]));
  },
  reference: ({ dy, packed, absmax }, { type, blockSize, features }, [{ shape }]) => {
    const out = hostTensor(shape);
    const width = shape[shape.length - 1] as number;
    const weightAt = float4Reader({ packed, absmax }, { type, blockSize });
    out.data.forEach((_, at) => {
      const [row, k] = [Math.floor(at / width), at % width];
      for (let n = 0; n < features; n++) out.data[at] += dy.data[row * features + n] * weightAt(n * width + k);
    });
    return out;
  },
});

/** How the weight of a `float4Matmul` is packed. */
export interface Float4MatmulOptions {
  /** The table that the weights are places of. @default "nf4" */
  type?: Float4Type;
  /** Weights that share a factor: a power of two from 16 on. @default 64 */
  blockSize?: number;
}

/**
 * x Wᵀ with W in NF4 or FP4, as bitsandbytes packs it: w = level absmax, with 16 levels from -1 to 1. x: f32 [..., K],
 * packed: u8 [N, K / blockSize, blockSize / 2], of two numbers in a byte the high half first, absmax: f32 [N, K /
 * blockSize] -> [..., N]. Gradients go to x. Dettmers et al. 2023, arXiv:2305.14314.
 */
export function float4Matmul(
  x: Value,
  packed: Value,
  absmax: Value,
  { type = "nf4", blockSize = 64 }: Float4MatmulOptions = {},
): Value {
  const [features] = requireStatic("float4Matmul", absmax.shape);
  return apply(float4MatmulEntry, [x, packed, absmax], { type, blockSize, features });
}
float4Matmul.entry = float4MatmulEntry;
