import { ShapeError } from "../base/index.ts";
import { requireStatic, type Value } from "../ir/index.ts";
import { constantOf, scalar } from "./apply.ts";
import { perAxis, windowCounts } from "./convolution-window.ts";
import { gather, indexAdd } from "./gather.ts";
import { pad } from "./movement.ts";
import { broadcastTo, reshape, transpose } from "./shape.ts";
import { slice } from "./slice.ts";

/** The window that `unfold` moves over images, and `fold` puts back; one number stands for height and width. */
export interface UnfoldOptions {
  /** [height, width] of the window, or one number for both. */
  kernelSize: number | readonly number[];
  /** Pixels from one window to the next. @default 1 */
  stride?: number | readonly number[];
  /** Zeros on both sides. @default 0 */
  padding?: number | readonly number[];
  /** Pixels from one element of a window to the next. @default 1 */
  dilation?: number | readonly number[];
}

interface Plan {
  /** For each window element and each window, its position in the padded, flattened image. */
  positions: Value; // i64 [kh kw, L]
  padding: readonly [number, number][];
  /** Height and width with padding. */
  padded: readonly number[];
  kernelCount: number;
  windowCount: number;
}

function planOf(
  where: string,
  sizes: readonly number[],
  { kernelSize, stride = 1, padding = 0, dilation = 1 }: UnfoldOptions,
): Plan {
  const two = (name: string, value: number | readonly number[], least: number) => perAxis(where, name, value, 2, least);
  const [kernel, strides, pads, dilations] = [
    two("kernelSize", kernelSize, 1),
    two("stride", stride, 1),
    two("padding", padding, 0),
    two("dilation", dilation, 1),
  ];
  const counts = windowCounts(sizes, kernel, { stride: strides, pads: [...pads, ...pads], dilation: dilations });
  if (counts.some((count) => count < 1)) {
    throw new ShapeError({
      where,
      expected: "an image at least as large as the window",
      received: `${sizes} for a window of ${kernel}`,
      fix: "pad more",
    });
  }
  const padded = sizes.map((size, i) => size + 2 * pads[i]);
  const positions: number[] = [];
  for (let ky = 0; ky < kernel[0]; ky++) {
    for (let kx = 0; kx < kernel[1]; kx++) {
      for (let y = 0; y < counts[0]; y++) {
        for (let x = 0; x < counts[1]; x++) {
          positions.push((y * strides[0] + ky * dilations[0]) * padded[1] + x * strides[1] + kx * dilations[1]);
        }
      }
    }
  }
  const [kernelCount, windowCount] = [kernel[0] * kernel[1], counts[0] * counts[1]];
  return {
    positions: constantOf(positions, [kernelCount, windowCount], "i64"),
    padding: pads.map((n) => [n, n] as [number, number]),
    padded,
    kernelCount,
    windowCount,
  };
}

/** All windows of an image as columns. x: [N, C, H, W] -> [N, C kh kw, L] with L window positions. */
export function unfold(x: Value, options: UnfoldOptions): Value {
  const [batch, channels, ...sizes] = requireStatic("unfold", x.shape);
  const { positions, padding, padded, kernelCount, windowCount } = planOf("unfold", sizes, options);
  const flat = reshape(pad(x, padding), [batch, channels, padded[0] * padded[1]]);
  return reshape(gather(flat, positions, 2), [batch, channels * kernelCount, windowCount]);
}

/** Adds windows back to an image: the transpose of unfold. x: [N, C kh kw, L] -> [N, C, ...outputSize] */
export function fold(
  x: Value,
  { outputSize, ...options }: UnfoldOptions & { outputSize: number | readonly number[] },
): Value {
  const sizes = perAxis("fold", "outputSize", outputSize, 2, 1);
  const { positions, padding, padded, kernelCount, windowCount } = planOf("fold", sizes, options);
  const [batch, columns, count] = requireStatic("fold", x.shape);
  const channels = columns / kernelCount;
  if (!Number.isInteger(channels) || count !== windowCount) {
    throw new ShapeError({
      where: "fold",
      expected: `[N, a multiple of ${kernelCount}, ${windowCount}]`,
      received: `[${x.shape}]`,
      fix: "give the options that unfold was called with",
    });
  }
  const rows = transpose(reshape(x, [batch, channels, kernelCount, windowCount]), [2, 3, 0, 1]);
  const zeros = broadcastTo(scalar(0, x.dtype), [padded[0] * padded[1], batch, channels]);
  const image = reshape(transpose(indexAdd(zeros, positions, rows), [1, 2, 0]), [batch, channels, ...padded]);
  return padding.reduce(
    (cut, [before], i) => slice(cut, { axis: i + 2, start: before, end: before + sizes[i] }),
    image,
  );
}
