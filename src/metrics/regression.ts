import { meanOf, type Numbers, requireFinite, requirePairs } from "./checks.ts";

function requireNumbersOf(where: string, predictions: Numbers, labels: Numbers): number {
  const count = requirePairs(where, predictions, labels);
  requireFinite(where, "predictions", predictions);
  requireFinite(where, "labels", labels);
  return count;
}

/** The mean of something of each pair of numbers. */
const meanBy = (
  where: string,
  predictions: Numbers,
  labels: Numbers,
  of: (prediction: number, label: number) => number,
): number => {
  const count = requireNumbersOf(where, predictions, labels);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += of(predictions[i], labels[i]);
  return sum / count;
};

/** The mean squared difference. @throws DataError where lengths differ, there are no rows, or a number is not finite */
export const meanSquaredError = (predictions: Numbers, labels: Numbers): number =>
  meanBy("meanSquaredError", predictions, labels, (prediction, label) => (prediction - label) ** 2);

/** The square root of the mean squared difference. @throws as `meanSquaredError` */
export const rootMeanSquaredError = (predictions: Numbers, labels: Numbers): number =>
  Math.sqrt(meanSquaredError(predictions, labels));

/** The mean difference, whatever its sign. @throws as `meanSquaredError` */
export const meanAbsoluteError = (predictions: Numbers, labels: Numbers): number =>
  meanBy("meanAbsoluteError", predictions, labels, (prediction, label) => Math.abs(prediction - label));

/**
 * The mean difference as a share of the label, whatever their signs; of a label of 0 it is of 2.2e-16, as scikit-learn
 * has it. @throws as `meanSquaredError`
 */
export const meanAbsolutePercentageError = (predictions: Numbers, labels: Numbers): number =>
  meanBy(
    "meanAbsolutePercentageError",
    predictions,
    labels,
    (prediction, label) => Math.abs(prediction - label) / Math.max(Math.abs(label), Number.EPSILON),
  );

/**
 * The share of the labels' variance that the predictions explain: 1 is the best, 0 what their mean gives. Of labels
 * that are all alike it is 1 where all are predicted, else 0. scikit-learn's `r2_score`. @throws as `meanSquaredError`
 */
export function r2Score(predictions: Numbers, labels: Numbers): number {
  const count = requireNumbersOf("r2Score", predictions, labels);
  const mean = meanOf(labels);
  let [residuals, spread] = [0, 0];
  for (let i = 0; i < count; i++) {
    residuals += (labels[i] - predictions[i]) ** 2;
    spread += (labels[i] - mean) ** 2;
  }
  if (spread === 0) return Number(residuals === 0);
  return 1 - residuals / spread;
}

/**
 * The linear correlation of predictions and labels, from -1 to 1; NaN where one of them is all alike. scipy's
 * `pearsonr`. @throws as `meanSquaredError`
 */
export function pearsonCorrelation(predictions: Numbers, labels: Numbers): number {
  const count = requireNumbersOf("pearsonCorrelation", predictions, labels);
  const [a, b] = [meanOf(predictions), meanOf(labels)];
  let [common, first, second] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    common += (predictions[i] - a) * (labels[i] - b);
    first += (predictions[i] - a) ** 2;
    second += (labels[i] - b) ** 2;
  }
  if (first === 0 || second === 0) return Number.NaN;
  return Math.max(-1, Math.min(1, common / Math.sqrt(first) / Math.sqrt(second)));
}

/**
 * The correlation of the ranks of predictions and labels; equal numbers have the mean of their ranks. scipy's
 * `spearmanr`. @throws as `meanSquaredError`
 */
export function spearmanCorrelation(predictions: Numbers, labels: Numbers): number {
  requireNumbersOf("spearmanCorrelation", predictions, labels);
  return pearsonCorrelation(ranksOf(predictions), ranksOf(labels));
}

function ranksOf(values: Numbers): Float64Array {
  const order = Int32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let at = start; at < end; at++) ranks[order[at]] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}
