/** Augmentation by one or a few operations of a table, with a strength: no search for a policy is needed. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { requireInterpolation } from "./affine.ts";
import { adjustBrightness, adjustContrast, adjustSaturation } from "./color.ts";
import { adjustSharpness } from "./filter.ts";
import { fillOptionNames, type ImageAugmentation, type Picture, requireFill, withImage } from "./picture.ts";
import { affinePicture, type MoveOptions, rotatePicture } from "./random-geometry.ts";
import { autocontrast, equalize, posterize, solarize } from "./tone.ts";

/** An operation with the strength that a level stands for. */
export interface PolicyOperation {
  name: string;
  /** The magnitude at a level, of levels 0 .. last. */
  magnitude(level: number, last: number, size: Pick<RawImage, "width" | "height">): number;
  /** Whether the magnitude may have the other sign. */
  isSigned: boolean;
  apply(picture: Picture, magnitude: number, options: MoveOptions): Picture;
}

type Magnitude = PolicyOperation["magnitude"];
type Apply = PolicyOperation["apply"];

const { fround } = Math;
/**
 * Levels between two ends, in single precision and from the nearer end, as torch.linspace counts them: its processors
 * round a product and a sum at once.
 */
const between =
  (low: number, high: number): Magnitude =>
  (level, last) => {
    const [from, to] = [fround(low), fround(high)];
    if (last === 0) return from;
    const step = fround(fround(to - from) / last);
    return fround(level < Math.floor((last + 1) / 2) ? from + step * level : to - step * (last - level));
  };
const nothing: Magnitude = () => 0;
const degreesOf = (slope: number) => (Math.atan(slope) * 180) / Math.PI;
/** Halves go to the even neighbour. */
const roundHalfEven = (x: number) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
/** Bits that are left at a level, when the last one takes so many. */
const bitsLeft =
  (most: number): Magnitude =>
  (level, last) =>
    8 - roundHalfEven(last === 0 ? 0 : level / (last / most));

const onImage =
  (change: (image: RawImage, magnitude: number) => RawImage): Apply =>
  (picture, magnitude) =>
    withImage(picture, change(picture.image, magnitude));
const sheared =
  (shearOf: (degrees: number) => [number, number]): Apply =>
  (picture, magnitude, options) =>
    affinePicture(picture, { shear: shearOf(degreesOf(magnitude)), center: [0, 0] }, options);
const moved =
  (shiftOf: (pixels: number) => [number, number]): Apply =>
  (picture, magnitude, options) =>
    affinePicture(picture, { translate: shiftOf(Math.trunc(magnitude)) }, options);

interface Strengths {
  shear: number;
  translateX: Magnitude;
  translateY: Magnitude;
  rotate: number;
  color: number;
  posterize: number;
}

/** The operations of both papers, which differ in their strengths. */
function operations(most: Strengths): readonly PolicyOperation[] {
  const signed = (name: string, magnitude: Magnitude, apply: Apply) => ({ name, magnitude, isSigned: true, apply });
  const plain = (name: string, magnitude: Magnitude, apply: Apply) => ({ name, magnitude, isSigned: false, apply });
  const color = between(0, most.color);
  return [
    plain("Identity", nothing, (picture) => picture),
    signed(
      "ShearX",
      between(0, most.shear),
      sheared((degrees) => [degrees, 0]),
    ),
    signed(
      "ShearY",
      between(0, most.shear),
      sheared((degrees) => [0, degrees]),
    ),
    signed(
      "TranslateX",
      most.translateX,
      moved((pixels) => [pixels, 0]),
    ),
    signed(
      "TranslateY",
      most.translateY,
      moved((pixels) => [0, pixels]),
    ),
    signed("Rotate", between(0, most.rotate), rotatePicture),
    signed(
      "Brightness",
      color,
      onImage((image, part) => adjustBrightness(image, 1 + part)),
    ),
    signed(
      "Color",
      color,
      onImage((image, part) => adjustSaturation(image, 1 + part)),
    ),
    signed(
      "Contrast",
      color,
      onImage((image, part) => adjustContrast(image, 1 + part)),
    ),
    signed(
      "Sharpness",
      color,
      onImage((image, part) => adjustSharpness(image, 1 + part)),
    ),
    plain("Posterize", bitsLeft(most.posterize), onImage(posterize)),
    plain("Solarize", between(255, 0), onImage(solarize)),
    plain("AutoContrast", nothing, onImage(autocontrast)),
    plain("Equalize", nothing, onImage(equalize)),
  ];
}

/** Pixels of the widest shift of the paper, of pictures of 331 x 331. */
const RAND_SHIFT = 150 / 331;
export const randOperations = operations({
  shear: 0.3,
  translateX: (level, last, { width }) => between(0, RAND_SHIFT * width)(level, last, { width, height: 0 }),
  translateY: (level, last, { height }) => between(0, RAND_SHIFT * height)(level, last, { width: 0, height }),
  rotate: 30,
  color: 0.9,
  posterize: 4,
});
export const trivialOperations = operations({
  shear: 0.99,
  translateX: between(0, 32),
  translateY: between(0, 32),
  rotate: 135,
  color: 0.99,
  posterize: 6,
});

/** Levels of strength. */
const NUM_LEVELS = 31;

/** How strong RandAugment is. */
export interface RandAugmentOptions extends MoveOptions {
  /** Operations one after another. @default 2 */
  numOps?: number;
  /** Level of their strength, below `numLevels`. @default 9 */
  magnitude?: number;
  /** @default 31 */
  numLevels?: number;
}

/**
 * A few operations out of fourteen, all of one strength. Cubuk et al. 2019, arXiv:1909.13719, with torchvision's table.
 * @throws OptionError for unknown options or numbers out of range
 */
export function randAugment(options: RandAugmentOptions = {}): ImageAugmentation {
  checkOptions("randAugment", options, ["numOps", "magnitude", "numLevels", "interpolation", ...fillOptionNames]);
  const { numOps = 2, magnitude = 9, numLevels = NUM_LEVELS } = options;
  const { wholeNumber, positiveInteger } = numberRules;
  requireNumbers(
    "randAugment",
    { numOps, magnitude, numLevels },
    { numOps: wholeNumber, magnitude: wholeNumber, numLevels: positiveInteger },
  );
  requireMoves("randAugment", options);
  if (magnitude >= numLevels)
    throw new OptionError({
      where: "randAugment",
      expected: `a magnitude below numLevels, ${numLevels}`,
      received: String(magnitude),
      fix: "choose a smaller one",
    });
  return (picture, draws) => {
    let current = picture;
    for (let i = 0; i < numOps; i++) {
      const operation = draws.choice(randOperations);
      const strength = operation.magnitude(magnitude, numLevels - 1, current.image);
      const sign = operation.isSigned && draws.isLikely(0.5) ? -1 : 1;
      current = operation.apply(current, sign * strength, options);
    }
    return current;
  };
}

/** What TrivialAugment draws from. */
export interface TrivialAugmentOptions extends MoveOptions {
  /** @default 31 */
  numLevels?: number;
}

/**
 * One operation out of fourteen, of any strength: as good as tuned policies, with nothing to tune. Mueller and Hutter
 * 2021, arXiv:2103.10158, its wide table as torchvision's TrivialAugmentWide.
 */
export function trivialAugment(options: TrivialAugmentOptions = {}): ImageAugmentation {
  checkOptions("trivialAugment", options, ["numLevels", "interpolation", ...fillOptionNames]);
  const { numLevels = NUM_LEVELS } = options;
  requireNumbers("trivialAugment", { numLevels }, { numLevels: numberRules.positiveInteger });
  requireMoves("trivialAugment", options);
  return (picture, draws) => {
    const operation = draws.choice(trivialOperations);
    const strength = operation.magnitude(draws.integer(numLevels), numLevels - 1, picture.image);
    const sign = operation.isSigned && draws.isLikely(0.5) ? -1 : 1;
    return operation.apply(picture, sign * strength, options);
  };
}

function requireMoves(where: string, options: MoveOptions): void {
  requireInterpolation(where, options.interpolation ?? "nearest");
  requireFill(where, options);
}
