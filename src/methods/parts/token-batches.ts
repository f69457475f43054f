/** Examples of tokens as batches for language models. */
import { IGNORED_LABEL } from "../../base/index.ts";
import { batchesOf, packedBatches, type Source } from "../../data/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { LanguageModelBatch } from "../../train/index.ts";
import type { LearnedTokens } from "./conversation-tokens.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";

/** How examples of tokens are put together. */
export interface TokenBatchOptions {
  batchSize: number;
  /** Longest example. */
  maxLength: number;
  packing: boolean;
  groupByLength: boolean;
  padId: number;
  seed: number;
  /** For training; otherwise each example once, in order. */
  isShuffled: boolean;
}

/** Batches of examples, and how many there are in an epoch. */
export interface TokenBatches {
  source: Source<LanguageModelBatch>;
  batchesPerEpoch: number;
  /** Share of all places that is padding, in packed rows. */
  padding?: number;
}

/** Batches of examples that are padded, or packed into rows in which they do not see one another. */
export function tokenBatches(examples: readonly LearnedTokens[], options: TokenBatchOptions): TokenBatches {
  const { batchSize, isShuffled, seed, padId, maxLength, groupByLength } = options;
  const lengths = examples.map(({ ids }) => ids.length);
  if (options.packing) {
    const documents = {
      lengths,
      ids: async (i: number, start: number, length: number) => examples[i].ids.subarray(start, start + length),
      weights: async (i: number, start: number, length: number) => examples[i].weights.subarray(start, start + length),
    };
    const source = packedBatches(documents, { contextLength: maxLength, batchSize, isShuffled, seed, padId });
    const { count } = source.windows;
    const tokens = lengths.reduce((total, length) => total + length, 0);
    return { source, batchesPerEpoch: Math.ceil(count / batchSize), padding: 1 - tokens / (count * maxLength) };
  }
  const source = batchesOf(examples, {
    batchSize,
    isShuffled,
    seed,
    ...(isShuffled && groupByLength && { lengths }),
    collate: (rows) => paddedBatch(rows, { maxLength, padId }),
  });
  return { source, batchesPerEpoch: Math.ceil(examples.length / batchSize) };
}

/** Rows of one length: padding is at the right, and has no labels. */
export function paddedBatch(
  rows: readonly LearnedTokens[],
  { maxLength: most, padId }: Pick<TokenBatchOptions, "maxLength" | "padId">,
): Required<Pick<LanguageModelBatch, "inputIds" | "attentionMask">> & { shiftLabels: Tensor<"i32"> } {
  const ids = rows.map((row) => row.ids);
  const width = paddedWidth(ids, most);
  const labels = rows.map(({ ids: tokens, weights }) =>
    tokens.subarray(1).map((token, i) => (weights[i + 1] ? token : IGNORED_LABEL)),
  );
  return {
    inputIds: paddedIds(ids, width, padId),
    attentionMask: paddedMask(ids, width),
    shiftLabels: paddedIds(labels, width, IGNORED_LABEL),
  };
}

/** Examples cut to a length, or left out; those that have nothing to learn are left out too. */
export function fitTokens(
  examples: readonly LearnedTokens[],
  { maxLength, onTooLong }: { maxLength: number; onTooLong: "cut" | "skip" },
): { kept: LearnedTokens[]; cut: number; skipped: number; unlearned: number } {
  let [cut, skipped, unlearned] = [0, 0, 0];
  const kept: LearnedTokens[] = [];
  for (const { ids, weights } of examples) {
    const isLong = ids.length > maxLength;
    if (isLong && onTooLong === "skip") {
      skipped++;
      continue;
    }
    if (isLong) cut++;
    const short = { ids: ids.subarray(0, maxLength), weights: weights.subarray(0, maxLength) };
    if (short.weights.subarray(1).includes(1)) kept.push(short);
    else unlearned++;
  }
  return { kept, cut, skipped, unlearned };
}
