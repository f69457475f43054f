/** Rows of pictures with captions, and their batches. */
import { drawsOf, type ImageAugmentation } from "../../augment/index.ts";
import { DataError } from "../../base/index.ts";
import { batchesOf, type Row, type Source } from "../../data/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { changed } from "./class-batches.ts";
import { datasetsOf, type OpenedData, openData } from "./datasets.ts";
import type { PictureForm } from "./picture-form.ts";
import {
  type Channels,
  columnOf,
  type PictureParts,
  partsReader,
  pictureColumns,
  type ReadablePictures,
} from "./pictures.ts";

const captionColumns = ["text", "caption", "captions", "texts", "sentences", "description", "name"] as const;

/** Pictures with their captions. */
export interface CaptionedPictures {
  opened: OpenedData;
  read(form: Channels): Promise<PictureParts<string[]>>;
  /** All captions to learn from, for a tokenizer. */
  captions(): Promise<string[]>;
}

/**
 * Rows with a picture and a caption, or a list of captions of which each time one is learned. A row without any is bad.
 * @throws DataError for rows without pictures or captions
 */
export async function openCaptions(
  config: SharedConfig,
  { isChecked }: { isChecked: boolean },
  context: MethodContext,
): Promise<CaptionedPictures> {
  const opened = await openData(config.data, context);
  const [{ columns }] = datasetsOf(config.data.train) as { columns?: Readonly<Record<string, string>> }[];
  const image = await columnOf(opened.train, "image", { columns, names: pictureColumns });
  const text = await columnOf(opened.train, "text", { columns, names: captionColumns });
  const labelOf = (row: Row) => captionsOf(row[text], text);
  return {
    opened,
    read: partsReader(opened, { column: image, labelOf, isChecked, context }),
    async captions() {
      const all: string[] = [];
      for await (const row of opened.train) all.push(...textsOf(row[text]));
      return all;
    },
  };
}

const textsOf = (value: unknown): string[] =>
  [value].flat().flatMap((each) => (typeof each === "string" && each.trim() !== "" ? [each.trim()] : []));

function captionsOf(value: unknown, column: string): string[] {
  const texts = textsOf(value);
  if (texts.length > 0) return texts;
  throw new DataError({
    where: `column ${column}`,
    expected: "a caption, or a list of them",
    received: JSON.stringify(value)?.slice(0, 60) ?? "nothing",
    fix: "write what is to be seen, or leave the picture out",
  });
}

/** The i-th text belongs to the i-th picture. */
export interface CaptionBatch {
  /** [B, C, H, W] */
  pixelValues: Tensor<"f32">;
  /** i32 [B, T] */
  inputIds: Tensor<"i32">;
  /** bool [B, T], of tokenizers that give it. */
  attentionMask?: Tensor<"bool">;
  /** In evaluation: the number of each picture, i32 [B]; several captions may have the same. */
  pictures?: Tensor<"i32">;
}

/** Captions as rows of one length. */
export type CaptionEncoder = (captions: readonly string[]) => Promise<Pick<CaptionBatch, "inputIds" | "attentionMask">>;

/**
 * Encodes captions, all in rows of one length, which is compiled once: that of the longest caption there is, or for
 * SigLIP the model's, as it was trained.
 */
export async function captionEncoder(
  tokenizer: Tokenizer,
  captions: readonly string[],
  { most, isWhole }: { most: number; isWhole: boolean },
): Promise<{ encode: CaptionEncoder; width: number; cut: number }> {
  const lengths = (await tokenizer.encodeBatch([...captions])).map(({ ids }) => ids.length);
  const longest = Math.max(...lengths);
  const width = isWhole ? most : Math.min(most, MULTIPLE * Math.ceil(longest / MULTIPLE));
  const encode: CaptionEncoder = async (texts) => {
    const encodings = await tokenizer.encodeBatch([...texts], { maxLength: width, padTo: width });
    const shape = [texts.length, width];
    const inputIds = tensor(Int32Array.from(encodings.flatMap(({ ids }) => ids)), { shape });
    if (!tokenizer.givesMask) return { inputIds };
    const mask = Uint8Array.from(encodings.flatMap(({ attentionMask }) => attentionMask));
    return { inputIds, attentionMask: tensor(mask, { dtype: "bool", shape }) };
  };
  return { encode, width, cut: lengths.filter((length) => length > width).length };
}

const MULTIPLE = 4;
/** Which part of a sample's random numbers chooses its caption. */
const CAPTION_DRAWS = 0x63617074; // "capt"

/** How pictures and captions become batches. */
export interface CaptionBatchOptions {
  form: PictureForm;
  encode: CaptionEncoder;
  batchSize: number;
  seed: number;
  /** @default as they are */
  augment?: ImageAugmentation;
}

/** Batches to learn from, without end; of several captions one is drawn each time. */
export function learnedCaptions(
  pictures: ReadablePictures<string[]>,
  { form, encode, batchSize, seed, augment }: CaptionBatchOptions,
): Source<CaptionBatch> {
  return batchesOf(pictures.kept, {
    batchSize,
    seed,
    async collate(rows, samples) {
      const images = await Promise.all(
        rows.map(async ({ index }, i) => changed(await pictures.decode(index), augment, seed, samples[i])),
      );
      const texts = rows.map(({ label }, i) => drawsOf(seed, samples[i]).fold(CAPTION_DRAWS).choice(label));
      return { pixelValues: form.process(images).pixelValues, ...(await encode(texts)) };
    },
  });
}

/**
 * Batches to measure on: each caption once with its picture, the first captions of all pictures, then the second ones,
 * so that a batch has few pictures twice. The last batch may be smaller.
 */
export function measuredCaptions(
  pictures: ReadablePictures<string[]>,
  { form, encode, batchSize }: Pick<CaptionBatchOptions, "form" | "encode" | "batchSize">,
): Source<CaptionBatch> {
  const { kept } = pictures;
  const most = Math.max(...kept.map(({ label }) => label.length));
  const pairs = Array.from({ length: most }, (_, which) =>
    kept.flatMap(({ index, label }, number) => (which < label.length ? [{ index, text: label[which], number }] : [])),
  ).flat();
  return {
    count: Math.ceil(pairs.length / batchSize),
    async batch(index) {
      const chosen = pairs.slice(index * batchSize, (index + 1) * batchSize);
      const images = await Promise.all(chosen.map((pair) => pictures.decode(pair.index)));
      return {
        pixelValues: form.process(images).pixelValues,
        ...(await encode(chosen.map(({ text }) => text))),
        pictures: tensor(Int32Array.from(chosen, ({ number }) => number)),
      };
    },
  };
}
