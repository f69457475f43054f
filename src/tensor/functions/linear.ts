/** Products, convolutions, pooling, resizing and transforms. */
import type { FloatDType } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

/** Matrix product over the last two axes; leading axes broadcast. a: [..., M, K], b: [..., K, N] -> [..., M, N] */
export function matmul<D extends FloatDType>(a: Tensor<D>, b: Tensor<D>, options?: ops.MatmulOptions): Tensor<D> {
  return new Tensor(ops.matmul(a.value, b.value, options));
}

/** x W + b. x: [..., D], weight: [D, F] (or [F, D] with transposeB), bias: [F] -> [..., F] */
export function linear<D extends FloatDType>(x: Tensor<D>, weight: Tensor<D>, bias: Tensor<D>, options?: { transposeB?: boolean }): Tensor<D> {
  return new Tensor(ops.linear(x.value, weight.value, bias.value, options));
}

/** Einstein summation, as in numpy: einsum("bij,bjk->bik", a, b). */
export function einsum<D extends FloatDType>(equation: string, ...operands: readonly Tensor<D>[]): Tensor<D> {
  return new Tensor(ops.einsum(equation, ...operands.map(({ value }) => value)));
}

/** Convolution. x: [N, C, ...sizes], weight: [O, C / groups, ...kernel], bias: [O] -> [N, O, ...counts] */
export function conv<D extends FloatDType>(x: Tensor<D>, weight: Tensor<D>, bias?: Tensor<D>, options?: ops.ConvOptions): Tensor<D> {
  return new Tensor(ops.conv(x.value, weight.value, bias?.value, options));
}
/** Transposed convolution. x: [N, C, ...sizes], weight: [C, O / groups, ...kernel], bias: [O] -> [N, O, ...] */
export function convTranspose<D extends FloatDType>(x: Tensor<D>, weight: Tensor<D>, bias?: Tensor<D>, options?: ops.ConvTransposeOptions): Tensor<D> {
  return new Tensor(ops.convTranspose(x.value, weight.value, bias?.value, options));
}
/** Largest element of each window. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function maxPool<D extends FloatDType>(x: Tensor<D>, options: ops.MaxPoolOptions): Tensor<D> {
  return new Tensor(ops.maxPool(x.value, options));
}
/** Mean of each window. x: [N, C, ...sizes] -> [N, C, ...counts] */
export function averagePool<D extends FloatDType>(x: Tensor<D>, options: ops.AveragePoolOptions): Tensor<D> {
  return new Tensor(ops.averagePool(x.value, options));
}
/** Mean of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveAveragePool<D extends FloatDType>(x: Tensor<D>, outputSize: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.adaptiveAveragePool(x.value, outputSize));
}
/** Largest of each of outputSize nearly equal parts. x: [N, C, ...sizes] -> [N, C, ...outputSize] */
export function adaptiveMaxPool<D extends FloatDType>(x: Tensor<D>, outputSize: number | readonly number[]): Tensor<D> {
  return new Tensor(ops.adaptiveMaxPool(x.value, outputSize));
}
/** Mean over all spatial axes, kept with size 1. x: [N, C, ...sizes] -> [N, C, 1, ...] */
export function globalAveragePool<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.globalAveragePool(x.value));
}
/** Largest over all spatial axes, kept with size 1. x: [N, C, ...sizes] -> [N, C, 1, ...] */
export function globalMaxPool<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
  return new Tensor(ops.globalMaxPool(x.value));
}
/** Resizes the spatial axes. x: [N, C, ...sizes] -> [N, C, ...size]. @default nearest */
export function interpolate<D extends FloatDType>(x: Tensor<D>, options: ops.InterpolateOptions): Tensor<D> {
  return new Tensor(ops.interpolate(x.value, options));
}
/** Channels become blocks of r x r elements. x: [N, C r², H, W] -> [N, C, H r, W r] */
export function pixelShuffle<D extends FloatDType>(x: Tensor<D>, upscaleFactor: number): Tensor<D> {
  return new Tensor(ops.pixelShuffle(x.value, upscaleFactor));
}
/** Blocks of r x r elements become channels. x: [N, C, H r, W r] -> [N, C r², H, W] */
export function pixelUnshuffle<D extends FloatDType>(x: Tensor<D>, downscaleFactor: number): Tensor<D> {
  return new Tensor(ops.pixelUnshuffle(x.value, downscaleFactor));
}
/** All windows of an image as columns. x: [N, C, H, W] -> [N, C kh kw, L] */
export function unfold<D extends FloatDType>(x: Tensor<D>, options: ops.UnfoldOptions): Tensor<D> {
  return new Tensor(ops.unfold(x.value, options));
}
/** Adds windows back to an image. x: [N, C kh kw, L] -> [N, C, ...outputSize] */
export function fold<D extends FloatDType>(x: Tensor<D>, options: ops.UnfoldOptions & { outputSize: number | readonly number[] }): Tensor<D> {
  return new Tensor(ops.fold(x.value, options));
}
/** An image at given places. x: [N, C, H, W], grid: [N, Ho, Wo, 2] from -1 to 1 -> [N, C, Ho, Wo]. arXiv:1506.02025 */
export function gridSample<D extends FloatDType>(x: Tensor<D>, grid: Tensor<D>, options?: ops.GridSampleOptions): Tensor<D> {
  return new Tensor(ops.gridSample(x.value, grid.value, options));
}

/** Discrete Fourier transform of complex numbers, as pairs. x: [..., 2] -> [..., 2] */
export function fft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.fft(x.value, options));
}
/** Inverse of fft. x: [..., 2] -> [..., 2] */
export function ifft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.ifft(x.value, options));
}
/** The first n / 2 + 1 Fourier coefficients of real numbers, as pairs. x: [..., n] -> [..., n / 2 + 1, 2] */
export function rfft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions): Tensor<D> {
  return new Tensor(ops.rfft(x.value, options));
}
/** Inverse of rfft. x: [..., m, 2] -> [..., n]. @default n = 2 (m - 1) */
export function irfft<D extends FloatDType>(x: Tensor<D>, options?: ops.FftOptions & { n?: number }): Tensor<D> {
  return new Tensor(ops.irfft(x.value, options));
}
