/** Examples of two texts as batches. */
import { batchesOf, type Source } from "../../data/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { PreferenceBatch, RatedBatch, RewardBatch } from "../../train/index.ts";
import type { PreferenceExample } from "./preference-examples.ts";
import { paddedBatch, type TokenBatchOptions } from "./token-batches.ts";

/** How examples are put together. */
export type PreferenceBatchOptions = Omit<TokenBatchOptions, "packing">;

/** Batches of examples, and how many there are in an epoch. */
interface Batches<B> {
  source: Source<B>;
  batchesPerEpoch: number;
}

type Rows = readonly PreferenceExample[];

function batches<B>(examples: Rows, options: PreferenceBatchOptions, collate: (rows: Rows) => B): Batches<B> {
  const { batchSize, isShuffled, seed, groupByLength } = options;
  const lengths = examples.map(({ texts }) => Math.max(...texts.map(({ ids }) => ids.length)));
  const source = batchesOf(examples, {
    batchSize,
    isShuffled,
    seed,
    ...(isShuffled && groupByLength && { lengths }),
    collate,
  });
  return { source, batchesPerEpoch: Math.ceil(examples.length / batchSize) };
}

const textsOf = (rows: Rows, which: 0 | 1) => rows.map(({ texts }) => texts[which]);
/** What the reference said of some of the texts, where it was asked before. [B] each */
const referenceOf = (rows: Rows, which: readonly (0 | 1)[]): Tensor<"f32"> | undefined =>
  rows[0].reference && tensor(which.flatMap((i) => rows.map(({ reference }) => (reference as [number, number])[i])));

/** Batches of pairs: the chosen texts first. */
export function pairBatches(examples: Rows, options: PreferenceBatchOptions): Batches<PreferenceBatch> {
  return batches(examples, options, (rows) => {
    const referenceLogProbabilities = referenceOf(rows, [0, 1]);
    const texts = paddedBatch([...textsOf(rows, 0), ...textsOf(rows, 1)], options);
    return { ...texts, ...(referenceLogProbabilities && { referenceLogProbabilities }) };
  });
}

/** Batches of pairs for rewards. */
export function rewardBatches(examples: Rows, options: PreferenceBatchOptions): Batches<RewardBatch> {
  const hasMargin = examples.some(({ margin }) => margin !== undefined);
  return batches(examples, options, (rows) => {
    const { inputIds, attentionMask } = paddedBatch([...textsOf(rows, 0), ...textsOf(rows, 1)], options);
    return { inputIds, attentionMask, ...(hasMargin && { margin: tensor(rows.map(({ margin = 0 }) => margin)) }) };
  });
}

/** Batches of rated completions. */
export function ratedBatches(examples: Rows, options: PreferenceBatchOptions): Batches<RatedBatch> {
  return batches(examples, options, (rows) => {
    const [referenceLogProbabilities, mismatchedReference] = [referenceOf(rows, [0]), referenceOf(rows, [1])];
    const isDesirable = Uint8Array.from(rows, ({ isDesirable }) => Number(isDesirable));
    return {
      ...paddedBatch(textsOf(rows, 0), options),
      mismatched: paddedBatch(textsOf(rows, 1), options),
      isDesirable: tensor(isDesirable, { dtype: "bool", shape: [rows.length] }),
      ...(referenceLogProbabilities && { referenceLogProbabilities, mismatchedReference }),
    };
  });
}
