/** How sentence embeddings are learned: batches of encoded pairs, their loss, and what is measured. */
import { batchesOf, distinctBatches, type Source } from "../../data/index.ts";
import type { RunOptions } from "../../models/index.ts";
import type { Parameter } from "../../nn/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { Objective, Scorer } from "../../train/index.ts";
import { type EmbeddedBatch, type EmbeddingLossOptions, embeddingLoss } from "./embedding-loss.ts";
import type { EncodedPair } from "./encoded-pairs.ts";
import { retrievalScorer, type ScoredBatch, similarityScorer } from "./retrieval-scorer.ts";
import type { OpenedSentences } from "./sentence-files.ts";
import type { SentenceInputs, SentenceModel } from "./sentence-model.ts";

/** Pairs of texts as tensors. */
export interface EmbeddingBatch {
  anchors: SentenceInputs;
  positives: SentenceInputs;
  /** The first negative of each row, the second of each, and so on. @default none */
  negatives?: readonly SentenceInputs[];
  /** f32 [B] */
  scores?: Tensor<"f32">;
  /** Numbers of the anchors' and the positives' texts. i32 [B, 2] */
  numbers: Tensor<"i32">;
}

/** How pairs become batches. */
export interface EmbeddingBatchOptions {
  batchSize: number;
  seed: number;
  groupByLength: boolean;
  /** Whether the other rows of a batch are what is wrong: no text comes twice then. */
  isInBatch: boolean;
  /** Whether the scores go along. */
  hasScores: boolean;
  /** For training; otherwise each pair once, in order. */
  isShuffled: boolean;
  /** Tokens of the prompts in front of anchors and documents. */
  promptTokens: readonly [number, number];
}

/** Batches of pairs, and how many there are in an epoch. */
export function embeddingBatches(
  pairs: readonly EncodedPair[],
  { model, form }: Pick<OpenedSentences, "model" | "form">,
  options: EmbeddingBatchOptions,
): { source: Source<EmbeddingBatch>; batchesPerEpoch: number } {
  const { batchSize, seed, isShuffled, hasScores, promptTokens } = options;
  const collate = (rows: readonly EncodedPair[]): EmbeddingBatch => {
    const documents = (texts: EncodedPair["negatives"]) => model.inputsOf(texts, form, promptTokens[1]);
    const negatives = rows[0].negatives.map((_, i) => documents(rows.map((row) => row.negatives[i])));
    return {
      anchors: model.inputsOf(
        rows.map(({ anchor }) => anchor),
        form,
        promptTokens[0],
      ),
      positives: documents(rows.map(({ positive }) => positive)),
      ...(negatives.length > 0 && { negatives }),
      ...(hasScores && { scores: tensor(Float32Array.from(rows, ({ score }) => score as number)) }),
      numbers: tensor(Int32Array.from(rows.flatMap(({ numbers }) => numbers.slice(0, 2))), { shape: [rows.length, 2] }),
    };
  };
  if (options.isInBatch) {
    const source = distinctBatches(
      pairs.map(({ numbers }) => numbers),
      { batchSize, seed, isShuffled, collate: (indices) => collate(indices.map((i) => pairs[i])) },
    );
    return { source, batchesPerEpoch: source.batchesPerEpoch };
  }
  const lengths = pairs.map(({ anchor, positive }) => anchor.ids.length + positive.ids.length);
  const grouped = isShuffled && options.groupByLength && { lengths };
  const source = batchesOf(pairs, { batchSize, seed, isShuffled, collate, ...grouped });
  return { source, batchesPerEpoch: Math.ceil(pairs.length / batchSize) };
}

/** Vectors of all texts of a batch, each kind with a dropout of its own. */
function embedBatch(model: SentenceModel, batch: EmbeddingBatch, { key, ...run }: RunOptions): EmbeddedBatch {
  const { anchors, positives, negatives = [], scores } = batch;
  const embed = (texts: SentenceInputs, column: number) => model.embed(texts, { ...run, key: key?.fold(column) });
  return {
    anchors: embed(anchors, 0),
    positives: embed(positives, 1),
    negatives: negatives.map((texts, i) => embed(texts, 2 + i)),
    scores,
  };
}

/** What an objective of embeddings measures: a search, the correlation with scores, or the loss alone. */
export type EmbeddingMetrics = "retrieval" | "similarity" | "none";

/** The objective of sentence embeddings. Counts pairs. */
export function embeddingObjective(
  { model, save, load, saveResult }: OpenedSentences,
  options: EmbeddingLossOptions,
  { trained, metrics }: { trained: ReadonlyMap<string, Parameter>; metrics: EmbeddingMetrics },
): Objective<EmbeddingBatch> {
  // vectors of a batch that is being traced, which the scorer wants too: an adapter is in place for the loss alone
  const traced = new WeakMap<EmbeddingBatch, EmbeddedBatch>();
  const outputsOf = (batch: EmbeddingBatch): ScoredBatch => {
    const { anchors, positives } = traced.get(batch) ?? embedBatch(model, batch, {});
    const { numbers, scores } = batch;
    return { anchors, positives, numbers, ...(scores && { scores }) };
  };
  const scorers: Record<EmbeddingMetrics, (() => Scorer<EmbeddingBatch>) | undefined> = {
    retrieval: () => retrievalScorer(outputsOf),
    similarity: () => similarityScorer(outputsOf),
    none: undefined,
  };
  const scorer = scorers[metrics];
  return {
    trained,
    state: model.namedState(),
    unit: "pairs",
    count: ({ numbers }) => Number(numbers.shape[0]),
    loss(batch, run) {
      const embedded = embedBatch(model, batch, run);
      if (!run.isTraining) traced.set(batch, embedded);
      return { loss: embeddingLoss(embedded, options) };
    },
    ...(scorer && { scorer }),
    ...{ save, load, saveResult },
  };
}
