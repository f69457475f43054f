/** Augmentation of pictures, with the boxes and masks in them. Imports processors/ and below. */
export { type AffineOptions, affineImage, type Interpolation, type ResampleOptions, rotateImage } from "./affine.ts";
export { adjustBrightness, adjustContrast, adjustHue, adjustSaturation, grayscale } from "./color.ts";
export { type CropArea, cropImage, type FlipDirection, flipImage } from "./crop.ts";
export { adjustSharpness, type BlurOptions, gaussianBlur } from "./filter.ts";
export type {
  Box,
  Fill,
  FillOptions,
  ImageAugmentation,
  Picture,
} from "./picture.ts";
export { imageBatch, type NormalizeOptions, normalizeImage } from "./planes.ts";
export { type RandAugmentOptions, randAugment, type TrivialAugmentOptions, trivialAugment } from "./policies.ts";
export {
  type ColorJitterOptions,
  colorJitter,
  type RandomBlurOptions,
  type RandomErasingOptions,
  randomErasing,
  randomGaussianBlur,
  randomGrayscale,
} from "./random-color.ts";
export {
  type MoveOptions,
  type RandomAffineOptions,
  type RandomCropOptions,
  type RandomFlipOptions,
  type RandomResizedCropOptions,
  type RandomRotationOptions,
  type ResizeOptions,
  randomAffine,
  randomCrop,
  randomFlip,
  randomResizedCrop,
  randomRotation,
  resizePicture,
} from "./random-geometry.ts";
export {
  type RandomShortestSizeOptions,
  type RandomSizeCropOptions,
  randomShortestSize,
  randomSizeCrop,
} from "./random-size.ts";
export { autocontrast, equalize, invert, posterize, solarize } from "./tone.ts";
