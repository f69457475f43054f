import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { type RawImage, type ResizeFilter, resizeImage } from "../../processors/index.ts";
import type { Draws } from "../draws.ts";
import {
  affineMatrix,
  boxAfter,
  type Interpolation,
  requireInterpolation,
  rotateImage,
  rotationMatrix,
  transformImage,
} from "./affine.ts";
import { type CropArea, cropImage, type FlipDirection, flipImage } from "./crop.ts";
import {
  type Box,
  type FillOptions,
  fillOptionNames,
  type ImageAugmentation,
  movePicture,
  type Picture,
  requireFill,
  requireProbability,
  requireRange,
} from "./picture.ts";

type Size = Pick<RawImage, "width" | "height">;
const { positiveInteger, wholeNumber, positive } = numberRules;

const scaled = (box: Box, x: number, y: number): Box => ({
  ...box,
  xMin: box.xMin * x,
  xMax: box.xMax * x,
  yMin: box.yMin * y,
  yMax: box.yMax * y,
});
const shifted = (box: Box, x: number, y: number): Box => ({
  ...box,
  xMin: box.xMin + x,
  xMax: box.xMax + x,
  yMin: box.yMin + y,
  yMax: box.yMax + y,
});

/** A picture in another size; masks by nearest pixels. */
export function resized(picture: Picture, size: Size, filter: ResizeFilter): Picture {
  const { width, height } = picture.image;
  return movePicture(
    picture,
    (image, isMask) => resizeImage(image, size, isMask ? "nearest" : filter),
    (box) => scaled(box, size.width / width, size.height / height),
  );
}

/** A piece of a picture. */
export function cropped(picture: Picture, area: CropArea, { fill = 0, maskFill = 0 }: FillOptions): Picture {
  return movePicture(
    picture,
    (image, isMask) => cropImage(image, area, isMask ? maskFill : fill),
    (box) => shifted(box, -area.left, -area.top),
  );
}

/** A size in pixels, and the filter that makes it. */
export interface ResizeOptions {
  width: number;
  height: number;
  /** @default "bilinear" */
  filter?: ResizeFilter;
}

/** Brings every picture to one size, as Pillow does, whatever its shape was; draws nothing. */
export function resizePicture(options: ResizeOptions): ImageAugmentation {
  checkOptions("resizePicture", options, ["width", "height", "filter"]);
  const { width, height, filter = "bilinear" } = options;
  requireNumbers("resizePicture", { width, height }, { width: positiveInteger, height: positiveInteger });
  return (picture) => resized(picture, { width, height }, filter);
}

/** How a piece of a picture is cut out. */
export interface RandomCropOptions extends FillOptions {
  width: number;
  height: number;
  /** Pixels that are added on all sides first. @default 0 */
  padding?: number;
}

/**
 * A piece of a size, from anywhere in the picture; a picture that is smaller is padded to it.
 *
 * @example
 * const augment = randomCrop({ width: 4, height: 4, padding: 1 });
 * const image = { width: 4, height: 4, channels: 1, data: new Uint8Array(16).fill(9) };
 * augment({ image }, drawsOf(0, 0)).image.data.length; // 16
 */
export function randomCrop(options: RandomCropOptions): ImageAugmentation {
  checkOptions("randomCrop", options, ["width", "height", "padding", ...fillOptionNames]);
  const { width, height, padding = 0 } = options;
  const rules = { width: positiveInteger, height: positiveInteger, padding: wholeNumber };
  requireNumbers("randomCrop", { width, height, padding }, rules);
  requireFill("randomCrop", options);
  return (picture, draws) => {
    const start = (side: number, wanted: number) => {
      const room = side + 2 * padding - wanted;
      return room < 0 ? Math.trunc(room / 2) - padding : draws.integer(room + 1) - padding;
    };
    const { image } = picture;
    const area = { left: start(image.width, width), top: start(image.height, height), width, height };
    return cropped(picture, area, options);
  };
}

/** How a piece of any size is cut out and brought to one. */
export interface RandomResizedCropOptions {
  width: number;
  height: number;
  /** Smallest and largest share of the picture's area. @default [0.08, 1] */
  scale?: readonly [number, number];
  /** Smallest and largest quotient of width and height. @default [3 / 4, 4 / 3] */
  ratio?: readonly [number, number];
  /** @default "bilinear" */
  filter?: ResizeFilter;
}

/** Times that an area is drawn, which may not fit into the picture. */
const MOST_TRIES = 10;
const THREE_TO_FOUR: readonly [number, number] = [3 / 4, 4 / 3];

/**
 * A piece of a random area and shape, brought to one size. Szegedy et al. 2014, arXiv:1409.4842, section 6; areas are
 * drawn as torchvision's RandomResizedCrop does.
 */
export function randomResizedCrop(options: RandomResizedCropOptions): ImageAugmentation {
  checkOptions("randomResizedCrop", options, ["width", "height", "scale", "ratio", "filter"]);
  const { width, height, scale = [0.08, 1], ratio = THREE_TO_FOUR, filter = "bilinear" } = options;
  requireNumbers("randomResizedCrop", { width, height }, { width: positiveInteger, height: positiveInteger });
  requireRange("randomResizedCrop", "scale", scale, "above 0, up to 1", (x) => Number(x) > 0 && Number(x) <= 1);
  requireRange("randomResizedCrop", "ratio", ratio, positive.range, (x) => positive.isFine(Number(x)));
  return (picture, draws) =>
    resized(cropped(picture, drawArea(picture.image, scale, ratio, draws), {}), { width, height }, filter);
}

type Range = readonly [number, number];

/** A part of a picture; its middle where none that was drawn fits. */
function drawArea({ width, height }: Size, scale: Range, ratio: Range, draws: Draws): CropArea {
  for (let i = 0; i < MOST_TRIES; i++) {
    const area = width * height * draws.uniform(...scale);
    const shape = Math.exp(draws.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    const size = { width: Math.round(Math.sqrt(area * shape)), height: Math.round(Math.sqrt(area / shape)) };
    if (size.width < 1 || size.height < 1 || size.width > width || size.height > height) continue;
    return { top: draws.integer(height - size.height + 1), left: draws.integer(width - size.width + 1), ...size };
  }
  const shape = width / height;
  const side = (length: number, most: number) => Math.min(Math.max(1, Math.round(length)), most);
  const size = {
    width: shape > ratio[1] ? side(height * ratio[1], width) : width,
    height: shape < ratio[0] ? side(width / ratio[0], height) : height,
  };
  return { top: (height - size.height) >> 1, left: (width - size.width) >> 1, ...size };
}

/** Which pictures are flipped, and how. */
export interface RandomFlipOptions {
  /** @default "horizontal" */
  direction?: FlipDirection;
  /** @default 0.5 */
  probability?: number;
}

/** Pictures that are flipped, each with a probability. @throws OptionError for wrong options */
export function randomFlip(options: RandomFlipOptions = {}): ImageAugmentation {
  checkOptions("randomFlip", options, ["direction", "probability"]);
  const { direction = "horizontal", probability = 0.5 } = options;
  requireProbability("randomFlip", probability);
  if (direction !== "horizontal" && direction !== "vertical")
    throw new OptionError({
      where: "randomFlip",
      expected: 'a direction of "horizontal" or "vertical"',
      received: JSON.stringify(direction) ?? "nothing",
      fix: "choose one of them",
    });
  return (picture, draws) => {
    if (!draws.isLikely(probability)) return picture;
    const { width, height } = picture.image;
    return movePicture(
      picture,
      (image) => flipImage(image, direction),
      (box) =>
        direction === "horizontal"
          ? { ...box, xMin: width - box.xMax, xMax: width - box.xMin }
          : { ...box, yMin: height - box.yMax, yMax: height - box.yMin },
    );
  };
}

/** How pictures are turned. */
export interface RandomRotationOptions extends FillOptions {
  /** Smallest and largest angle against the clock; one number for both directions. */
  degrees: number | readonly [number, number];
  /** @default "nearest" */
  interpolation?: Interpolation;
}

const bothWays = (value: number | Range): Range => (typeof value === "number" ? [-value, value] : value);

/** Pictures turned about their middle by an angle in a range, in their size. */
export function randomRotation(options: RandomRotationOptions): ImageAugmentation {
  checkOptions("randomRotation", options, ["degrees", "interpolation", ...fillOptionNames]);
  const { interpolation = "nearest" } = options;
  const degrees = bothWays(options.degrees);
  requireRange("randomRotation", "degrees", degrees, "that are finite", Number.isFinite);
  requireInterpolation("randomRotation", interpolation);
  requireFill("randomRotation", options);
  return (picture, draws) => rotatePicture(picture, draws.uniform(...degrees), options);
}

/** How a picture is moved with all that is in it. */
export interface MoveOptions extends FillOptions {
  /** @default "nearest" */
  interpolation?: Interpolation;
}

/** What is read of a mask, or of an image. */
const resampling = (isMask: boolean, { interpolation, fill, maskFill = 0 }: MoveOptions) =>
  isMask ? { fill: maskFill } : { interpolation, fill };

export function rotatePicture(picture: Picture, angle: number, options: MoveOptions): Picture {
  const matrix = rotationMatrix(picture.image, angle);
  return movePicture(
    picture,
    (image, isMask) => rotateImage(image, angle, resampling(isMask, options)),
    (box) => boxAfter(matrix, box),
  );
}

/** A picture moved as `affineMatrix` says. */
export function affinePicture(
  picture: Picture,
  movement: Parameters<typeof affineMatrix>[1],
  options: MoveOptions,
): Picture {
  const matrix = affineMatrix(picture.image, movement);
  return movePicture(
    picture,
    (image, isMask) => transformImage(image, matrix, resampling(isMask, options)),
    (box) => boxAfter(matrix, box),
  );
}

/** How far pictures are moved. */
export interface RandomAffineOptions extends MoveOptions {
  /** Smallest and largest angle, clockwise; one number for both directions. @default 0 */
  degrees?: number | readonly [number, number];
  /** Largest shift to each side, as shares of width and height from 0 to 1. @default [0, 0] */
  translate?: readonly [number, number];
  /** Smallest and largest scale. @default [1, 1] */
  scale?: readonly [number, number];
  /** Smallest and largest angle by which columns lean; one number for both directions. @default 0 */
  shear?: number | readonly [number, number];
}

/** Pictures moved by rotation, shift, scale and shear about their middle, in their size. */
export function randomAffine(options: RandomAffineOptions): ImageAugmentation {
  const names = ["degrees", "translate", "scale", "shear", "interpolation", ...fillOptionNames];
  checkOptions("randomAffine", options, names);
  const { translate = [0, 0], scale = [1, 1], interpolation = "nearest" } = options;
  const [degrees, shear] = [bothWays(options.degrees ?? 0), bothWays(options.shear ?? 0)];
  requireRange("randomAffine", "degrees", degrees, "that are finite", Number.isFinite);
  requireRange("randomAffine", "shear", shear, "between -90 and 90", (x) => Math.abs(Number(x)) < 90);
  requireRange("randomAffine", "scale", scale, positive.range, (x) => positive.isFine(Number(x)));
  for (const share of translate) requireProbability("randomAffine, translate", share);
  requireInterpolation("randomAffine", interpolation);
  requireFill("randomAffine", options);
  return (picture, draws) => {
    const shift = (share: number, side: number) => Math.round(draws.uniform(-share * side, share * side));
    const { width, height } = picture.image;
    const movement = {
      angle: draws.uniform(...degrees),
      translate: [shift(translate[0], width), shift(translate[1], height)] as [number, number],
      scale: draws.uniform(...scale),
      shear: [draws.uniform(...shear), 0] as [number, number],
    };
    return affinePicture(picture, movement, options);
  };
}
