import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { blend, requireFactor } from "./color.ts";

const { fround } = Math;

/** Pillow's ImageFilter.SMOOTH: the middle weighs as much as five of the eight pixels around it. */
const SMOOTH = [1, 1, 1, 1, 5, 1, 1, 1, 1].map((weight) => fround(weight / 13));

/** A softer picture; the pixels of its edges stay. Summed in single precision, in Pillow's order: lower rows first. */
function smooth({ width, height, channels, data }: RawImage): Uint8Array {
  const out = data.slice();
  const row = width * channels;
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * row + channels; at < (y + 1) * row - channels; at++) {
      let sum = 0.5;
      [at + row, at, at - row].forEach((middle, i) => {
        const [left, center, right] = SMOOTH.slice(3 * i, 3 * i + 3);
        const pair = fround(fround(data[middle - channels] * left) + fround(data[middle] * center));
        sum = fround(sum + fround(pair + fround(data[middle + channels] * right)));
      });
      out[at] = Math.min(Math.trunc(sum), 255);
    }
  }
  return out;
}

/** A picture with other sharpness: soft at 0, itself at 1, sharper above. */
export function adjustSharpness(image: RawImage, factor: number): RawImage {
  requireFactor("adjustSharpness", factor);
  const soft = smooth(image);
  return blend(image, factor, (i) => soft[i]);
}

/** How a picture is blurred. */
export interface BlurOptions {
  /** Pixels of a side of the window, odd. */
  kernelSize: number;
  /** Standard deviation of the weights, in pixels. @default 0.3 ((kernelSize - 1) / 2 - 1) + 0.8 */
  sigma?: number;
}

export function requireKernelSize(where: string, kernelSize: number): void {
  const isOdd = (value: number) => Number.isSafeInteger(value) && value > 0 && value % 2 === 1;
  requireNumbers(where, { kernelSize }, { kernelSize: { range: "of an odd whole number above 0", isFine: isOdd } });
}

const gaussian = (size: number, sigma: number): number[] => {
  const weights = Array.from({ length: size }, (_, i) => Math.exp(-0.5 * ((i - (size - 1) / 2) / sigma) ** 2));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
};

/**
 * A picture blurred with normal weights, mirrored at its edges, as torchvision's `gaussian_blur`. That sums in single
 * precision, so a mean that lies at half a byte may be rounded the other way: by 1 of 255.
 * @throws OptionError for a window that does not fit into the picture
 */
export function gaussianBlur(image: RawImage, options: BlurOptions): RawImage {
  checkOptions("gaussianBlur", options, ["kernelSize", "sigma"]);
  const { kernelSize, sigma = 0.15 * kernelSize + 0.35 } = options;
  requireKernelSize("gaussianBlur", kernelSize);
  requireNumbers("gaussianBlur", { sigma }, { sigma: numberRules.positive });
  const { width, height, channels, data } = image;
  const half = (kernelSize - 1) / 2;
  if (half >= Math.min(width, height))
    throw new OptionError({
      where: "gaussianBlur",
      expected: `half of kernelSize below the shorter side, ${Math.min(width, height)}`,
      received: String(kernelSize),
      fix: "choose a smaller window",
    });
  const weights = gaussian(kernelSize, sigma);
  const mirror = (place: number, size: number) => size - 1 - Math.abs(size - 1 - Math.abs(place));
  const wide = new Float64Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let k = 0; k < kernelSize; k++) {
        const from = (y * width + mirror(x + k - half, width)) * channels;
        for (let c = 0; c < channels; c++) wide[(y * width + x) * channels + c] += data[from + c] * weights[k];
      }
  const sums = new Float64Array(data.length);
  const row = width * channels;
  for (let y = 0; y < height; y++)
    for (let k = 0; k < kernelSize; k++) {
      const from = mirror(y + k - half, height) * row;
      for (let i = 0; i < row; i++) sums[y * row + i] += wide[from + i] * weights[k];
    }
  return { ...image, data: Uint8Array.from(sums, Math.round) };
}
