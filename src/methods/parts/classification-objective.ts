/** The loss and the metrics of sequence classification. */
import { binaryCrossEntropyWithLogits, crossEntropy, mseLoss } from "../../losses/index.ts";
import {
  accuracy,
  expectedCalibrationError,
  f1Score,
  matthewsCorrelation,
  metricsOf,
  rocAuc,
} from "../../metrics/index.ts";
import type { EncoderInputs, SequenceClassifier } from "../../models/index.ts";
import { gather, reshape, sum, type Tensor, tensor } from "../../tensor/index.ts";
import { type HostTensor, type Objective, type Scorer, type SupervisedOptions, supervised } from "../../train/index.ts";

/** One class of several, any number of classes, or a number. */
export type ClassificationProblem = "single" | "multiple" | "regression";

/** A batch of texts with their classes: i32 [B], of several classes f32 [B, N], or numbers f32 [B]. */
export interface ClassificationBatch extends EncoderInputs {
  labels: Tensor<"i32"> | Tensor<"f32">;
}

/** How a classifier learns. */
export interface ClassificationOptions extends SupervisedOptions {
  problem: ClassificationProblem;
  /** Share of the target that is spread over all classes; of a single class. @default 0 */
  labelSmoothing?: number;
  /** How much each class counts, of several how much each of their ones: [N]. @default all the same */
  weights?: Float32Array;
}

/**
 * Trains a classifier of texts. Of a single class the loss is a cross-entropy, whose mean is weighted by the classes as
 * PyTorch's is; of several the binary cross-entropy of each; of numbers the squared error. Measured over the whole
 * validation data: accuracy, F1, Matthews' correlation, the calibration error, and of two classes the area under the
 * ROC curve.
 */
export function classificationObjective(
  model: SequenceClassifier,
  { problem, labelSmoothing = 0, weights, ...options }: ClassificationOptions,
): Objective<ClassificationBatch> {
  const weight = weights && tensor(weights);
  return {
    ...supervised(model, options),
    loss({ labels, ...inputs }, run) {
      const { logits } = model.forward({ ...inputs, ...run });
      if (problem === "single") {
        const classes = labels as Tensor<"i32">;
        const loss = crossEntropy(logits, classes, { labelSmoothing, ...(weight && { weight }) });
        return { loss, weight: weight ? sum(gather(weight, classes)) : tensor(classes.size(0)) };
      }
      const numbers = labels as Tensor<"f32">;
      const rows = tensor(numbers.size(0));
      if (problem === "regression") return { loss: mseLoss(reshape(logits, [numbers.size(0)]), numbers), weight: rows };
      const posWeight = weight && { posWeight: weight };
      return { loss: binaryCrossEntropyWithLogits(logits, numbers, { ...posWeight }), weight: rows };
    },
    scorer: () => classificationScorer(model, problem),
  };
}

/** Scores, and labels, of a row. */
interface Row {
  scores: number[];
  labels: number[];
}

function classificationScorer(model: SequenceClassifier, problem: ClassificationProblem): Scorer<ClassificationBatch> {
  let rows: Row[] = [];
  const compute = { single: singleMetrics, multiple: multipleMetrics, regression: numberMetrics }[problem];
  return {
    outputs: ({ labels, ...inputs }) => ({ logits: model.forward(inputs).logits, labels }),
    add({ logits, labels }) {
      const count = logits.shape[0];
      const rowOf = ({ data }: HostTensor, row: number) => {
        const width = data.length / count;
        return Array.from({ length: width }, (_, i) => Number(data[row * width + i]));
      };
      for (let i = 0; i < count; i++) rows.push({ scores: rowOf(logits, i), labels: rowOf(labels, i) });
    },
    result() {
      const metrics = compute(rows);
      rows = [];
      return metrics;
    },
  };
}

const largestAt = (scores: readonly number[]) => scores.indexOf(Math.max(...scores));

function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const all = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / all);
}

function singleMetrics(rows: readonly Row[]): Record<string, number> {
  const guesses = rows.map(({ scores }) => largestAt(scores));
  const labels = rows.map(({ labels: [label] }) => label);
  const probabilities = rows.map(({ scores }) => softmax(scores));
  const classes = probabilities[0].map((_, id) => id);
  const f1 = (average: "micro" | "macro" | "weighted") => f1Score(guesses, labels, { average, zeroDivision: 0 });
  return {
    accuracy: accuracy(guesses, labels),
    f1Micro: f1("micro"),
    f1Macro: f1("macro"),
    f1Weighted: f1("weighted"),
    mcc: matthewsCorrelation(guesses, labels),
    calibrationError: expectedCalibrationError(probabilities, labels, { classes }),
    // of one class alone there is no curve
    ...(classes.length === 2 &&
      new Set(labels).size === 2 && {
        rocAuc: rocAuc(
          probabilities.map(([, p]) => p),
          labels,
        ),
      }),
  };
}

/** Of several classes: a row is right where all are. */
function multipleMetrics(rows: readonly Row[]): Record<string, number> {
  const counts = rows[0].scores.map(() => ({ hits: 0, wrong: 0 }));
  let exact = 0;
  for (const { scores, labels } of rows) {
    exact += Number(scores.every((score, i) => score > 0 === labels[i] > 0));
    for (const [i, count] of counts.entries()) {
      if (scores[i] > 0 && labels[i] > 0) count.hits++;
      else if (scores[i] > 0 || labels[i] > 0) count.wrong++;
    }
  }
  const f1 = ({ hits, wrong }: { hits: number; wrong: number }) => (hits === 0 ? 0 : (2 * hits) / (2 * hits + wrong));
  const sums = counts.reduce((a, b) => ({ hits: a.hits + b.hits, wrong: a.wrong + b.wrong }));
  const f1Macro = counts.reduce((sum, count) => sum + f1(count), 0) / counts.length;
  return { accuracy: exact / rows.length, f1Micro: f1(sums), f1Macro };
}

function numberMetrics(rows: readonly Row[]): Record<string, number> {
  const metric = metricsOf("regression");
  metric.add(
    rows.map(({ scores: [score] }) => score),
    rows.map(({ labels: [label] }) => label),
  );
  return metric.result();
}
