import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation, grayscale } from "./color.ts";
import { gaussianBlur, requireKernelSize } from "./filter.ts";
import { type ImageAugmentation, requireProbability, requireRange, withImage } from "./picture.ts";

/** How far colours are changed. */
export interface ColorJitterOptions {
  /** Factors from 1 - x to 1 + x, or a range of them. @default no change */
  brightness?: number | readonly [number, number];
  /** Likewise. @default no change */
  contrast?: number | readonly [number, number];
  /** Likewise. @default no change */
  saturation?: number | readonly [number, number];
  /** Parts of the colour wheel from -x to x, up to 0.5, or a range of them. @default no change */
  hue?: number | readonly [number, number];
}

type Range = readonly [number, number];
const jitterNames = ["brightness", "contrast", "saturation", "hue"] as const;
const adjust: Readonly<Record<(typeof jitterNames)[number], (image: RawImage, factor: number) => RawImage>> = {
  brightness: adjustBrightness,
  contrast: adjustContrast,
  saturation: adjustSaturation,
  hue: adjustHue,
};

/** @throws OptionError for what is no range of factors */
function jitterRange(name: (typeof jitterNames)[number], value: number | Range): Range {
  const isHue = name === "hue";
  const middle = isHue ? 0 : 1;
  const range: Range =
    typeof value === "number" ? [isHue ? -value : Math.max(0, middle - value), middle + value] : value;
  const expected = isHue ? "from -0.5 to 0.5" : "of at least 0";
  requireRange(
    "colorJitter",
    name,
    range,
    expected,
    (x) => Number.isFinite(x) && (isHue ? Math.abs(Number(x)) <= 0.5 : Number(x) >= 0),
  );
  return range;
}

/**
 * Brightness, contrast, saturation and hue, each by a factor in a range, in an order that is drawn too, as
 * torchvision's ColorJitter.
 *
 * @example
 * const augment = colorJitter({ brightness: [2, 2] });
 * const image = { width: 1, height: 1, channels: 3, data: Uint8Array.of(10, 20, 200) };
 * [...augment({ image }, drawsOf(0, 0)).image.data]; // [20, 40, 255]
 */
export function colorJitter(options: ColorJitterOptions): ImageAugmentation {
  checkOptions("colorJitter", options, jitterNames);
  const steps = jitterNames.flatMap((name) => {
    const value = options[name];
    return value === undefined ? [] : [{ name, range: jitterRange(name, value) }];
  });
  return (picture, draws) => {
    const factors = steps.map(({ name, range }) => ({ name, factor: draws.uniform(...range) }));
    const image = draws.shuffled(factors).reduce((now, { name, factor }) => adjust[name](now, factor), picture.image);
    return withImage(picture, image);
  };
}

/** Pictures in shades of grey, each with a probability; they keep their channels. @default probability 0.1 */
export function randomGrayscale(options: { probability?: number } = {}): ImageAugmentation {
  checkOptions("randomGrayscale", options, ["probability"]);
  const { probability = 0.1 } = options;
  requireProbability("randomGrayscale", probability);
  return (picture, draws) => (draws.isLikely(probability) ? withImage(picture, grayscale(picture.image)) : picture);
}

/** How far pictures are blurred. */
export interface RandomBlurOptions {
  /** Pixels of a side of the window, odd. */
  kernelSize: number;
  /** Smallest and largest standard deviation. @default [0.1, 2] */
  sigma?: readonly [number, number];
}

/** Pictures blurred with normal weights of a width in a range; with `randomly` only some of them. */
export function randomGaussianBlur(options: RandomBlurOptions): ImageAugmentation {
  checkOptions("randomGaussianBlur", options, ["kernelSize", "sigma"]);
  const { kernelSize, sigma = [0.1, 2] } = options;
  requireKernelSize("randomGaussianBlur", kernelSize);
  const { positive } = numberRules;
  requireRange("randomGaussianBlur", "sigma", sigma, positive.range, (x) => positive.isFine(Number(x)));
  return (picture, draws) =>
    withImage(picture, gaussianBlur(picture.image, { kernelSize, sigma: draws.uniform(...sigma) }));
}

/** What is erased. */
export interface RandomErasingOptions {
  /** @default 0.5 */
  probability?: number;
  /** Smallest and largest share of the picture's area. @default [0.02, 0.33] */
  scale?: readonly [number, number];
  /** Smallest and largest quotient of height and width. @default [0.3, 3.3] */
  ratio?: readonly [number, number];
  /** A byte for all channels, or noise: random bytes. @default 0 */
  value?: number | "noise";
}

const MOST_TRIES = 10;

/**
 * A rectangle of some pictures is overwritten. Zhong et al. 2017, arXiv:1708.04896; rectangles are drawn as
 * torchvision's RandomErasing does. Boxes and masks stay: what is hidden is there.
 */
export function randomErasing(options: RandomErasingOptions = {}): ImageAugmentation {
  checkOptions("randomErasing", options, ["probability", "scale", "ratio", "value"]);
  const { probability = 0.5, scale = [0.02, 0.33], ratio = [0.3, 3.3], value = 0 } = options;
  requireProbability("randomErasing", probability);
  requireRange("randomErasing", "scale", scale, "from 0 to 1", (x) => Number(x) >= 0 && Number(x) <= 1);
  const { positive } = numberRules;
  requireRange("randomErasing", "ratio", ratio, positive.range, (x) => positive.isFine(Number(x)));
  if (value !== "noise") {
    const isByte = (x: number) => Number.isInteger(x) && x >= 0 && x <= 255;
    requireNumbers("randomErasing", { value }, { value: { range: 'of a byte, or "noise"', isFine: isByte } });
  }
  return (picture, draws) => {
    if (!draws.isLikely(probability)) return picture;
    const { width, height, channels, data } = picture.image;
    for (let i = 0; i < MOST_TRIES; i++) {
      const area = width * height * draws.uniform(...scale);
      const shape = Math.exp(draws.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
      const [h, w] = [Math.round(Math.sqrt(area * shape)), Math.round(Math.sqrt(area / shape))];
      if (h >= height || w >= width) continue;
      const [top, left] = [draws.integer(height - h + 1), draws.integer(width - w + 1)];
      const out = data.slice();
      for (let y = top; y < top + h; y++)
        for (let at = (y * width + left) * channels; at < (y * width + left + w) * channels; at++)
          out[at] = value === "noise" ? draws.integer(256) : value;
      return withImage(picture, { ...picture.image, data: out });
    }
    return picture;
  };
}
