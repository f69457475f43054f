/** Batches of conversations with pictures. */
import { batchesOf, type Source } from "../../data/index.ts";
import { type ImageTextModel, Qwen2VLForConditionalGeneration } from "../../models/index.ts";
import type { ProcessedImages, RawImage } from "../../processors/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { PictureForm } from "../parts/picture-form.ts";
import { paddedBatch } from "../parts/token-batches.ts";
import type { LearnedRows } from "./tokens.ts";

/** A batch of texts and the pictures in them. */
export interface PicturedBatch {
  /** i32 [B, T], with the places of pictures. */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding. */
  attentionMask: Tensor<"bool">;
  /** For each place the id that follows, or -100. i32 [B, T] */
  shiftLabels: Tensor<"i32">;
  /** Pictures of all rows in the order of their places, and behind them some without a place. */
  pixelValues: Tensor<"f32">;
  /** Of Qwen2-VL: patches of each picture in time, height and width. i32 [N, 3] */
  imageGridThw?: Tensor<"i32">;
}

/** How rows become batches. */
export interface PicturedBatchOptions {
  model: ImageTextModel;
  form: PictureForm;
  batchSize: number;
  maxLength: number;
  padId: number;
  seed: number;
  groupByLength: boolean;
  /** For training; otherwise each row once, in order. */
  isShuffled: boolean;
}

/** Batches of rows, padded at the right; their pictures are decoded as they are asked for. */
export function picturedBatches(learned: LearnedRows, options: PicturedBatchOptions): Source<PicturedBatch> {
  const { model, form, batchSize, maxLength, padId, seed, groupByLength, isShuffled } = options;
  return batchesOf(learned.kept, {
    batchSize,
    isShuffled,
    seed,
    ...(isShuffled && groupByLength && { lengths: learned.kept.map(({ ids }) => ids.length) }),
    async collate(examples) {
      const images = (await Promise.all(examples.map((example) => learned.pictures(example)))).flat();
      const pictures = await fewShapes(model, form, images, batchSize);
      return { ...paddedBatch(examples, { maxLength, padId }), ...pictures };
    },
  });
}

const BLANK: RawImage = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) };

/**
 * Pictures, with some more that have no place in a text, so that there are few shapes, each of which is compiled: as
 * many as a multiple of the rows. Without any picture the loss of a batch would not depend on the projector.
 */
async function fewShapes(
  model: ImageTextModel,
  form: PictureForm,
  images: readonly RawImage[],
  batchSize: number,
): Promise<Pick<PicturedBatch, "pixelValues" | "imageGridThw">> {
  const count = Math.max(1, Math.ceil(images.length / batchSize)) * batchSize;
  if (model instanceof Qwen2VLForConditionalGeneration)
    return paddedPatches(
      form.process(images.length > 0 ? images : [BLANK]),
      count,
      model.config.vision.spatialMergeSize,
    );
  const blank = inChannelsOf(form, BLANK);
  const { pixelValues } = form.process([...images, ...new Array<RawImage>(count - images.length).fill(blank)]);
  return { pixelValues };
}

const inChannelsOf = ({ channels }: PictureForm, image: RawImage): RawImage =>
  channels === 1 ? { ...image, channels: 1, data: new Uint8Array(1) } : image;

/** Parts of a power of two that a number of patches is rounded up to. */
const STEPS = 4;

/**
 * Patches of Qwen2-VL with blank ones behind them: as many pictures as asked for and one more, which takes what is left
 * to a round number of patches.
 */
async function paddedPatches(
  { pixelValues, imageGridThw }: ProcessedImages,
  count: number,
  merge: number,
): Promise<Pick<PicturedBatch, "pixelValues" | "imageGridThw">> {
  const grids = imageGridThw as Tensor<"i32">;
  const [patches, width] = [pixelValues.size(0), pixelValues.size(1)];
  const block = merge * merge;
  const more = count - grids.size(0); // with the last one
  const least = patches + block * (more + 1);
  const step = Math.max(block, block * 2 ** Math.floor(Math.log2(least / block / STEPS)));
  const total = Math.ceil(least / step) * step;
  const values = new Float32Array(total * width);
  values.set(await pixelValues.read());
  const last = (total - patches - block * more) / block;
  const rows = [...(await grids.read()), ...new Array(more).fill([1, merge, merge]).flat(), 1, merge, merge * last];
  return {
    pixelValues: tensor(values, { shape: [total, width] }),
    imageGridThw: tensor(Int32Array.from(rows), { shape: [count + 1, 3] }),
  };
}
