/** Sizes of pictures in which objects are detected: of many, and pieces of many shapes. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { RawImage, ResizeFilter } from "../../processors/index.ts";
import type { ImageAugmentation } from "./picture.ts";
import { requireProbability } from "./picture.ts";
import { cropped, resized } from "./random-geometry.ts";

type Size = Pick<RawImage, "width" | "height">;
const { positiveInteger } = numberRules;

/** Which sizes pictures get. */
export interface RandomShortestSizeOptions {
  /** Pixels of the shorter side, of which one is drawn each time; a number for always the same. */
  minSize: number | readonly number[];
  /** What the longer side may not exceed. @default any */
  maxSize?: number;
  /** @default "bilinear" */
  filter?: ResizeFilter;
}

/**
 * Pictures in one of several sizes, in their shape: the shorter side as drawn, unless the longer one would be too long.
 * torchvision's RandomShortestSize, as DETR and Faster R-CNN are trained.
 *
 * @example
 * const augment = randomShortestSize({ minSize: [4, 6], maxSize: 9 });
 * const image = { width: 4, height: 2, channels: 1, data: new Uint8Array(8) };
 * augment({ image }, drawsOf(0, 0)).image.width; // 9
 */
export function randomShortestSize(options: RandomShortestSizeOptions): ImageAugmentation {
  checkOptions("randomShortestSize", options, ["minSize", "maxSize", "filter"]);
  const { minSize, maxSize, filter = "bilinear" } = options;
  const sizes = requireSizes("randomShortestSize, minSize", minSize);
  if (maxSize !== undefined) requireNumbers("randomShortestSize", { maxSize }, { maxSize: positiveInteger });
  return (picture, draws) => resized(picture, shortestSize(picture.image, draws.choice(sizes), maxSize), filter);
}

/** The size of a picture whose shorter side becomes `shortest`, and whose longer one at most `longest`. */
export function shortestSize({ width, height }: Size, shortest: number, longest = Number.POSITIVE_INFINITY): Size {
  const factor = Math.min(shortest / Math.min(width, height), longest / Math.max(width, height));
  const side = (length: number) => Math.max(1, Math.trunc(length * factor));
  return { width: side(width), height: side(height) };
}

function requireSizes(where: string, value: number | readonly number[]): readonly number[] {
  const sizes = typeof value === "number" ? [value] : value;
  if (Array.isArray(sizes) && sizes.length > 0 && sizes.every(positiveInteger.isFine)) return sizes;
  throw new OptionError({
    where,
    expected: "a whole number of pixels above 0, or a list of them",
    received: JSON.stringify(value) ?? "nothing",
    fix: "for example [480, 512, 544]",
  });
}

/** Which pieces are cut out. */
export interface RandomSizeCropOptions {
  /** Fewest pixels of each side; a side that is shorter stays whole. */
  minSize: number;
  /** Most pixels of each side. */
  maxSize: number;
  /** Before, pictures get one of these shorter sides. @default none */
  shortestSizes?: readonly number[];
  /** Share of the pictures. @default 1 */
  probability?: number;
}

/** Times that a piece is drawn until an object is in it. */
const MOST_TRIES = 10;

/**
 * A piece of a picture whose sides are drawn each for itself, from anywhere in it; objects are cut at its edges. A
 * piece without any object of a picture that has some is drawn again, up to 10 times. Carion et al. 2020,
 * arXiv:2005.12872, appendix A.4: `{ shortestSizes: [400, 500, 600], minSize: 384, maxSize: 600, probability: 0.5 }`,
 * before `randomShortestSize`. There a piece is taken as it comes.
 */
export function randomSizeCrop(options: RandomSizeCropOptions): ImageAugmentation {
  checkOptions("randomSizeCrop", options, ["minSize", "maxSize", "shortestSizes", "probability"]);
  const { minSize, maxSize, shortestSizes, probability = 1 } = options;
  requireNumbers("randomSizeCrop", { minSize, maxSize }, { minSize: positiveInteger, maxSize: positiveInteger });
  requireProbability("randomSizeCrop", probability);
  if (maxSize < minSize)
    throw new OptionError({
      where: "randomSizeCrop",
      expected: `a maxSize of at least minSize, ${minSize}`,
      received: String(maxSize),
      fix: "exchange them",
    });
  const sizes = shortestSizes && requireSizes("randomSizeCrop, shortestSizes", shortestSizes);
  return (picture, draws) => {
    if (!draws.isLikely(probability)) return picture;
    const whole = sizes ? resized(picture, shortestSize(picture.image, draws.choice(sizes)), "bilinear") : picture;
    const { width, height } = whole.image;
    const length = (side: number) =>
      side <= minSize ? side : minSize + draws.integer(Math.min(side, maxSize) - minSize + 1);
    const count = whole.boxes?.length ?? 0;
    let piece = whole;
    for (let i = 0; i < MOST_TRIES; i++) {
      const size = { width: length(width), height: length(height) };
      const [left, top] = [draws.integer(width - size.width + 1), draws.integer(height - size.height + 1)];
      piece = cropped(whole, { left, top, ...size }, {});
      if (count === 0 || (piece.boxes?.length ?? 0) > 0) return piece;
    }
    return piece;
  };
}
