import { OptionError, requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, normalizeAxis, requireStatic, type Value } from "../ir/index.ts";
import { apply, constantOf, vector } from "./apply.ts";
import { mul } from "./arithmetic.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { gather } from "./gather.ts";
import { hostTensor, stridesOf } from "./host-tensor.ts";
import { pad } from "./movement.ts";
import { reshape } from "./shape.ts";
import { concat, slice } from "./slice.ts";

type DftAttributes = { axis: number; inverse: boolean };

/** Complex numbers are pairs: x [..., 2] -> [..., 2]. The inverse divides by the length. */
const dftEntry: OpEntry = defineOp<"x", DftAttributes>({
  name: "dft",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("fft", x.dtype);
    if (x.shape.length < 2 || x.shape[x.shape.length - 1] !== 2) {
      throw new ShapeError({
        where: "fft",
        expected: "complex numbers as [..., 2]",
        received: describe(x),
        fix: "use rfft for real numbers",
      });
    }
    return x;
  },
  // the transpose of the transform as a real matrix is its conjugate: the inverse without the division, and the other
  // way round
  gradient: ({ x, dy }, { axis, inverse }) => {
    const size = requireStatic("fft", x.shape)[axis];
    return { x: mul(apply(dftEntry, [dy], { axis, inverse: !inverse }), inverse ? 1 / size : size) };
  },
  lower: (graph, { x }, { axis, inverse }) =>
    graph.node("DFT", [x, "", graph.constant("i64", [], [axis])], { inverse: Number(inverse) }),
  reference: ({ x }, { axis, inverse }) => {
    const out = hostTensor(x.shape);
    const size = x.shape[axis];
    const stride = stridesOf(x.shape)[axis];
    const sign = inverse ? 1 : -1;
    for (let at = 0; at < x.data.length; at += 2) {
      const k = Math.floor(at / stride) % size;
      const start = at - k * stride;
      for (let n = 0; n < size; n++) {
        const angle = (sign * 2 * Math.PI * ((k * n) % size)) / size;
        const [re, im] = [x.data[start + n * stride], x.data[start + n * stride + 1]];
        out.data[at] += (re * Math.cos(angle) - im * Math.sin(angle)) / (inverse ? size : 1);
        out.data[at + 1] += (re * Math.sin(angle) + im * Math.cos(angle)) / (inverse ? size : 1);
      }
    }
    return out;
  },
});

/** Where the division by the length n happens: in the inverse, as 1/sqrt(n) in both, or in the forward transform. */
export type FftNorm = "backward" | "ortho" | "forward";
/** Which axis a Fourier transform runs along, and how it is scaled. */
export interface FftOptions {
  /** Axis of the array of complex numbers, without the trailing axis of pairs. @default the last */
  axis?: number;
  /** @default "backward" */
  norm?: FftNorm;
}

function transform(where: string, x: Value, inverse: boolean, { axis = -1, norm = "backward" }: FftOptions): Value {
  if (!["backward", "ortho", "forward"].includes(norm)) {
    throw new OptionError({
      where,
      expected: "norm to be backward, ortho or forward",
      received: String(norm),
      fix: "leave it out",
    });
  }
  const at = normalizeAxis(where, axis, x.shape.length - 1);
  const [size] = requireStatic(where, [x.shape[at]]);
  if (size === 0)
    throw new ShapeError({
      where,
      expected: "an axis that is not empty",
      received: describe(x),
      fix: "check the data",
    });
  const y = apply(dftEntry, [x], { axis: at, inverse });
  if (norm === "backward") return y;
  const factor = norm === "ortho" ? Math.sqrt(size) : size;
  return mul(y, inverse ? factor : 1 / factor);
}

/** Discrete Fourier transform of complex numbers. x: [..., 2] -> [..., 2] */
export const fft = (x: Value, options: FftOptions = {}): Value => transform("fft", x, false, options);
/** Inverse of fft. x: [..., 2] -> [..., 2] */
export const ifft = (x: Value, options: FftOptions = {}): Value => transform("ifft", x, true, options);

/**
 * The first n / 2 + 1 Fourier coefficients of real numbers; the others mirror them. x: [..., n, ...] -> [..., n/2 + 1,
 * ..., 2]
 */
export function rfft(x: Value, { axis = -1, ...options }: FftOptions = {}): Value {
  const at = normalizeAxis("rfft", axis, x.shape.length);
  const [size] = requireStatic("rfft", [x.shape[at]]);
  const complex = pad(reshape(x, [...x.shape, 1]), [[0, 1]]);
  return slice(fft(complex, { axis: at, ...options }), { axis: at, end: Math.floor(size / 2) + 1 });
}

/** Real numbers of which rfft makes x. @default n = 2 (size - 1) */
export function irfft(x: Value, { axis = -1, n, ...options }: FftOptions & { n?: number } = {}): Value {
  const at = normalizeAxis("irfft", axis, x.shape.length - 1);
  const [bins] = requireStatic("irfft", [x.shape[at]]);
  const length = n ?? 2 * (bins - 1);
  const needed = Math.floor(length / 2) + 1;
  const cut = bins > needed ? slice(x, { axis: at, end: needed }) : x;
  const half =
    bins < needed ? pad(cut, [...x.shape.slice(at).map((_, i) => [0, i === 0 ? needed - bins : 0] as const)]) : cut;
  // coefficient k of the missing half is the conjugate of coefficient n - k
  const mirrored = Array.from({ length: length - needed }, (_, i) => length - needed - i);
  const conjugate = mul(gather(half, vector(mirrored), at), constantOf([1, -1], [2], x.dtype));
  // the imaginary parts of coefficients 0 and n / 2 do not count
  const real = [0, ...(length % 2 === 0 ? [length / 2] : [])];
  const kept = Array.from({ length: needed }, (_, k) => [1, real.includes(k) ? 0 : 1]).flat();
  const mask = reshape(constantOf(kept, [needed, 2], x.dtype), [
    needed,
    ...new Array<number>(x.shape.length - at - 2).fill(1),
    2,
  ]);
  const full = concat(mirrored.length > 0 ? [mul(half, mask), conjugate] : [mul(half, mask)], at);
  const y = ifft(full, { axis: at, ...options });
  return reshape(slice(y, { axis: -1, end: 1 }), y.shape.slice(0, -1));
}
