/** Batches of texts for each objective of pretraining. */
import { type Draws, drawsOf, type MaskTokensOptions, maskTokens } from "../../augment/index.ts";
import { IGNORED_LABEL } from "../../base/index.ts";
import { packedBatches, permute, type Source, sequenceBatches } from "../../data/index.ts";
import type { EncoderInputs } from "../../models/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { LanguageModelBatch } from "../../train/index.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";
import type { MeasuredDocuments } from "./text-tokens.ts";
import { documentWindows, sequenceWindows, type TextWindows, windowBatches } from "./text-windows.ts";

/**
 * How texts share a row: several whole ones, unseen by one another; one after another, cut where a row is full, seen by
 * those behind; or each in rows of its own.
 */
export type TextPacking = "documents" | "concatenate" | "none";

/** How texts become batches. */
export interface TextBatchOptions {
  packing: TextPacking;
  /** Tokens of a row. */
  maxLength: number;
  batchSize: number;
  groupByLength: boolean;
  padId: number;
  seed: number;
  /** For training; otherwise each window once, in an order that does not depend on the epoch. */
  isShuffled: boolean;
}

/** Batches of texts, how many of them make an epoch, and which share of the rows is padding. */
export interface TextBatches<B> {
  source: Source<B>;
  batchesPerEpoch: number;
  padding: number;
}

/** Batches for a model that tells the next token. */
export function causalBatches(
  documents: MeasuredDocuments,
  options: TextBatchOptions,
): TextBatches<LanguageModelBatch> {
  const { packing, maxLength, batchSize, padId, seed, isShuffled } = options;
  if (packing === "documents") {
    const source = packedBatches(documents, { contextLength: maxLength, batchSize, isShuffled, seed, padId });
    const { windows } = source;
    return {
      source: isShuffled ? source : mixed(source),
      batchesPerEpoch: Math.ceil(windows.count / batchSize),
      padding: 1 - windows.fill,
    };
  }
  if (packing === "concatenate") {
    const source = sequenceBatches(documents, { contextLength: maxLength, batchSize, isShuffled, seed });
    const batchesPerEpoch = Math.ceil(source.windows / batchSize);
    return { source: isShuffled ? source : mixed(source), batchesPerEpoch, padding: 0 };
  }
  const collate = (rows: readonly ArrayLike<number>[]): LanguageModelBatch => {
    // a window comes with the token behind it, where there is one
    const inputs = rows.map((ids) => Array.from(ids).slice(0, maxLength));
    const targets = rows.map((ids) => Array.from(ids).slice(1));
    const width = paddedWidth(inputs, maxLength);
    return {
      inputIds: paddedIds(inputs, width, padId),
      attentionMask: paddedMask(inputs, width),
      shiftLabels: paddedIds(targets, width, IGNORED_LABEL),
    };
  };
  return windowed(documentWindows(documents, maxLength), { ...options, collate, isOpen: true });
}

/** What stands around the tokens of a window, and which tokens are none of a text. */
export interface MaskedOptions extends TextBatchOptions {
  before: readonly number[];
  after: readonly number[];
  special: ReadonlySet<number>;
  masking: MaskTokensOptions;
  /** Which word a token belongs to, for whole words. */
  wordIds?: (ids: readonly number[]) => number[];
}

/** What a masked language model learns from. */
export type MaskedBatch = EncoderInputs & { labels: Tensor<"i32"> };

/**
 * Batches for a model that tells masked tokens. Which are masked follows from the seed and the sample, so that each
 * epoch has others and a run that goes on has the same; of validation they are always the same.
 */
export function maskedBatches(documents: MeasuredDocuments, options: MaskedOptions): TextBatches<MaskedBatch> {
  const { packing, maxLength, padId, before, after } = options;
  const room = maxLength - before.length - after.length;
  const windows = packing === "concatenate" ? sequenceWindows(documents, room) : documentWindows(documents, room);
  const collate = (rows: readonly ArrayLike<number>[], samples: readonly number[]): MaskedBatch => {
    const masked = rows.map((ids, i) => maskedWindow(ids, options, drawsAt(options, samples[i])));
    const inputs = masked.map(({ inputIds }) => inputIds);
    const width = paddedWidth(inputs, maxLength);
    return {
      inputIds: paddedIds(inputs, width, padId),
      attentionMask: paddedMask(inputs, width),
      labels: paddedIds(
        masked.map(({ labels }) => labels),
        width,
        IGNORED_LABEL,
      ),
    };
  };
  return windowed(windows, { ...options, collate }, before.length + after.length);
}

/** Training and validation draw other numbers. */
const drawsAt = ({ seed, isShuffled }: TextBatchOptions, sample: number): Draws =>
  drawsOf(seed, isShuffled ? 0 : 1, sample);

/** A window with masks, and what is asked for. */
export function maskedWindow(
  window: ArrayLike<number>,
  {
    before,
    after,
    special,
    masking,
    wordIds,
  }: Pick<MaskedOptions, "before" | "after" | "special" | "masking" | "wordIds">,
  draws: Draws,
): { inputIds: number[]; labels: number[] } {
  const ids = [...before, ...Array.from(window), ...after];
  const isAround = (i: number) => i < before.length || i >= ids.length - after.length;
  const specialTokensMask = ids.map((id, i) => (isAround(i) || special.has(id) ? 1 : 0));
  return maskTokens({ ids, specialTokensMask, ...(wordIds && { wordIds: wordIds(ids) }) }, masking, draws);
}

/** Batches of windows, each with some more tokens around it. */
export function windowed<B>(
  windows: TextWindows,
  options: TextBatchOptions & {
    collate: (windows: readonly ArrayLike<number>[], samples: readonly number[]) => B;
    isOpen?: boolean;
  },
  around = 0,
): TextBatches<B> {
  const { isShuffled, batchSize, groupByLength, seed, maxLength, collate, isOpen } = options;
  const source = windowBatches(windows, { isShuffled, batchSize, groupByLength, seed, collate, isOpen });
  // padding to the longest row; batches of like lengths have less
  const tokens = windows.lengths.reduce((total, length) => total + length + around, 0);
  const places = windows.lengths.reduce(
    (total, length) => total + paddedWidth([{ length: length + around }], maxLength),
    0,
  );
  return {
    source: isShuffled ? source : mixed(source),
    batchesPerEpoch: Math.ceil(windows.count / batchSize),
    padding: 1 - tokens / places,
  };
}

/** Seed of the order in which batches are measured. */
const MIX = 0x6d6978; // "mix"

/** Batches in another order: windows are sorted by their lengths, and the first ones alone would tell little. */
function mixed<B>(source: Source<B>): Source<B> {
  const count = source.count as number;
  return { count, batch: (index) => source.batch(permute(index, count, MIX)) };
}
