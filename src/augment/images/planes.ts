import { checkOptions, OptionError, ShapeError } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";

/** What becomes 0 and what becomes 1, of values from 0 to 1. */
export interface NormalizeOptions {
  /** Of each channel. @default 0 */
  mean?: readonly number[];
  /** Of each channel, not 0. @default 1 */
  standardDeviation?: readonly number[];
}

const { fround } = Math;

/**
 * The numbers of a picture, channels in front, [C, H, W]: bytes over 255, less the mean, over the deviation, as
 * torchvision's ToTensor and Normalize.
 * @throws OptionError unless mean and deviation have a number for each channel
 */
export function normalizeImage(image: RawImage, options: NormalizeOptions = {}): Float32Array {
  checkOptions("normalizeImage", options, ["mean", "standardDeviation"]);
  const { width, height, channels, data } = image;
  const { mean = new Array(channels).fill(0), standardDeviation = new Array(channels).fill(1) } = options;
  const isFine = [mean, standardDeviation].every((list) => list.length === channels && list.every(Number.isFinite));
  if (!isFine || standardDeviation.includes(0))
    throw new OptionError({
      where: "normalizeImage",
      expected: `a mean and a standardDeviation other than 0 for each of ${channels} channels`,
      received: `${JSON.stringify(mean)} and ${JSON.stringify(standardDeviation)}`,
      fix: "give as many as the picture has channels",
    });
  const out = new Float32Array(data.length);
  const size = width * height;
  for (let c = 0; c < channels; c++) {
    const [middle, spread] = [fround(mean[c]), fround(standardDeviation[c])];
    for (let i = 0; i < size; i++) out[c * size + i] = fround(fround(data[i * channels + c] / 255) - middle) / spread;
  }
  return out;
}

/**
 * Pictures of one size as the input of a model, f32 [B, C, H, W].
 * @throws ShapeError for pictures of several sizes
 */
export function imageBatch(images: readonly RawImage[], options: NormalizeOptions = {}): Tensor<"f32"> {
  const shapeOf = ({ width, height, channels }: RawImage) => [channels, height, width];
  const shape = images[0] && shapeOf(images[0]);
  const other = images.find((image) => String(shapeOf(image)) !== String(shape));
  if (!shape || other)
    throw new ShapeError({
      where: "imageBatch",
      expected: shape ? `pictures of [${shape.join(", ")}]` : "a picture or more",
      received: other ? `[${shapeOf(other).join(", ")}]` : "none",
      fix: "end the augmentation with randomCrop, randomResizedCrop or resizePicture",
    });
  const [channels, height, width] = shape;
  const data = new Float32Array(images.length * channels * height * width);
  images.forEach((image, i) => {
    data.set(normalizeImage(image, options), i * channels * height * width);
  });
  return tensor(data, { shape: [images.length, ...shape] });
}
