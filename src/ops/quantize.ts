import { DTypeError, requireFloatDType, roundHalfToEven, ShapeError } from "../base/index.ts";
import { describe, type Node, normalizeAxis, requireStatic, type Value } from "../ir/index.ts";
import { apply, constantOf } from "./apply.ts";
import { add, clip, mul, round, sub } from "./arithmetic.ts";
import { stopGradient } from "./control.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { cast } from "./elementwise.ts";
import type { OpEntry } from "./entry.ts";
import { type HostTensor, hostTensor, stridesOf } from "./host-tensor.ts";
import { i64Vector, type Lowering, onnxTypeCode } from "./lowering.ts";
import { reshape } from "./shape.ts";
import { slice } from "./slice.ts";

/** Dtypes of quantized numbers: integers from -128 to 127, or from 0 to 255. */
export type QuantizedDType = "i8" | "u8";
const range = { i8: { low: -128, high: 127 }, u8: { low: 0, high: 255 } } as const;

/** The integers q that numbers x are stored as: x = (q - zeroPoint) scale. */
export interface QuantizeOptions {
  /** Step between two neighbouring numbers: one, or one for each size of `axis`. */
  scale: number | readonly number[] | Value;
  /** The integer that stands for 0. @default 0 */
  zeroPoint?: number | readonly number[] | Value;
  /** Axis that has a scale for each of its sizes. @default none */
  axis?: number;
  /** @default "i8" */
  dtype?: QuantizedDType;
}

type QuantizeAttributes = { axis: number; dtype: QuantizedDType };
const quantizeEntry = defineOp<"x" | "scale" | "zeroPoint", QuantizeAttributes>({
  name: "quantizeLinear",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "scale", "zeroPoint"],
  infer: ({ x, scale, zeroPoint }, { axis, dtype }) => {
    requireFloatDType("quantizeLinear", x.dtype);
    const isFine = scale.shape.length === 0 || (scale.shape.length === 1 && scale.shape[0] === x.shape[axis]);
    if (!isFine || zeroPoint.shape.length !== scale.shape.length || zeroPoint.dtype !== dtype) {
      throw new ShapeError({
        where: "quantizeLinear",
        expected: `one scale, or ${x.shape[axis]} for axis ${axis}, and as many zero points`,
        received: `scale ${describe(scale)}, zeroPoint ${describe(zeroPoint)}`,
        fix: "give the axis that the scales belong to",
      });
    }
    return { dtype, shape: x.shape };
  },
  gradient: notDifferentiable("rounds to integers; use fakeQuantize to train through it"),
  lower: (graph, { x, scale, zeroPoint }, { axis }) => graph.node("QuantizeLinear", [x, scale, zeroPoint], { axis }),
  reference: ({ x, scale, zeroPoint }, { axis, dtype }) => {
    const { low, high } = range[dtype];
    const stride = stridesOf(x.shape)[axis];
    return hostTensor(
      x.shape,
      x.data.map((v, i) => {
        const at = scale.data.length === 1 ? 0 : Math.floor(i / stride) % x.shape[axis];
        const whole = roundHalfToEven(v / scale.data[at]) + zeroPoint.data[at];
        return Number.isNaN(whole) ? low : Math.min(high, Math.max(low, whole));
      }),
    );
  },
});

const parameter = (value: number | readonly number[] | Value, dtype: Value["dtype"]): Value =>
  typeof value === "number"
    ? constantOf([value], [], dtype)
    : "node" in value
      ? value
      : constantOf(value, [value.length], dtype);

/** round(x / scale) + zeroPoint as 8-bit integers, cut at their range; halves are rounded to even, NaN is the least. */
export function quantizeLinear(x: Value, { scale, zeroPoint = 0, axis, dtype = "i8" }: QuantizeOptions): Value {
  const scales = parameter(scale, x.dtype);
  const zeros =
    typeof zeroPoint === "number" && scales.shape.length === 1
      ? new Array<number>(scales.shape[0] as number).fill(zeroPoint)
      : zeroPoint;
  const at = x.shape.length === 0 ? 0 : normalizeAxis("quantizeLinear", axis ?? 0, x.shape.length);
  return apply(quantizeEntry, [x, scales, parameter(zeros, dtype)], { axis: at, dtype });
}

/** (q - zeroPoint) scale, the reverse of quantizeLinear up to rounding. @default f32 */
export function dequantizeLinear(q: Value, { scale, zeroPoint = 0, axis }: Omit<QuantizeOptions, "dtype">): Value {
  const scales = parameter(scale, "f32");
  const { dtype } = scales;
  const alongAxis = (vector: Value) =>
    vector.shape.length === 0
      ? vector
      : reshape(vector, [
          -1,
          ...q.shape.slice(normalizeAxis("dequantizeLinear", axis ?? 0, q.shape.length) + 1).map(() => 1),
        ]);
  const zeros = cast(parameter(zeroPoint, dtype), dtype);
  return mul(sub(cast(q, dtype), alongAxis(zeros)), alongAxis(scales));
}

/** The rounding that `fakeQuantize` imitates. */
export interface FakeQuantizeOptions {
  /** Step between two neighbouring numbers. */
  scale: number;
  /** The integer that stands for 0. @default 0 */
  zeroPoint?: number;
  /** Smallest integer. @default -128 */
  quantMin?: number;
  /** Largest integer. @default 127 */
  quantMax?: number;
}
/**
 * x as it is after quantizing and dequantizing, with the gradient of x cut at the range's ends: training sees the
 * rounding. Jacob et al. 2017, arXiv:1712.05877, section 3; Bengio et al. 2013, arXiv:1308.3432 for the
 * straight-through gradient.
 */
export function fakeQuantize(
  x: Value,
  { scale, zeroPoint = 0, quantMin = -128, quantMax = 127 }: FakeQuantizeOptions,
): Value {
  const steps = mul(x, 1 / scale);
  const rounded = clip(round(steps), { min: quantMin - zeroPoint, max: quantMax - zeroPoint });
  // inside counts what rounds to a number of the range, half a step beyond its ends too
  const inside = clip(x, { min: (quantMin - zeroPoint - 0.5) * scale, max: (quantMax - zeroPoint + 0.5) * scale });
  return add(inside, stopGradient(sub(mul(rounded, scale), inside)));
}

/** How the weight of a `blockMatmul` is packed, and what becomes of x. */
export interface BlockMatmulOptions {
  /** Bits of one weight. */
  bits: 4 | 8;
  /** Weights that share a scale: 16, 32, 64, 128 or 256. */
  blockSize: number;
  /**
   * "int8" rounds x to 8 bits, with a scale for each block: several times as fast on the CPU, and what llama.cpp does.
   * Other devices compute in f32 all the same. @default "f32"
   */
  activations?: "f32" | "int8";
}
export type BlockAttributes = { bits: number; blockSize: number; features: number; activations: string };

/** MatMulNBits: the least accuracy that a kernel may have; 0 leaves it to the kernel, which computes in f32. */
const ACCURACY_INT8 = 4;

/** MatMulNBits of x and the names of its weights. */
export function lowerBlockMatmul(
  graph: Lowering,
  operands: readonly string[],
  { bits, blockSize, features, activations }: BlockAttributes,
  node: Node,
): string {
  const { shape } = node.inputs[0];
  const width = shape[shape.length - 1] as number;
  const accuracy = activations === "int8" && !graph.isWebGpu ? ACCURACY_INT8 : 0;
  return graph.node(
    "MatMulNBits",
    operands,
    { K: width, N: features, bits, block_size: blockSize, accuracy_level: accuracy },
    "com.microsoft",
  );
}

const blockMatmulEntry: OpEntry = defineOp<"x" | "packed" | "scales" | "zeroPoints", BlockAttributes>({
  name: "blockMatmul",
  precision: "low",
  batch: "leading",
  inputs: ["x", "packed", "scales", "zeroPoints"],
  infer: ({ x, packed, scales, zeroPoints }, { bits, blockSize, features }) => {
    requireFloatDType("blockMatmul", x.dtype);
    const width = x.shape[x.shape.length - 1] as number;
    const blocks = Math.ceil(width / blockSize);
    const isFine =
      String(packed.shape) === String([features, blocks, (blockSize * bits) / 8]) &&
      String(scales.shape) === String([features, blocks]) &&
      String(zeroPoints.shape) === String([features, Math.ceil((blocks * bits) / 8)]);
    if (!isFine) {
      throw new ShapeError({
        where: "blockMatmul",
        expected: `packed [N, ${blocks}, ${(blockSize * bits) / 8}], scales [N, ${blocks}] and one zero point for each scale`,
        received: `x ${describe(x)}, packed ${describe(packed)}, scales ${describe(scales)}`,
        fix: "quantize the weight with this block size and number of bits",
      });
    }
    if (packed.dtype !== "u8" || zeroPoints.dtype !== "u8") {
      throw new DTypeError({
        where: "blockMatmul",
        expected: "u8 weights and zero points",
        received: `${packed.dtype}, ${zeroPoints.dtype}`,
        fix: "pack them as bytes",
      });
    }
    return { dtype: x.dtype, shape: [...x.shape.slice(0, -1), features] };
  },
  gradient: ({ x, packed, scales, zeroPoints, dy }, attributes) => {
    const dx = apply(blockInputGradientEntry, [dy, packed, scales, zeroPoints], attributes);
    const width = x.shape[x.shape.length - 1] as number; // the last block may be longer than what is left of x
    return { x: dx.shape[dx.shape.length - 1] === width ? dx : slice(dx, { axis: -1, end: width }) };
  },
  lower: (graph, { x, packed, scales, zeroPoints }, attributes, node) =>
    lowerBlockMatmul(graph, [x, packed, scales, zeroPoints], attributes, node),
  reference: ({ x, packed, scales, zeroPoints }, { bits, blockSize, features }, [type]) => {
    const out = hostTensor(type.shape);
    const width = x.shape[x.shape.length - 1];
    const weightAt = blockReader({ packed, scales, zeroPoints }, { bits, blockSize });
    out.data.forEach((_, at) => {
      const [row, n] = [Math.floor(at / features), at % features];
      for (let k = 0; k < width; k++) out.data[at] += x.data[row * width + k] * weightAt(n, k);
    });
    return out;
  },
});

/** Gives the number of a row and a column that packed blocks stand for. */
function blockReader(
  { packed, scales, zeroPoints }: Record<"packed" | "scales" | "zeroPoints", HostTensor>,
  { bits, blockSize }: Pick<BlockAttributes, "bits" | "blockSize">,
): (row: number, column: number) => number {
  const blocks = scales.shape[1];
  const bytes = (blockSize * bits) / 8;
  const unpack = (data: Float64Array, first: number, i: number) =>
    bits === 8 ? data[first + i] : (data[first + (i >> 1)] >> (4 * (i & 1))) & 15;
  return (n, k) => {
    const block = Math.floor(k / blockSize);
    const q = unpack(packed.data, (n * blocks + block) * bytes, k % blockSize);
    const zero = unpack(zeroPoints.data, n * zeroPoints.shape[1], block);
    return (q - zero) * scales.data[n * blocks + block];
  };
}

/**
 * dy M with M = (8 - zeroPoint) scale for each weight of a block: what a product with zero points of 8 lacks. 4 bits,
 * an odd number of blocks.
 */
function lowerMiddles(
  graph: Lowering,
  { dy, scales, zeroPoints }: Record<"dy" | "scales" | "zeroPoints", string>,
  { blockSize, features }: Pick<BlockAttributes, "blockSize" | "features">,
  node: Node,
): string {
  const [{ dtype }, , { shape }] = node.inputs;
  const blocks = shape[1] as number;
  const number = (value: number) => graph.constant(dtype, [], [value]);
  const bytes = graph.node("Cast", [zeroPoints], { to: onnxTypeCode[dtype] }); // [N, (blocks + 1) / 2]
  const high = graph.node("Floor", [graph.node("Div", [bytes, number(16)])]);
  const low = graph.node("Sub", [bytes, graph.node("Mul", [high, number(16)])]);
  const columns = [low, high].map((half) => graph.node("Unsqueeze", [half, i64Vector(graph, [2])]));
  const pairs = graph.node("Reshape", [
    graph.node("Concat", columns, { axis: 2 }),
    i64Vector(graph, [features, blocks + 1]),
  ]);
  const points = graph.node("Slice", [pairs, ...[[0], [blocks], [1]].map((vector) => i64Vector(graph, vector))]);
  const middles = graph.node("Mul", [graph.node("Sub", [number(8), points]), scales]); // [N, blocks]
  const ofBlocks = graph.node("Unsqueeze", [graph.node("MatMul", [dy, middles]), i64Vector(graph, [-1])]);
  const { shape: full } = node.outputs[0];
  const repeated = graph.node("Expand", [ofBlocks, graph.sizes([...full.slice(0, -1), blocks, blockSize])]);
  return graph.node("Reshape", [repeated, graph.sizes(full)]);
}

/** Numbers of a weight that its gradient has in f32 at the same time. */
const EXPANDED_NUMBERS = 2 ** 22;

/**
 * dy W, the gradient of `blockMatmul` with respect to x: dy [..., N] -> [..., K]. The kernel for blocks has no such
 * product, so the rows of W are expanded, some at a time, and let go. Which rows are meant is computed from dy, with a
 * factor of 0: ONNX Runtime would otherwise expand all weights of a model at once, when the graph is compiled.
 */
const blockInputGradientEntry: OpEntry = defineOp<"dy" | "packed" | "scales" | "zeroPoints", BlockAttributes>({
  name: "blockInputGradient",
  precision: "low",
  batch: "leading",
  inputs: ["dy", "packed", "scales", "zeroPoints"],
  infer: ({ dy, scales }, { blockSize }) => ({
    dtype: dy.dtype,
    shape: [...dy.shape.slice(0, -1), (scales.shape[1] as number) * blockSize],
  }),
  // a product with W once more: its own gradient is that with Wᵀ
  gradient: ({ packed, scales, zeroPoints, dy }, attributes) => ({
    dy: apply(blockMatmulEntry, [dy, packed, scales, zeroPoints], attributes),
  }),
  lower: (graph, { dy, packed, scales, zeroPoints }, { bits, blockSize, features }, node) => {
    const width = node.outputs[0].shape[node.outputs[0].shape.length - 1] as number;
    const rank = node.inputs[0].shape.length;
    const [first, end] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(1)];
    const number = graph.node("Slice", [dy, i64Vector(graph, first), i64Vector(graph, end)]); // [1, ..., 1]
    const integer = graph.node("Reshape", [
      graph.node("Cast", [number], { to: onnxTypeCode.i64 }),
      i64Vector(graph, [1]),
    ]);
    const zero = graph.node("Mul", [integer, graph.constant("i64", [], [0])]);
    // a shape that is known when the graph runs: with another the constant would be copied
    const shape = graph.node("Add", [i64Vector(graph, [features, (width * bits) / 8]), zero]);
    const data = graph.node("Reshape", [packed, shape]);
    const count = Math.max(1, Math.floor(EXPANDED_NUMBERS / width));
    // zero points of an odd number of 4-bit blocks end in half a byte, which this kernel refuses on WebGPU
    const isHalfByte = graph.isWebGpu && bits === 4 && (width / blockSize) % 2 === 1;
    const zeros = isHalfByte ? [] : [zeroPoints];
    const products = isHalfByte ? [lowerMiddles(graph, { dy, scales, zeroPoints }, { blockSize, features }, node)] : [];
    for (let start = 0; start < features; start += count) {
      const stop = Math.min(features, start + count);
      const rows = Array.from({ length: stop - start }, (_, i) => start + i);
      const ids = graph.node("Add", [i64Vector(graph, rows), zero]);
      const settings = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 };
      const weights = graph.node("GatherBlockQuantized", [data, ids, scales, ...zeros], settings, "com.microsoft");
      const part =
        stop - start === features
          ? dy
          : graph.node("Slice", [dy, ...[[start], [stop], [-1]].map((vector) => i64Vector(graph, vector))]);
      products.push(graph.node("MatMul", [part, weights])); // [..., K]
    }
    return products.reduce((a, b) => graph.node("Add", [a, b]));
  },
  reference: ({ dy, packed, scales, zeroPoints }, { bits, blockSize, features }, [type]) => {
    const out = hostTensor(type.shape);
    const width = out.shape[out.shape.length - 1];
    const weightAt = blockReader({ packed, scales, zeroPoints }, { bits, blockSize });
    out.data.forEach((_, at) => {
      const [row, k] = [Math.floor(at / width), at % width];
      for (let n = 0; n < features; n++) out.data[at] += dy.data[row * features + n] * weightAt(n, k);
    });
    return out;
  },
});

/**
 * x Wᵀ with W in blocks of 4- or 8-bit integers, as in GPTQ and GGUF: w = (q - zeroPoint) scale.
 * x: [..., K], packed: u8 [N, K / blockSize, blockSize bits / 8], scales: [N, K / blockSize], zeroPoints: u8 packed
 * like the weights, [N, K / blockSize bits / 8] -> [..., N]. @default zeroPoints in the middle: 8 or 128
 */
export function blockMatmul(
  x: Value,
  packed: Value,
  scales: Value,
  zeroPoints: Value | undefined,
  options: BlockMatmulOptions,
): Value {
  const { bits, blockSize, activations = "f32" } = options;
  const [features, blocks] = requireStatic("blockMatmul", scales.shape);
  const columns = Math.ceil((blocks * bits) / 8);
  const zeros =
    zeroPoints ??
    constantOf(new Array<number>(features * columns).fill(bits === 8 ? 128 : 0x88), [features, columns], "u8");
  return apply(blockMatmulEntry, [x, packed, scales, zeros], { bits, blockSize, features, activations });
}
blockMatmul.entry = blockMatmulEntry;
