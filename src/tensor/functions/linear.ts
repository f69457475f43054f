/** Products, convolutions, pooling, resizing and transforms. */
import { type FloatDType, known } from "../../base/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

/** Matrix product over the last two axes; leading axes broadcast. a: [..., M, K], b: [..., K, N] -> [..., M, N] */
export function matmul<D extends FloatDType>(
  a: Tensor<D>,
  b: Tensor<NoInfer<D>>,
  options?: ops.MatmulOptions,
): Tensor<D> {
  return new Tensor(
    ops.matmul(a.ir, b.ir, known("matmul", options, { transposeA: true, transposeB: true, scale: true })),
  );
}

/** x W + b. x: [..., D], weight: [D, F] (or [F, D] with transposeB), bias: [F] -> [..., F] */
export function linear<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>>,
  options?: { transposeB?: boolean },
): Tensor<D> {
  return new Tensor(ops.linear(x.ir, weight.ir, bias.ir, known("linear", options, { transposeB: true })));
}

/** Einstein summation, as in numpy: einsum("bij,bjk->bik", a, b). */
export function einsum<D extends FloatDType>(equation: string, ...operands: readonly Tensor<D>[]): Tensor<D> {
  return new Tensor(ops.einsum(equation, ...operands.map(({ ir: value }) => value)));
}

/** Convolution. x: [N, C, ...sizes], weight: [O, C / groups, ...kernel], bias: [O] -> [N, O, ...counts] */
export function conv<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias?: Tensor<NoInfer<D>>,
  options?: ops.ConvOptions,
): Tensor<D> {
  return new Tensor(
    ops.conv(
      x.ir,
      weight.ir,
      bias?.ir,
      known("conv", options, { stride: true, padding: true, dilation: true, groups: true }),
    ),
  );
}
/** Transposed convolution. x: [N, C, ...sizes], weight: [C, O / groups, ...kernel], bias: [O] -> [N, O, ...] */
export function convTranspose<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias?: Tensor<NoInfer<D>>,
  options?: ops.ConvTransposeOptions,
): Tensor<D> {
  return new Tensor(
    ops.convTranspose(
      x.ir,
      weight.ir,
      bias?.ir,
      known("convTranspose", options, {
        stride: true,
        padding: true,
        dilation: true,
        groups: true,
        outputPadding: true,
      }),
    ),
  );
}
/** Largest element of each window. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function maxPool<D extends FloatDType>(x: Tensor<D>, options: ops.MaxPoolOptions): Tensor<D> {
  return new Tensor(
    ops.maxPool(
      x.ir,
      known("maxPool", options, { kernelSize: true, stride: true, padding: true, ceilMode: true, dilation: true }),
    ),
  );
}
/** Mean of each window. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function averagePool<D extends FloatDType>(x: Tensor<D>, options: ops.AveragePoolOptions): Tensor<D> {
  return new Tensor(
    ops.averagePool(
      x.ir,
      known("averagePool", options, {
        kernelSize: true,
        stride: true,
        padding: true,
        ceilMode: true,
        countIncludePad: true,
      }),
    ),
  );
}
/** Mean of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveAveragePool<D extends FloatDType>(
  x: Tensor<D>,
  outputSize: number | readonly number[],
): Tensor<D> {
  return new Tensor(ops.adaptiveAveragePool(x.ir, outputSize));
}
/** Largest of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveMaxPool<D extends FloatDType>(x: Tensor<D>, outputSize: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.adaptiveMaxPool(x.ir, outputSize));
}
/** Mean over all spatial axes, kept with size 1. x: [N, C, ...sizes] -> [N, C, 1, ...] */
export function globalAveragePool<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.globalAveragePool(x.ir));
}
/** Largest over all spatial axes, kept with size 1. x: [N, C, ...sizes] -> [N, C, 1, ...] */
export function globalMaxPool<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.globalMaxPool(x.ir));
}
/** Resizes the spatial axes. x: [N, C, ...sizes] -> [N, C, ...size]. @default nearest */
export function interpolate<D extends FloatDType>(x: Tensor<D>, options: ops.InterpolateOptions): Tensor<D> {
  return new Tensor(
    ops.interpolate(
      x.ir,
      known("interpolate", options, { size: true, scaleFactor: true, mode: true, alignCorners: true, antialias: true }),
    ),
  );
}
/** Channels become blocks of r x r elements. x: [N, C r², H, W] -> [N, C, H r, W r] */
export function pixelShuffle<D extends FloatDType>(x: Tensor<D>, upscaleFactor: number): Tensor<D> {
  return new Tensor(ops.pixelShuffle(x.ir, upscaleFactor));
}
/** Blocks of r x r elements become channels. x: [N, C, H r, W r] -> [N, C r², H, W] */
export function pixelUnshuffle<D extends FloatDType>(x: Tensor<D>, downscaleFactor: number): Tensor<D> {
  return new Tensor(ops.pixelUnshuffle(x.ir, downscaleFactor));
}
/** All windows of an image as columns. x: [N, C, H, W] -> [N, C kh kw, L] */
export function unfold<D extends FloatDType>(x: Tensor<D>, options: ops.UnfoldOptions): Tensor<D> {
  return new Tensor(
    ops.unfold(x.ir, known("unfold", options, { kernelSize: true, stride: true, padding: true, dilation: true })),
  );
}
/** Adds windows back to an image. x: [N, C kh kw, L] -> [N, C, ...outputSize] */
export function fold<D extends FloatDType>(
  x: Tensor<D>,
  options: ops.UnfoldOptions & { outputSize: number | readonly number[] },
): Tensor<D> {
  return new Tensor(
    ops.fold(
      x.ir,
      known("fold", options, { kernelSize: true, stride: true, padding: true, dilation: true, outputSize: true }),
    ),
  );
}
/** An image at given places. x: [N, C, H, W], grid: [N, Ho, Wo, 2] from -1 to 1 -> [N, C, Ho, Wo]. arXiv:1506.02025 */
export function gridSample<D extends FloatDType>(
  x: Tensor<D>,
  grid: Tensor<NoInfer<D>>,
  options?: ops.GridSampleOptions,
): Tensor<D> {
  return new Tensor(
    ops.gridSample(x.ir, grid.ir, known("gridSample", options, { mode: true, paddingMode: true, alignCorners: true })),
  );
}

/** Discrete Fourier transform of complex numbers, as pairs. x: [..., 2] -> [..., 2] */
export function fft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.fft(x.ir, known("fft", options, { axis: true, norm: true })));
}
/** Inverse of fft. x: [..., 2] -> [..., 2] */
export function ifft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.ifft(x.ir, known("ifft", options, { axis: true, norm: true })));
}
/** The first n / 2 + 1 Fourier coefficients of real numbers, as pairs. x: [..., n] -> [..., n / 2 + 1, 2] */
export function rfft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.rfft(x.ir, known("rfft", options, { axis: true, norm: true })));
}
/** Inverse of rfft. x: [..., m, 2] -> [..., n]. @default n = 2 (m - 1) */
export function irfft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions & { n?: number }): Tensor<D> {
  return new Tensor(ops.irfft(x.ir, known("irfft", options, { axis: true, norm: true, n: true })));
}
