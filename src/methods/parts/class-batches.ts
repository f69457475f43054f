/** Batches of pictures with classes, decoded and changed while the step before runs. */
import { type BatchAugmentation, drawsOf, type ImageAugmentation, oneHotLabels } from "../../augment/index.ts";
import { batchesOf, type Source } from "../../data/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { PictureForm } from "./picture-form.ts";
import type { ReadablePictures } from "./pictures.ts";

/** Pictures and their classes, or of mixed ones the share of each class. */
export interface ClassBatch {
  /** [B, C, H, W] */
  pixelValues: Tensor<"f32">;
  /** bool [B, H, W], of processors that pad. */
  pixelMask?: Tensor<"bool">;
  /** i32 [B]; -100 does not count. */
  labels?: Tensor<"i32">;
  /** f32 [B, N] */
  targets?: Tensor<"f32">;
}

/** How pictures become batches. */
export interface ClassBatchOptions {
  form: PictureForm;
  batchSize: number;
  seed: number;
  numClasses: number;
  /** @default as they are */
  augment?: ImageAugmentation;
  /** @default as they are */
  mix?: BatchAugmentation;
}

/** Which part of a sample's random numbers mixtures draw from; the pictures' begin at 0. */
const MIX_DRAWS = 0x6d6978; // "mix"

/** Batches to learn from, without end, in an order of their own in each epoch. */
export function learnedBatches(pictures: ReadablePictures<number>, options: ClassBatchOptions): Source<ClassBatch> {
  const { form, batchSize, seed, numClasses, augment, mix } = options;
  return batchesOf(pictures.kept, {
    batchSize,
    seed,
    isShuffled: true,
    async collate(rows, samples) {
      const images = await Promise.all(
        rows.map(async ({ index }, i) => changed(await pictures.decode(index), augment, seed, samples[i])),
      );
      const labels = rows.map(({ label }) => label);
      const processed = form.process(images);
      if (!mix) return { ...inputsOf(processed), labels: tensor(Int32Array.from(labels)) };
      const shape = processed.pixelValues.shape as readonly number[];
      const inputs = (await processed.pixelValues.read()) as Float32Array;
      const draws = drawsOf(seed, samples[0]).fold(MIX_DRAWS);
      const mixed = mix({ inputs, shape, labels: oneHotLabels(labels, numClasses) }, draws);
      return {
        pixelValues: tensor(mixed.inputs, { shape: [...shape] }),
        targets: tensor(mixed.labels, { shape: [labels.length, numClasses] }),
      };
    },
  });
}

/** Batches to measure on: each picture once, the last batch smaller. */
export function measuredBatches(
  pictures: ReadablePictures<number>,
  { form, batchSize }: Pick<ClassBatchOptions, "form" | "batchSize">,
): Source<ClassBatch> {
  const { kept } = pictures;
  return batchesOf(kept, {
    batchSize,
    isShuffled: false,
    async collate(rows) {
      const images = await Promise.all(rows.map(({ index }) => pictures.decode(index)));
      const labels = rows.map(({ label }) => label);
      return { ...inputsOf(form.process(images)), labels: tensor(Int32Array.from(labels)) };
    },
  });
}

const inputsOf = ({ pixelValues, pixelMask }: ReturnType<PictureForm["process"]>) => ({
  pixelValues,
  ...(pixelMask && { pixelMask }),
});

/** A picture as a sample of a run has it: the same whenever it is prepared. */
export const changed = (
  image: RawImage,
  augment: ImageAugmentation | undefined,
  seed: number,
  sample: number,
): RawImage => (augment ? augment({ image }, drawsOf(seed, sample)).image : image);
