import { DTypeError, requireFloatDType, roundHalfToEven, ShapeError } from "../base/index.ts";
import { describe, type Node, normalizeAxis, requireStatic, type Value } from "../ir/index.ts";
import { apply, constantOf } from "./apply.ts";
import { add, clip, floor, mul, round, sub } from "./arithmetic.ts";
import { stopGradient } from "./control.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { cast } from "./elementwise.ts";
import type { OpEntry } from "./entry.ts";
import { hostTensor, stridesOf } from "./host-tensor.ts";
import type { Lowering } from "./lowering.ts";
import { matmul } from "./matmul.ts";
import { stack } from "./movement.ts";
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
  gradient: ({ x, packed, scales, zeroPoints, dy }, { bits, blockSize }) => ({
    x: matmul(
      dy,
      dequantizeBlocks(packed, scales, zeroPoints, x.shape[x.shape.length - 1] as number, {
        bits: bits as 4 | 8,
        blockSize,
      }),
    ),
  }),
  lower: (graph, { x, packed, scales, zeroPoints }, attributes, node) =>
    lowerBlockMatmul(graph, [x, packed, scales, zeroPoints], attributes, node),
  reference: ({ x, packed, scales, zeroPoints }, { bits, blockSize, features }, [type]) => {
    const out = hostTensor(type.shape);
    const width = x.shape[x.shape.length - 1];
    const blocks = scales.shape[1];
    const bytes = (blockSize * bits) / 8;
    const unpack = (data: Float64Array, first: number, i: number) =>
      bits === 8 ? data[first + i] : (data[first + (i >> 1)] >> (4 * (i & 1))) & 15;
    out.data.forEach((_, at) => {
      const [row, n] = [Math.floor(at / features), at % features];
      for (let k = 0; k < width; k++) {
        const block = Math.floor(k / blockSize);
        const q = unpack(packed.data, (n * blocks + block) * bytes, k % blockSize);
        const zero = unpack(zeroPoints.data, n * zeroPoints.shape[1], block);
        out.data[at] += x.data[row * width + k] * (q - zero) * scales.data[n * blocks + block];
      }
    });
    return out;
  },
});

/** The numbers that packed blocks stand for: [N, K]. */
export function dequantizeBlocks(
  packed: Value,
  scales: Value,
  zeroPoints: Value,
  width: number,
  { bits, blockSize }: BlockMatmulOptions,
): Value {
  const [features, blocks] = requireStatic("dequantizeBlocks", scales.shape);
  const numbers = unpackBits(packed, [features, blocks, blockSize], bits, scales.dtype);
  const zeros = unpackBits(zeroPoints, [features, -1], bits, scales.dtype);
  const exact = reshape(zeros.shape[1] === blocks ? zeros : sliceColumns(zeros, blocks), [features, blocks, 1]);
  const weights = reshape(mul(sub(numbers, exact), reshape(scales, [features, blocks, 1])), [
    features,
    blocks * blockSize,
  ]);
  return blocks * blockSize === width ? weights : sliceColumns(weights, width);
}

const sliceColumns = (x: Value, count: number) => slice(x, { axis: 1, end: count });

/** Bytes as numbers; of two 4-bit numbers in a byte the low one comes first. */
function unpackBits(bytes: Value, shape: readonly number[], bits: 4 | 8, dtype: Value["dtype"]): Value {
  const numbers = cast(bytes, dtype);
  if (bits === 8) return reshape(numbers, shape);
  const high = floor(mul(numbers, 1 / 16));
  return reshape(stack([sub(numbers, mul(high, 16)), high], -1), shape);
}

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
