/**
 * Resizing as products with small matrices, one for each axis: every mode, its gradient and every device come from
 * matmul. The rows of the matrices say how each output element is mixed from the input's, as PyTorch has it.
 */
import { OptionError, requireFloatDType, ShapeError } from "../base/index.ts";
import { requireStatic, type Value } from "../ir/index.ts";
import { constantOf } from "./apply.ts";
import { matmul } from "./matmul.ts";
import { repeatInterleave } from "./movement.ts";
import { reshape, transpose } from "./shape.ts";

/** How elements between those of the input are computed, with the names of torch.nn.functional.interpolate. */
export type ResizeMode = "nearest" | "nearest-exact" | "linear" | "bilinear" | "trilinear" | "bicubic" | "area";
/** New sizes of the spatial axes, and how `interpolate` fills them. */
export interface InterpolateOptions {
  /** Output sizes of the spatial axes. Give this or scaleFactor. */
  size?: number | readonly number[];
  /** Output sizes as multiples of the input's, rounded down. */
  scaleFactor?: number | readonly number[];
  /** @default "nearest" */
  mode?: ResizeMode;
  /** Corner elements keep their values: positions are spread from the first to the last. @default false */
  alignCorners?: boolean;
  /** Widen the filter when making smaller, as image libraries do; bilinear and bicubic only. @default false */
  antialias?: boolean;
}

/** Multiplies one axis by a matrix: rows [out][in]. */
export function contractAxis(x: Value, rows: readonly (readonly number[])[], axis: number): Value {
  const [size, ...behind] = requireStatic("resize", x.shape.slice(axis));
  const after = behind.reduce((a, b) => a * b, 1);
  const matrix = constantOf(rows.flat(), [rows.length, size], x.dtype);
  const shape = [...x.shape.slice(0, axis), rows.length, ...behind];
  if (after === 1) return reshape(matmul(reshape(x, [-1, size]), matrix, { transposeB: true }), shape);
  return reshape(matmul(matrix, reshape(x, [-1, size, after])), shape);
}

/** Keys' cubic convolution with a = -3/4, or -1/2 when antialiasing, as PyTorch has it. Keys 1981. */
function cubic(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}
const triangle = (x: number) => Math.max(0, 1 - Math.abs(x));

interface AxisPlan {
  size: number;
  outSize: number;
  mode: ResizeMode;
  alignCorners: boolean;
  antialias: boolean;
  /** Input elements for one output element. */
  step: number;
}

function matrixRows({ size, outSize, mode, alignCorners, antialias, step }: AxisPlan): number[][] {
  const row = (weights: (add: (at: number, weight: number) => void) => void) => {
    const out = new Array<number>(size).fill(0);
    weights((at, weight) => {
      out[Math.min(size - 1, Math.max(0, at))] += weight;
    });
    return out;
  };
  return Array.from({ length: outSize }, (_, i) => {
    if (mode === "nearest") return row((add) => add(Math.floor(i * step), 1));
    if (mode === "nearest-exact") return row((add) => add(Math.floor((i + 0.5) * step), 1));
    if (mode === "area") {
      const [start, end] = [Math.floor((i * size) / outSize), Math.ceil(((i + 1) * size) / outSize)];
      return row((add) => {
        for (let at = start; at < end; at++) add(at, 1 / (end - start));
      });
    }
    if (antialias) return antialiasedRow(i, size, step, mode);
    const center = alignCorners ? (outSize > 1 ? (i * (size - 1)) / (outSize - 1) : 0) : (i + 0.5) * step - 0.5;
    if (mode === "bicubic") {
      const first = Math.floor(center);
      return row((add) => {
        for (let at = first - 1; at <= first + 2; at++) add(at, cubic(center - at, -0.75));
      });
    }
    const position = Math.max(0, center);
    const first = Math.min(size - 1, Math.floor(position));
    return row((add) => {
      add(first, 1 - (position - first));
      add(first + 1, position - first);
    });
  });
}

function antialiasedRow(i: number, size: number, step: number, mode: ResizeMode): number[] {
  const scale = Math.max(1, step);
  const support = (mode === "bicubic" ? 2 : 1) * scale;
  const center = (i + 0.5) * step;
  const start = Math.max(0, Math.floor(center - support + 0.5));
  const end = Math.min(size, Math.floor(center + support + 0.5));
  const weights = Array.from({ length: size }, (_, at) => {
    if (at < start || at >= end) return 0;
    const distance = (at - center + 0.5) / scale;
    return mode === "bicubic" ? cubic(distance, -0.5) : triangle(distance);
  });
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/**
 * Resizes the spatial axes. x: [N, C, ...sizes] -> [N, C, ...size].
 * @throws OptionError when not exactly one of size and scaleFactor is given, or the mode does not fit
 */
export function interpolate(
  x: Value,
  { size, scaleFactor, mode = "nearest", alignCorners = false, antialias = false }: InterpolateOptions,
): Value {
  requireFloatDType("interpolate", x.dtype);
  const sizes = requireStatic("interpolate", x.shape.slice(2));
  if ((size === undefined) === (scaleFactor === undefined)) {
    throw new OptionError({
      where: "interpolate",
      expected: "either size or scaleFactor",
      received: size === undefined ? "neither" : "both",
      fix: "give one",
    });
  }
  const isSmooth = mode !== "nearest" && mode !== "nearest-exact" && mode !== "area";
  if ((alignCorners && !isSmooth) || (antialias && mode !== "bilinear" && mode !== "bicubic")) {
    throw new OptionError({
      where: "interpolate",
      expected: "options that the mode has",
      received: `mode ${mode}`,
      fix: "leave out alignCorners or antialias",
    });
  }
  const perAxis = (value: number | readonly number[]) => (typeof value === "number" ? sizes.map(() => value) : value);
  const factors = scaleFactor === undefined ? undefined : perAxis(scaleFactor);
  const targets = factors ? factors.map((factor, i) => Math.floor(sizes[i] * factor)) : perAxis(size as number);
  if (targets.length !== sizes.length || targets.some((target) => !Number.isInteger(target) || target < 1)) {
    throw new ShapeError({
      where: "interpolate",
      expected: `${sizes.length} sizes of at least 1`,
      received: `[${targets}]`,
      fix: "one for each spatial axis",
    });
  }
  return targets.reduce((resized, outSize, i) => {
    const inSize = sizes[i];
    const step = factors && mode !== "area" ? 1 / factors[i] : inSize / outSize;
    if (mode.startsWith("nearest") && outSize % inSize === 0) return repeatInterleave(resized, outSize / inSize, i + 2);
    if (outSize === inSize && step === 1) return resized;
    return contractAxis(resized, matrixRows({ size: inSize, outSize, mode, alignCorners, antialias, step }), i + 2);
  }, x);
}

/**
 * Channels become blocks of r x r elements. x: [N, C r², H, W] -> [N, C, H r, W r]. Shi et al. 2016, arXiv:1609.05158.
 */
export function pixelShuffle(x: Value, upscaleFactor: number): Value {
  const [n, channels, height, width] = requireStatic("pixelShuffle", x.shape);
  const r = upscaleFactor;
  if (channels % (r * r) !== 0) {
    throw new ShapeError({
      where: "pixelShuffle",
      expected: `channels divisible by ${r * r}`,
      received: String(channels),
      fix: "change the layer before",
    });
  }
  const cut = reshape(x, [n, channels / (r * r), r, r, height, width]);
  return reshape(transpose(cut, [0, 1, 4, 2, 5, 3]), [n, channels / (r * r), height * r, width * r]);
}

/** Blocks of r x r elements become channels: the reverse of pixelShuffle. x: [N, C, H r, W r] -> [N, C r², H, W] */
export function pixelUnshuffle(x: Value, downscaleFactor: number): Value {
  const [n, channels, height, width] = requireStatic("pixelUnshuffle", x.shape);
  const r = downscaleFactor;
  if (height % r !== 0 || width % r !== 0) {
    throw new ShapeError({
      where: "pixelUnshuffle",
      expected: `height and width divisible by ${r}`,
      received: `${height} x ${width}`,
      fix: "pad or crop the image",
    });
  }
  const cut = reshape(x, [n, channels, height / r, r, width / r, r]);
  return reshape(transpose(cut, [0, 1, 3, 5, 2, 4]), [n, channels * r * r, height / r, width / r]);
}

/** New sizes of all axes, and how `resampleAxes` fills them, in the terms of ONNX's Resize. */
export interface ResampleOptions {
  /** Output sizes of all axes. Give these or scales. */
  sizes?: readonly number[];
  /** Output sizes as multiples of the input's, rounded down. */
  scales?: readonly number[];
  /** How elements between those of the input are computed. */
  mode: "nearest" | "linear" | "cubic";
  /** How output positions become input positions: ONNX's coordinate_transformation_mode. */
  place: string;
  /** How positions are rounded: ONNX's nearest_mode. */
  nearest: string;
  /** Of cubic interpolation: ONNX's cubic_coeff_a. */
  cubicCoefficient: number;
  /** Widen the filter when making smaller. */
  antialias: boolean;
  /** Elements beyond the border do not count. */
  excludeOutside: boolean;
}

const roundings: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Where output element i lies among the input's `size` elements. */
function inputPosition(
  i: number,
  { size, outSize, scale, place }: { size: number; outSize: number; scale: number; place: string },
): number {
  const outLength = scale * size; // not always a whole number
  if (place === "align_corners") return outLength > 1 ? (i * (size - 1)) / (outLength - 1) : 0;
  if (place === "asymmetric") return i / scale;
  if (place === "pytorch_half_pixel") return outLength > 1 ? (i + 0.5) / scale - 0.5 : 0;
  if (place === "half_pixel_symmetric") return (size / 2) * (1 - outSize / outLength) + (i + 0.5) / scale - 0.5;
  return (i + 0.5) / scale - 0.5;
}

/** Weights of the input's elements for a place among them. */
function filterRow(
  center: number,
  size: number,
  reach: number,
  { mode, cubicCoefficient, excludeOutside }: ResampleOptions,
): number[] {
  const row = new Array<number>(size).fill(0);
  const support = (mode === "cubic" ? 2 : 1) * reach;
  for (let at = Math.floor(center - support) + 1; at < center + support; at++) {
    const distance = (at - center) / reach;
    const weight = mode === "cubic" ? cubic(distance, cubicCoefficient) : triangle(distance);
    // beyond the border the last element repeats, unless it is not to count
    if (!excludeOutside || (at >= 0 && at < size)) row[Math.min(size - 1, Math.max(0, at))] += weight;
  }
  const total = row.reduce((a, b) => a + b, 0);
  return row.map((weight) => weight / total);
}

/** Resizing of all axes with the conventions of ONNX's Resize. */
export function resampleAxes(x: Value, options: ResampleOptions): Value {
  const { sizes, scales, mode, place, nearest, antialias } = options;
  const inSizes = requireStatic("resize", x.shape);
  const targets = sizes ?? inSizes.map((size, i) => Math.floor(size * (scales?.[i] ?? 1)));
  return targets.reduce((resized, outSize, axis) => {
    const size = inSizes[axis];
    const scale = scales?.[axis] ?? outSize / size;
    if (outSize === size && scale === 1) return resized;
    const reach = antialias ? Math.max(1, 1 / scale) : 1;
    const rows = Array.from({ length: outSize }, (_, i) => {
      const center = inputPosition(i, { size, outSize, scale, place });
      if (mode !== "nearest") return filterRow(center, size, reach, options);
      const chosen = Math.min(size - 1, Math.max(0, (roundings[nearest] ?? roundings.round_prefer_floor)(center)));
      return Array.from({ length: size }, (_, at) => Number(at === chosen));
    });
    return contractAxis(resized, rows, axis);
  }, x);
}
