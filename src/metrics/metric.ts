import { checkOptions, DataError, OptionError } from "../base/index.ts";
import { accuracy } from "./accuracy.ts";
import { exactMatch, tokenF1 } from "./answers.ts";
import { corpusBleu } from "./bleu.ts";
import type { Label, Numbers } from "./checks.ts";
import { corpusChrf } from "./chrf.ts";
import { detectionScores } from "./detection.ts";
import type { Detection, GroundTruth } from "./detection-matches.ts";
import { entityScores } from "./entities.ts";
import { characterErrorRate, wordErrorRate } from "./error-rates.ts";
import { matthewsCorrelation } from "./matthews.ts";
import { segmentationScores } from "./overlap.ts";
import { bitsPerByte, perplexityOf } from "./perplexity.ts";
import { precisionRecallF1 } from "./precision-recall.ts";
import { meanAbsoluteError, meanSquaredError, pearsonCorrelation, r2Score, spearmanCorrelation } from "./regression.ts";
import { type Relevant, retrievalScores } from "./retrieval.ts";
import { corpusRouge } from "./rouge.ts";

/** Numbers that are computed of all rows, which come batch by batch. */
export interface Metric<P, L> {
  /** Takes the rows of a batch. @throws DataError where their numbers differ */
  add(predictions: ArrayLike<P>, labels: ArrayLike<L>): void;
  /** The numbers of all rows since the last reset, by their names. @throws DataError where there are none */
  result(): Record<string, number>;
  /** Begins anew. */
  reset(): void;
}

/** What is predicted of a row by the model of each task, and what is compared with it. */
export interface MetricRows {
  /** The class, or a score for each class in its order. */
  classification: { prediction: Label | Numbers; label: Label };
  /** The tags of a sentence. */
  "token-classification": { prediction: readonly string[]; label: readonly string[] };
  "question-answering": { prediction: string; label: string | readonly string[] };
  /** Translations, summaries. */
  seq2seq: { prediction: string; label: string | readonly string[] };
  "speech-recognition": { prediction: string; label: string };
  regression: { prediction: number; label: number };
  /** Documents, the best first, and those that are relevant. */
  retrieval: { prediction: readonly Label[]; label: Relevant };
  /** Log probabilities of the tokens of a text, and its bytes. */
  "language-modeling": { prediction: Numbers; label: number };
  /** What was detected in pictures, and what is there: of different numbers. */
  detection: { prediction: Detection; label: GroundTruth };
  /** The class of each pixel of a picture. */
  segmentation: { prediction: Numbers; label: Numbers };
}

/** Tasks that have metrics. */
export type MetricTask = keyof MetricRows;

/** What the metrics of a task need to know. */
export interface MetricsOptions {
  /** Of texts: how they become words. @default "en" */
  language?: "en" | "zh";
  /** Of classification by scores: the class of each score. @default their numbers */
  classes?: readonly Label[];
}

type Rows<T extends MetricTask> = {
  predictions: MetricRows[T]["prediction"][];
  labels: MetricRows[T]["label"][];
};
type Compute<T extends MetricTask> = (rows: Rows<T>, options: MetricsOptions) => Record<string, number>;

/** The class with the highest score, or the class itself. */
function classOf(prediction: Label | Numbers, classes: readonly Label[] | undefined): Label {
  if (typeof prediction !== "object") return prediction;
  let best = 0;
  for (let i = 1; i < prediction.length; i++) if (prediction[i] > prediction[best]) best = i;
  return classes ? classes[best] : best;
}

const computations: { readonly [T in MetricTask]: Compute<T> } = {
  classification({ predictions, labels }, { classes }) {
    const guesses = predictions.map((prediction) => classOf(prediction, classes));
    const { precision, recall, f1 } = precisionRecallF1(guesses, labels, { average: "macro" });
    return { accuracy: accuracy(guesses, labels), precision, recall, f1, mcc: matthewsCorrelation(guesses, labels) };
  },
  "token-classification"({ predictions, labels }) {
    const { precision, recall, f1, accuracy: share } = entityScores(predictions, labels);
    return { precision, recall, f1, accuracy: share as number };
  },
  "question-answering": ({ predictions, labels }, { language }) => ({
    exactMatch: exactMatch(predictions, labels, { language }),
    f1: tokenF1(predictions, labels, { language }),
  }),
  seq2seq({ predictions, labels }, { language }) {
    const isChinese = language === "zh";
    const rouge = corpusRouge(predictions, labels, { tokenizer: isChinese ? "characters" : "words" });
    return {
      bleu: corpusBleu(predictions, labels, { tokenizer: isChinese ? "zh" : "13a" }).score,
      chrf: corpusChrf(predictions, labels),
      rouge1: rouge.rouge1.f1,
      rouge2: rouge.rouge2.f1,
      rougeL: rouge.rougeL.f1,
    };
  },
  "speech-recognition": ({ predictions, labels }) => ({
    wer: wordErrorRate(predictions, labels).rate,
    cer: characterErrorRate(predictions, labels).rate,
  }),
  regression: ({ predictions, labels }) => ({
    mse: meanSquaredError(predictions, labels),
    mae: meanAbsoluteError(predictions, labels),
    r2: r2Score(predictions, labels),
    pearson: pearsonCorrelation(predictions, labels),
    spearman: spearmanCorrelation(predictions, labels),
  }),
  retrieval({ predictions, labels }) {
    const { mrr, map, recall, ndcg } = retrievalScores(predictions, labels, { k: [1, 10] });
    return { mrr, map, recallAt1: recall[1], recallAt10: recall[10], ndcgAt10: ndcg[10] };
  },
  "language-modeling"({ predictions, labels }) {
    const logprobs = predictions.flatMap((list) => Array.from(list));
    const bytes = labels.reduce((sum, count) => sum + count, 0);
    return { perplexity: perplexityOf(logprobs), bitsPerByte: bitsPerByte(logprobs, bytes) };
  },
  detection({ predictions, labels }) {
    const { map, map50, map75, recallAt } = detectionScores(predictions, labels);
    return { map, map50, map75, recallAt100: recallAt[100] };
  },
  segmentation({ predictions, labels }) {
    const flat = (rows: readonly Numbers[]) => rows.flatMap((row) => Array.from(row));
    const { meanIou, pixelAccuracy } = segmentationScores(flat(predictions), flat(labels));
    return { meanIou, pixelAccuracy };
  },
};

/**
 * The usual metrics of a task, for a training loop: rows come batch by batch. Rows are kept until `reset`.
 * @throws OptionError for another task
 *
 * @example
 * const metric = metricsOf("classification");
 * metric.add([[0.1, 0.9], [0.8, 0.2]], [1, 1]); // scores of two rows
 * metric.add([1, 0], [1, 0]); // or classes
 * metric.result().accuracy; // 0.75
 */
export function metricsOf<T extends MetricTask>(
  task: T,
  options: MetricsOptions = {},
): Metric<MetricRows[T]["prediction"], MetricRows[T]["label"]> {
  checkOptions("metricsOf", options, ["language", "classes"]);
  const compute = computations[task] as Compute<T> | undefined;
  if (compute === undefined)
    throw new OptionError({
      where: "metricsOf",
      expected: `one of the tasks ${Object.keys(computations).join(", ")}`,
      received: JSON.stringify(task) ?? String(task),
      fix: "choose one of them",
    });
  let rows: Rows<T> = { predictions: [], labels: [] };
  return {
    add(predictions, labels) {
      if (task !== "detection" && predictions.length !== labels.length)
        throw new DataError({
          where: `metrics of ${task}`,
          expected: "as many predictions as labels in a batch",
          received: `${predictions.length} and ${labels.length}`,
          fix: "give one prediction for each label",
        });
      for (let i = 0; i < predictions.length; i++) rows.predictions.push(predictions[i]);
      for (let i = 0; i < labels.length; i++) rows.labels.push(labels[i]);
    },
    result: () => compute(rows, options),
    reset() {
      rows = { predictions: [], labels: [] };
    },
  };
}
