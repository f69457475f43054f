/** Batches of pictures with objects, decoded and changed while the step before runs. */
import { type Box, drawsOf, type ImageAugmentation } from "../../augment/index.ts";
import { batchesOf, type Source } from "../../data/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { DetectionForm, ProcessedPictures } from "./detection-form.ts";
import type { LabelledPicture } from "./object-rows.ts";
import type { PictureRow, ReadablePictures } from "./pictures.ts";

/** Pictures and the objects in them. */
export interface DetectionBatch {
  /** f32 [B, 3, H, W] */
  pixelValues: Tensor<"f32">;
  /** bool [B, H, W], of models that are told of padding. */
  pixelMask?: Tensor<"bool">;
  /** i32 [B, M]; -1 where a picture has fewer objects. */
  classLabels: Tensor<"i32">;
  /** Middle, width and height, as parts of the picture or of the padded one: f32 [B, M, 4] */
  boxes: Tensor<"f32">;
  /** Width and height of what boxes are parts of, in pixels of the file: f32 [B, 2] */
  frames: Tensor<"f32">;
  /** In evaluation: the number of each picture, i32 [B] */
  pictures?: Tensor<"i32">;
}

/** What boxes are parts of: the picture without its padding, or with it. */
export type BoxFrame = "picture" | "padded";

/** How pictures with objects become batches. */
export interface DetectionBatchOptions {
  form: DetectionForm;
  batchSize: number;
  seed: number;
  relativeTo: BoxFrame;
  /** M, most objects of a picture. */
  mostObjects: number;
  /** Pictures of like shape share a batch, so that little is padded. */
  isGrouped: boolean;
  /** @default as they are */
  augment?: ImageAugmentation;
  /** Whether augmentation gives pictures their size. @default false */
  isResized?: boolean;
}

/** Batches to learn from, without end, in an order of their own in each epoch. */
export function learnedDetections(
  pictures: ReadablePictures<LabelledPicture>,
  options: DetectionBatchOptions,
): Source<DetectionBatch> {
  const { batchSize, seed, augment, isGrouped, isResized } = options;
  const { kept } = pictures;
  return batchesOf(kept, {
    batchSize,
    seed,
    isShuffled: true,
    ...(isGrouped && { lengths: kept.map(({ label }) => label.width / label.height) }),
    async collate(rows, samples) {
      const changed = await Promise.all(
        rows.map(async ({ index, label }, i): Promise<BoxedPicture> => {
          const picture = { image: await pictures.decode(index), boxes: learnedBoxes(label) };
          const { image, boxes = [] } = augment ? augment(picture, drawsOf(seed, samples[i])) : picture;
          return { image, boxes };
        }),
      );
      return batchOf(changed, options, { isResized });
    },
  });
}

/** Batches to measure on: each picture once, the last batch smaller. Those of like shape follow one another. */
export function measuredDetections(
  pictures: ReadablePictures<LabelledPicture>,
  options: DetectionBatchOptions,
): Source<DetectionBatch> {
  const { batchSize, isGrouped } = options;
  const shape = ({ label }: PictureRow<LabelledPicture>) => label.width / label.height;
  const numbered = pictures.kept.map((row, number) => ({ ...row, number }));
  const rows = isGrouped ? numbered.toSorted((a, b) => shape(a) - shape(b)) : numbered;
  return {
    count: Math.ceil(rows.length / batchSize),
    async batch(index) {
      const chosen = rows.slice(index * batchSize, (index + 1) * batchSize);
      const boxed = await Promise.all(
        chosen.map(async (row) => ({ image: await pictures.decode(row.index), boxes: learnedBoxes(row.label) })),
      );
      const batch = batchOf(boxed, options, {});
      return { ...batch, pictures: tensor(Int32Array.from(chosen, ({ number }) => number)) };
    },
  };
}

/** The boxes that are learned: those of single things. */
export const learnedBoxes = ({ objects }: LabelledPicture): Box[] =>
  objects
    .filter(({ isCrowd }) => !isCrowd)
    .map(({ xMin, yMin, xMax, yMax, label }) => ({ xMin, yMin, xMax, yMax, label }));

interface BoxedPicture {
  image: RawImage;
  boxes: readonly Box[];
}

function batchOf(
  pictures: readonly BoxedPicture[],
  { form, relativeTo, mostObjects }: DetectionBatchOptions,
  { isResized }: { isResized?: boolean },
): DetectionBatch {
  const { pixelValues, pixelMask, covered } = form.process(
    pictures.map(({ image }) => image),
    { isResized },
  );
  const frames = pictures.map(({ image }, i) => frameOf(image, covered[i], relativeTo));
  return {
    pixelValues,
    ...(pixelMask && { pixelMask }),
    ...labelsOf(pictures, frames, mostObjects),
    frames: tensor(Float32Array.from(frames.flatMap(({ width, height }) => [width, height])), {
      shape: [pictures.length, 2],
    }),
  };
}

type Size = { width: number; height: number };

/** What of a picture is 1, in its pixels: a padded picture is larger by what it does not cover. */
const frameOf = ({ width, height }: Size, covered: ProcessedPictures["covered"][number], relativeTo: BoxFrame): Size =>
  relativeTo === "picture" ? { width, height } : { width: width / covered.width, height: height / covered.height };

/** Classes and boxes, in rows of `most`; what fills them up has the class -1. */
function labelsOf(
  pictures: readonly BoxedPicture[],
  frames: readonly Size[],
  most: number,
): Pick<DetectionBatch, "classLabels" | "boxes"> {
  const classLabels = new Int32Array(pictures.length * most).fill(-1);
  const boxes = new Float32Array(pictures.length * most * 4).fill(0.5);
  for (const [i, picture] of pictures.entries()) {
    const { width, height } = frames[i];
    for (const [j, { xMin, yMin, xMax, yMax, label = -1 }] of picture.boxes.entries()) {
      const at = i * most + j;
      classLabels[at] = label;
      const box = [
        (xMin + xMax) / 2 / width,
        (yMin + yMax) / 2 / height,
        (xMax - xMin) / width,
        (yMax - yMin) / height,
      ];
      boxes.set(box, 4 * at);
    }
  }
  return {
    classLabels: tensor(classLabels, { shape: [pictures.length, most] }),
    boxes: tensor(boxes, { shape: [pictures.length, most, 4] }),
  };
}
