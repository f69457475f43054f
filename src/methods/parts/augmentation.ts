/** Random changes of pictures, by the settings of a config. */
import { z } from "zod";
import {
  type BatchAugmentation,
  colorJitter,
  compose,
  cutmix,
  type ImageAugmentation,
  mixup,
  randAugment,
  randomAffine,
  randomCrop,
  randomErasing,
  randomFlip,
  randomGaussianBlur,
  randomGrayscale,
  randomly,
  randomResizedCrop,
  randomRotation,
  randomShortestSize,
  randomSizeCrop,
  trivialAugment,
} from "../../augment/index.ts";
import { OptionError } from "../../base/index.ts";

const options = (text: string) => z.looseObject({}).optional().describe(text);

const changes = {
  resizedCrop: options("A piece of any size, brought to the model's: scale, ratio."),
  crop: options("A piece of the picture's own size, with padding: pixels that are added on all sides first."),
  flip: options("Left for right, or top for bottom: direction, probability."),
  rotation: options("Turned by an angle: degrees, interpolation, fill."),
  affine: options("Turned, shifted, scaled and sheared: degrees, translate, scale, shear."),
  randAugment: options("A few operations of one strength: numOps, magnitude. arXiv:1909.13719."),
  trivialAugment: options("One operation of any strength. arXiv:2103.10158."),
  color: options("Brightness, contrast, saturation and hue, each a number or a range."),
  grayscale: options("In shades of grey: probability."),
  blur: options("Blurred: kernelSize, sigma, probability."),
  erase: options("A rectangle is overwritten: probability, scale, ratio, value. arXiv:1708.04896."),
} as const;

/** Changes of pictures with objects, which move their boxes; the sizes that are left are those of the batch. */
export const objectChanges = z
  .strictObject({
    ...changes,
    sizeCrop: options(
      "A piece whose sides are drawn each for itself: minSize, maxSize, shortestSizes before, probability. DETR's: " +
        "{ shortestSizes: [400, 500, 600], minSize: 384, maxSize: 600, probability: 0.5 }.",
    ),
    shortestSize: options(
      "One of several sizes in place of the model's: minSize, a list for the shorter side, and maxSize for the longer.",
    ),
  })
  .optional()
  .describe("Random changes of pictures with their boxes, with options as docs/augmentation.md has them.");

/** Changes of single pictures, in the order in which they are done whatever the order in the file. */
export const pictureChanges = z
  .strictObject(changes)
  .optional()
  .describe("Random changes of each picture, with options as docs/augmentation.md has them; {} for their defaults.");

/** Those of pictures, and mixtures of the batch. */
export const classChanges = z
  .strictObject({
    ...changes,
    mixup: options("Each picture and its class are mixed with another: alpha, probability. arXiv:1710.09412."),
    cutmix: options("Each picture has a rectangle of another: alpha, probability. arXiv:1905.04899."),
  })
  .optional()
  .describe("Random changes of pictures, with options as docs/augmentation.md has them; {} for their defaults.");

export type PictureChanges = z.output<typeof pictureChanges>;
export type ClassChanges = z.output<typeof classChanges>;
export type ObjectChanges = z.output<typeof objectChanges>;
type Options = Readonly<Record<string, unknown>>;
type Size = { width: number; height: number };

const makers: Readonly<Record<keyof typeof changes, (options: Options, size: Size | undefined) => ImageAugmentation>> =
  {
    resizedCrop(settings, size) {
      if (size) return randomResizedCrop({ ...size, ...settings });
      throw new OptionError({
        where: "config, method.augment.resizedCrop",
        expected: "a model that takes pictures of one size",
        received: "one whose processor keeps their shape",
        fix: "use crop, or name the size: image: { size: 224 }",
      });
    },
    crop(settings) {
      randomCrop({ width: 1, height: 1, ...settings }); // its options are checked now, whatever sizes pictures have
      return (picture, draws) => {
        const { width, height } = picture.image;
        return randomCrop({ width, height, ...settings })(picture, draws);
      };
    },
    flip: (settings) => randomFlip(settings),
    rotation: (settings) => randomRotation({ degrees: 10, ...settings }),
    affine: (settings) => randomAffine({ degrees: 0, ...settings }),
    randAugment: (settings) => randAugment(settings),
    trivialAugment: (settings) => trivialAugment(settings),
    color: (settings) => colorJitter(settings),
    grayscale: (settings) => randomGrayscale(settings),
    blur({ probability = 1, ...settings }) {
      return randomly(randomGaussianBlur({ kernelSize: 5, ...settings }), probability as number);
    },
    erase: (settings) => randomErasing(settings),
  };

/**
 * The changes of a config, one after another; undefined where there are none.
 * @param size that of the model's pictures
 * @throws OptionError for options that a change has not
 */
export function pictureAugmentation(settings: PictureChanges, size: Size | undefined): ImageAugmentation | undefined {
  const names = Object.keys(changes) as (keyof typeof changes)[];
  const list = names.flatMap((name) => {
    const chosen = settings?.[name];
    return chosen === undefined ? [] : [makers[name](chosen, size)];
  });
  return list.length === 0 ? undefined : compose(list);
}

/**
 * The changes of a config of pictures with objects: a piece is cut out first, and the size comes last.
 * @throws OptionError for options that a change has not
 */
export function objectAugmentation(settings: ObjectChanges): ImageAugmentation | undefined {
  const { sizeCrop, shortestSize, ...others } = settings ?? {};
  const piece = sizeCrop && randomSizeCrop({ minSize: 384, maxSize: 600, ...sizeCrop });
  const size = shortestSize && randomShortestSize({ minSize: 800, ...shortestSize });
  const list = [piece, pictureAugmentation(others, undefined), size].filter((each) => each !== undefined);
  return list.length === 0 ? undefined : compose(list);
}

/** Mixtures of a config: of both, each batch has one or the other; undefined where there are none. */
export function batchMixture(settings: ClassChanges): BatchAugmentation | undefined {
  const mixtures = [settings?.mixup && mixup(settings.mixup), settings?.cutmix && cutmix(settings.cutmix)].filter(
    (each) => each !== undefined,
  );
  if (mixtures.length === 0) return undefined;
  return (batch, draws) => draws.choice(mixtures)(batch, draws.fold(0));
}
