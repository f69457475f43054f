/** How cross-encoders learn: batches of pairs, their losses, and what is measured. */
import { batchesOf, type Source } from "../../data/index.ts";
import { binaryCrossEntropyWithLogits, crossEntropy, mseLoss } from "../../losses/index.ts";
import {
  accuracy,
  f1Score,
  metricsOf,
  pearsonCorrelation,
  retrievalScores,
  rocAuc,
  spearmanCorrelation,
} from "../../metrics/index.ts";
import type { RunOptions, SequenceClassifier } from "../../models/index.ts";
import type { Parameter } from "../../nn/index.ts";
import { logSoftmax, mean, mul, neg, reshape, softmax, sum, type Tensor, tensor } from "../../tensor/index.ts";
import type { HostTensor, Objective, Scorer } from "../../train/index.ts";
import { type EncodedText, type TextForm, type TextInputs, textInputs } from "./encoded-texts.ts";

/** Names of the losses of pairs. */
export const pairLosses = ["bce", "cross-entropy", "mse", "list-net"] as const;
/** The name of a loss of pairs. */
export type PairLoss = (typeof pairLosses)[number];

/** Pairs of texts as tensors. */
export interface PairBatch {
  texts: TextInputs;
  /** Classes i32 [B], or numbers f32 [B]. */
  labels: Tensor<"i32"> | Tensor<"f32">;
  /** Which pairs they are, i32 [B]: those that come again count once. */
  numbers: Tensor<"i32">;
}

/** Pairs, and how they become batches. */
export interface PairBatchOptions {
  /** Rows of a batch: pairs, or lists of them. */
  batchSize: number;
  /** Pairs of a row, which follow one another. */
  perRow: number;
  seed: number;
  groupByLength: boolean;
  /** For training; otherwise each row once, in order. */
  isShuffled: boolean;
  /** Whether labels are classes. */
  hasClasses: boolean;
}

/** Batches of pairs, and how many there are in an epoch. */
export function pairBatches(
  { texts, labels }: { texts: readonly EncodedText[]; labels: readonly number[] },
  form: TextForm,
  { batchSize, perRow, seed, groupByLength, isShuffled, hasClasses }: PairBatchOptions,
): { source: Source<PairBatch>; batchesPerEpoch: number } {
  const rows = Array.from({ length: texts.length / perRow }, (_, row) =>
    Array.from({ length: perRow }, (_, i) => row * perRow + i),
  );
  const classes = (values: readonly number[]) => tensor(Int32Array.from(values));
  const amounts = (values: readonly number[]) => tensor(Float32Array.from(values));
  const collate = (lists: readonly (readonly number[])[]): PairBatch => {
    const numbers = lists.flat();
    const values = numbers.map((i) => labels[i]);
    return {
      texts: textInputs(
        numbers.map((i) => texts[i]),
        form,
      ),
      labels: hasClasses ? classes(values) : amounts(values),
      numbers: tensor(Int32Array.from(numbers)),
    };
  };
  const lengths = rows.map((row) => Math.max(...row.map((i) => texts[i].ids.length)));
  const grouped = isShuffled && groupByLength && { lengths };
  const source = batchesOf(rows, { batchSize, seed, isShuffled, collate, ...grouped });
  return { source, batchesPerEpoch: Math.ceil(rows.length / batchSize) };
}

/**
 * The loss of pairs. logits: [B, N] or [B, 1]. list-net: rows of `perRow` pairs, the cross-entropy of the softmax of
 * their scores from that of their labels. Cao et al. 2007, https://doi.org/10.1145/1273496.1273513.
 */
function pairLoss(
  logits: Tensor<"f32">,
  labels: PairBatch["labels"],
  { loss, perRow }: { loss: PairLoss; perRow: number },
): Tensor<"f32"> {
  if (loss === "cross-entropy") return crossEntropy(logits, labels as Tensor<"i32">);
  const [scores, targets] = [reshape(logits, [-1]), labels as Tensor<"f32">];
  if (loss === "bce") return binaryCrossEntropyWithLogits(scores, targets);
  if (loss === "mse") return mseLoss(scores, targets);
  const wanted = softmax(reshape(targets, [-1, perRow]));
  return mean(neg(sum(mul(wanted, logSoftmax(reshape(scores, [-1, perRow]))), { axes: 1 })));
}

/** What an objective of pairs is made of. */
export interface PairObjectiveParts {
  model: SequenceClassifier;
  loss: PairLoss;
  perRow: number;
  /** Whether labels are no and yes, or amounts. */
  isBinary: boolean;
  trained: ReadonlyMap<string, Parameter>;
}

/** Loss and metrics of a cross-encoder; how it is saved is another's matter. Counts pairs. */
export function pairObjective(
  parts: PairObjectiveParts,
): Pick<Objective<PairBatch>, "trained" | "state" | "unit" | "count" | "loss" | "scorer"> {
  const { model, trained } = parts;
  const traced = new WeakMap<PairBatch, Tensor<"f32">>(); // an adapter is in place for the loss alone
  const logitsOf = ({ texts }: PairBatch, run: RunOptions) => model.forward({ ...texts, ...run }).logits;
  return {
    trained,
    state: model.namedState(),
    unit: "pairs",
    count: ({ labels }) => Number(labels.shape[0]),
    loss(batch, run) {
      const logits = logitsOf(batch, run);
      if (!run.isTraining) traced.set(batch, logits);
      return { loss: pairLoss(logits, batch.labels, parts) };
    },
    scorer: () =>
      pairScorer(parts, (batch) => ({
        logits: traced.get(batch) ?? logitsOf(batch, {}),
        labels: batch.labels,
        numbers: batch.numbers,
      })),
  };
}

interface Judged {
  logits: number[];
  label: number;
}

function pairScorer(
  parts: PairObjectiveParts,
  outputs: (batch: PairBatch) => Readonly<Record<string, Tensor>>,
): Scorer<PairBatch> {
  let pairs = new Map<number, Judged>();
  return {
    outputs,
    add({ logits, labels, numbers }: Readonly<Record<string, HostTensor>>) {
      const width = logits.shape[1];
      for (let i = 0; i < labels.shape[0]; i++) {
        const row = Array.from({ length: width }, (_, j) => Number(logits.data[i * width + j]));
        pairs.set(Number(numbers.data[i]), { logits: row, label: Number(labels.data[i]) });
      }
    },
    result() {
      const ordered = [...pairs].sort(([a], [b]) => a - b).map(([, pair]) => pair);
      pairs = new Map();
      return pairMetrics(ordered, parts);
    },
  };
}

function pairMetrics(
  pairs: readonly Judged[],
  { loss, perRow, isBinary }: Pick<PairObjectiveParts, "loss" | "perRow" | "isBinary">,
): Record<string, number> {
  const [scores, labels] = [pairs.map(({ logits }) => logits[0]), pairs.map(({ label }) => label)];
  if (loss === "cross-entropy") {
    const metric = metricsOf("classification");
    metric.add(
      pairs.map(({ logits }) => logits),
      labels,
    );
    return metric.result();
  }
  if (loss === "list-net") return listMetrics(scores, perRow);
  const isVaried = new Set(labels).size > 1;
  if (!isBinary)
    return isVaried
      ? { spearman: spearmanCorrelation(scores, labels), pearson: pearsonCorrelation(scores, labels) }
      : {};
  const threshold = loss === "bce" ? 0 : 0.5;
  const guesses = scores.map((score) => Number(score > threshold));
  const { length: yes } = labels.filter((label) => label === 1);
  return {
    accuracy: accuracy(guesses, labels),
    ...(yes > 0 && { f1: f1Score(guesses, labels) as number }),
    ...(isVaried && { auc: rocAuc(scores, labels) }),
  };
}

/** The place of the right text among those of its row. */
function listMetrics(scores: readonly number[], perRow: number): Record<string, number> {
  const rankings = Array.from({ length: scores.length / perRow }, (_, row) =>
    Array.from({ length: perRow }, (_, i) => i).sort((a, b) => scores[row * perRow + b] - scores[row * perRow + a]),
  );
  const { mrr, hitRate } = retrievalScores(
    rankings,
    rankings.map(() => [0]),
    { k: [1, Math.max(2, perRow)] },
  );
  return { mrr, accuracy: hitRate[1] };
}
