/** Windows that go over the spatial axes of an input: their options, and how many places they have. */
import { ShapeError } from "../base/index.ts";
import { addSizes, requireStatic, type Size } from "../ir/index.ts";
import type { Padding } from "./movement.ts";

/** The window of a convolution, as torch.nn.functional.conv1d, conv2d and conv3d have it. */
export interface ConvOptions {
  /** Distance between window positions, one number or one for each spatial axis. @default 1 */
  stride?: number | readonly number[];
  /** Zeros added around: one number, one for each spatial axis, or pairs [before, after]. @default 0 */
  padding?: number | readonly number[] | Padding;
  /** Distance between elements of a window. @default 1 */
  dilation?: number | readonly number[];
  /** Channels are split into this many groups that do not see one another. @default 1 */
  groups?: number;
}
/** The window of a transposed convolution: that of the convolution whose gradient it is. */
export interface ConvTransposeOptions extends ConvOptions {
  /**
   * Added to one side of the result's size, since several input sizes of a strided convolution give one output size.
   * @default 0
   */
  outputPadding?: number | readonly number[];
}

/** A window in every spatial axis; `pads` are the ones before all axes, then the ones after, as ONNX has them. */
export type Window = { stride: readonly number[]; pads: readonly number[]; dilation: readonly number[] };
export type ConvAttributes = Window & { groups: number };

/** One number for each of `rank` axes. @throws ShapeError for the wrong count or numbers out of range */
export function perAxis(
  where: string,
  name: string,
  value: number | readonly number[],
  rank: number,
  least: number,
): readonly number[] {
  const list = typeof value === "number" ? new Array<number>(rank).fill(value) : value;
  if (list.length === rank && list.every((n) => Number.isInteger(n) && n >= least)) return list;
  throw new ShapeError({
    where,
    expected: `${name}: a whole number of at least ${least}, or ${rank} of them`,
    received: JSON.stringify(value),
    fix: "give one for each spatial axis",
  });
}

export function padsOf(where: string, padding: number | readonly number[] | Padding, rank: number): readonly number[] {
  if (Array.isArray(padding) && padding.length > 0 && Array.isArray(padding[0])) {
    const pairs = padding as Padding;
    return ([0, 1] as const).flatMap((side) =>
      perAxis(
        where,
        "padding",
        pairs.map((pair) => pair[side]),
        rank,
        0,
      ),
    );
  }
  const same = perAxis(where, "padding", padding as number | readonly number[], rank, 0);
  return [...same, ...same];
}

export function windowOf(
  where: string,
  rank: number,
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvOptions,
): ConvAttributes {
  return {
    stride: perAxis(where, "stride", stride, rank, 1),
    pads: padsOf(where, padding, rank),
    dilation: perAxis(where, "dilation", dilation, rank, 1),
    groups: perAxis(where, "groups", groups, 1, 1)[0],
  };
}

/** Number of window positions along each spatial axis. */
export function windowCounts(
  sizes: readonly number[],
  kernel: readonly number[],
  { stride, pads, dilation }: Window,
): number[] {
  const rank = sizes.length;
  return sizes.map(
    (size, i) => Math.floor((size + pads[i] + pads[i + rank] - (dilation[i] * (kernel[i] - 1) + 1)) / stride[i]) + 1,
  );
}

/** The window, without what an entry adds to it. */
export const windowAttributes = ({ stride, pads, dilation, groups }: ConvAttributes): ConvAttributes => ({
  stride,
  pads,
  dilation,
  groups,
});
/** A window as ONNX names its parts. */
export const onnxWindow = ({ stride, pads, dilation, groups }: ConvAttributes) => ({
  strides: stride,
  pads,
  dilations: dilation,
  group: groups,
});

/**
 * Places of the window along each axis. One whose size is known only when the graph runs can be gone over in steps of
 * 1.
 */
export function countsOf(
  where: string,
  sizes: readonly Size[],
  kernel: readonly number[],
  window: ConvAttributes,
): Size[] {
  return sizes.map((size, i) => {
    const axisWindow = axisOf(window, i, sizes.length);
    if (typeof size === "number") return windowCounts([size], [kernel[i]], axisWindow)[0];
    if (axisWindow.stride[0] !== 1) requireStatic(where, [size]);
    return addSizes(size, windowCounts([0], [kernel[i]], axisWindow)[0]);
  });
}

const axisOf = ({ stride, pads, dilation }: Window, i: number, rank: number): Window => ({
  stride: [stride[i]],
  pads: [pads[i], pads[i + rank]],
  dilation: [dilation[i]],
});

/** Smallest input sizes of which a convolution makes `sizes`. */
export function transposedSizes(
  sizes: readonly number[],
  kernel: readonly number[],
  { stride, pads, dilation }: Window,
): number[] {
  return sizes.map(
    (size, i) => stride[i] * (size - 1) + dilation[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + sizes.length],
  );
}
