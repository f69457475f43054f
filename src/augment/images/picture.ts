import { DataError, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import type { Augmentation } from "../compose.ts";

/** A rectangle in a picture, by the distances of its edges from the left and the top, in pixels. */
export interface Box {
  xMin: number;
  yMin: number;
  xMax: number;
  yMax: number;
  /** The class of what is in it. */
  label?: number;
}

/** A picture with what is marked in it, which moves with it. */
export interface Picture {
  /** Of 1 or 3 channels, where colours are changed. */
  image: RawImage;
  /** Objects: cut off at the picture's edges, and left out when less than a pixel of them is left. */
  boxes?: readonly Box[];
  /** The class of each pixel, in one channel, of the image's size. */
  mask?: RawImage;
}

/** A change of a picture. */
export type ImageAugmentation = Augmentation<Picture>;

/** A value for pixels that come from outside: for all channels, or one for each. */
export type Fill = number | readonly number[];

/** What comes from outside of a picture when it is moved. */
export interface FillOptions {
  /** Bytes of pixels. @default 0 */
  fill?: Fill;
  /** Class of pixels in the mask. @default 0 */
  maskFill?: number;
}

export const fillOptionNames = ["fill", "maskFill"] as const;

/** @throws OptionError for what is no byte */
export function requireFill(where: string, { fill = 0, maskFill = 0 }: FillOptions): void {
  for (const value of [maskFill, ...(typeof fill === "number" ? [fill] : fill)]) {
    if (Number.isInteger(value) && value >= 0 && value <= 255) continue;
    throw new OptionError({
      where,
      expected: "fill and maskFill of whole numbers from 0 to 255",
      received: `${JSON.stringify(fill)} and ${maskFill}`,
      fix: "choose bytes",
    });
  }
}

/** The byte of each channel. @throws OptionError for a list of another length */
export function fillBytes(where: string, fill: Fill, channels: number): readonly number[] {
  if (typeof fill === "number") return new Array<number>(channels).fill(fill);
  if (fill.length === channels) return fill;
  throw new OptionError({
    where,
    expected: `a fill of ${channels} values, one for each channel`,
    received: JSON.stringify(fill),
    fix: "give one number for all channels, or as many as the picture has",
  });
}

/** @throws OptionError unless it is a number from 0 to 1 */
export function requireProbability(where: string, probability: number): void {
  requireNumbers(where, { probability }, { probability: numberRules.fraction });
}

/** @throws OptionError unless the list is a range: two numbers in order, each of which is fine */
export function requireRange(
  where: string,
  name: string,
  range: unknown,
  expected: string,
  isFine: typeof Number.isFinite,
) {
  const isRange = Array.isArray(range) && range.length === 2 && range.every(isFine) && range[0] <= range[1];
  if (isRange) return;
  throw new OptionError({
    where,
    expected: `${name} of two numbers ${expected}, the smaller one first`,
    received: JSON.stringify(range) ?? "nothing",
    fix: "for example [0.8, 1.2]",
  });
}

/**
 * Colours are changed in grey pictures and in those of red, green and blue: opacity is no colour.
 * @throws DataError for other pictures
 */
export function requireColors({ width, height, channels, data }: RawImage): void {
  if ([1, 3].includes(channels) && data.length === width * height * channels) return;
  throw new DataError({
    where: "colours of a picture",
    expected: "1 or 3 channels, and a byte for each channel of each pixel",
    received: `${width} x ${height} with ${channels} channels, and ${data.length} bytes`,
    fix: "bring it to red, green and blue first: toRgb(image, true)",
  });
}

/** @throws DataError for a mask of another size */
function requireMask({ width, height }: RawImage, mask: RawImage): void {
  if (mask.width === width && mask.height === height && mask.data.length === width * height) return;
  throw new DataError({
    where: "mask of a picture",
    expected: `${width} x ${height} in one channel, as the picture`,
    received: `${mask.width} x ${mask.height} with ${mask.channels} channels, and ${mask.data.length} bytes`,
    fix: "give the class of each pixel",
  });
}

/** A picture with another image and all else as it was: of changes that move nothing. */
export const withImage = (picture: Picture, image: RawImage): Picture => ({ ...picture, image });

/** Boxes cut to a picture, without those that have less than a pixel left on a side. */
function cutBoxes(boxes: readonly Box[], { width, height }: Pick<RawImage, "width" | "height">): Box[] {
  const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  return boxes
    .map((box) => ({
      ...box,
      xMin: within(box.xMin, width),
      xMax: within(box.xMax, width),
      yMin: within(box.yMin, height),
      yMax: within(box.yMax, height),
    }))
    .filter(({ xMin, yMin, xMax, yMax }) => xMax - xMin >= 1 && yMax - yMin >= 1);
}

/**
 * A picture whose image, mask and boxes have moved: `move` is called for image and mask, `place` says where a box is
 * then.
 */
export function movePicture(
  { image, boxes, mask, ...rest }: Picture,
  move: (image: RawImage, isMask: boolean) => RawImage,
  place: (box: Box) => Box,
): Picture {
  if (mask) requireMask(image, mask);
  const moved = move(image, false);
  return {
    ...rest,
    image: moved,
    ...(boxes && { boxes: cutBoxes(boxes.map(place), moved) }),
    ...(mask && { mask: move(mask, true) }),
  };
}
