import { fromFloat16Bits, roundHalfToEven, toFloat16Bits } from "../base/index.ts";

const PART = 32;
const PARTS = 8;
const HIGHEST = 15;
const { fround } = Math;
/** As the processor rounds for ggml. */
const nearest = roundHalfToEven;
const clamp = (value: number, highest: number) => Math.max(0, Math.min(highest, value));

/** Scale and minimum of a part, the latter as what is taken off: at least 0. */
interface Fit {
  scale: number;
  minimum: number;
}

/**
 * The scale and minimum with the least weighted squared error: for each of some scales the integers are chosen, then
 * the best scale and minimum for these, as ggml does for its K formats.
 */
function fitPart(x: Float32Array, from: number): Fit {
  let squares = 0;
  let lowest = 0; // numbers above 0 keep 0 in the range
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < PART; i++) {
    const value = x[from + i];
    squares += value * value;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  if (highest <= lowest) return { scale: 0, minimum: -lowest };
  const mean = Math.sqrt(squares / PART);
  const weights = Float32Array.from({ length: PART }, (_, i) => mean + Math.abs(x[from + i]));
  let best: Fit = { scale: (highest - lowest) / HIGHEST, minimum: lowest };
  let bestError = errorOf(x, from, weights, best);
  const steps = 20;
  for (let step = 0; step <= steps; step++) {
    const inverse = (-1 + 0.1 * step + HIGHEST) / (highest - lowest);
    const candidate = solve(x, from, weights, lowest, inverse);
    if (!candidate) continue;
    const error = errorOf(x, from, weights, candidate);
    if (error < bestError) [best, bestError] = [candidate, error];
  }
  return { scale: best.scale, minimum: -best.minimum };
}

/** Least squares of x = scale q + minimum, for the integers that a scale gives. */
function solve(x: Float32Array, from: number, weights: Float32Array, lowest: number, inverse: number): Fit | undefined {
  let [sumW, sumL, sumL2, sumX, sumXL] = [0, 0, 0, 0, 0];
  for (let i = 0; i < PART; i++) {
    const q = clamp(nearest(inverse * (x[from + i] - lowest)), HIGHEST);
    const w = weights[i];
    sumW += w;
    sumL += w * q;
    sumL2 += w * q * q;
    sumX += w * x[from + i];
    sumXL += w * q * x[from + i];
  }
  const determinant = sumW * sumL2 - sumL * sumL;
  if (determinant <= 0) return undefined;
  const scale = (sumW * sumXL - sumX * sumL) / determinant;
  const minimum = (sumL2 * sumX - sumL * sumXL) / determinant;
  return minimum > 0 ? { scale: sumXL / sumL2, minimum: 0 } : { scale, minimum };
}

function errorOf(x: Float32Array, from: number, weights: Float32Array, { scale, minimum }: Fit): number {
  let error = 0;
  for (let i = 0; i < PART; i++) {
    const q = clamp(nearest((x[from + i] - minimum) / scale), HIGHEST);
    error += weights[i] * (scale * q + minimum - x[from + i]) ** 2;
  }
  return error;
}

/** 256 numbers as 8 parts of 4 bits, with scales and minimums of 6 bits. */
export function encodeQ4K(x: Float32Array, from: number, block: DataView, at: number): void {
  const fits = Array.from({ length: PARTS }, (_, part) => fitPart(x, from + part * PART));
  const largest = (of: (each: Fit) => number) => Math.max(0, ...fits.map(of));
  const [topScale, topMinimum] = [largest(({ scale }) => scale), largest(({ minimum }) => minimum)];
  const bits = (top: number) => toFloat16Bits(fround(top / 63));
  block.setUint16(at, bits(topScale), true);
  block.setUint16(at + 2, bits(topMinimum), true);
  const [scaleUnit, minimumUnit] = [fromFloat16Bits(bits(topScale)), fromFloat16Bits(bits(topMinimum))];
  const six = (value: number, top: number) => (top > 0 ? clamp(nearest((63 / top) * value), 63) : 0);
  const scales = fits.map(({ scale }) => six(scale, topScale));
  const minimums = fits.map(({ minimum }) => six(minimum, topMinimum));
  for (let part = 0; part < 4; part++) {
    block.setUint8(at + 4 + part, scales[part] | ((scales[part + 4] >> 4) << 6));
    block.setUint8(at + 8 + part, minimums[part] | ((minimums[part + 4] >> 4) << 6));
    block.setUint8(at + 12 + part, (scales[part + 4] & 15) | ((minimums[part + 4] & 15) << 4));
  }
  const integer = (i: number): number => {
    const part = i >> 5;
    const scale = fround(scaleUnit * scales[part]);
    return scale === 0 ? 0 : clamp(nearest((x[from + i] + fround(minimumUnit * minimums[part])) / scale), HIGHEST);
  };
  for (let pair = 0; pair < PARTS / 2; pair++) {
    for (let j = 0; j < PART; j++) {
      const first = pair * 2 * PART + j;
      block.setUint8(at + 16 + pair * PART + j, integer(first) | (integer(first + PART) << 4));
    }
  }
}
