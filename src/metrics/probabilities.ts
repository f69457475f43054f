import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import {
  type Label,
  type Labels,
  type NumberRows,
  type Numbers,
  requireFinite,
  requirePairs,
  requireRows,
} from "./checks.ts";
import { classesOf, indicesOf } from "./classes.ts";
import { positivesOf } from "./curves.ts";

/** Which classes probabilities are of. */
export interface ProbabilityOptions {
  /** The class that single probabilities are of. @default 1 */
  positive?: Label;
  /** The class of each column. @default the labels seen, sorted */
  classes?: readonly Label[];
}

const names = ["positive", "classes"];

/** The probabilities of the classes, as rows, and the place of each label. */
interface Judged {
  rows: readonly Numbers[];
  indices: ArrayLike<number>;
  isBinary: boolean;
}

function judged(
  where: string,
  probabilities: Numbers | NumberRows,
  labels: Labels,
  { positive = 1, classes = classesOf(labels) }: ProbabilityOptions,
): Judged {
  requirePairs(where, probabilities, labels);
  if (typeof probabilities[0] === "number") {
    const isPositive = positivesOf(where, labels, positive);
    requireFinite(where, "probabilities", probabilities as Numbers);
    const rows = Array.from(probabilities as Numbers, (p) => [1 - p, p]);
    requireRange(where, rows);
    return { rows, indices: isPositive.map(Number), isBinary: true };
  }
  const rows = Array.from(probabilities as NumberRows);
  const width = requireRows(where, "probabilities", rows);
  if (width !== classes.length)
    throw new OptionError({
      where,
      expected: `the classes of the ${width} columns of probabilities`,
      received: `${classes.length} classes`,
      fix: "name the class of each column in the option classes",
    });
  requireRange(where, rows);
  return { rows, indices: indicesOf(where, labels, classes), isBinary: false };
}

function requireRange(where: string, rows: readonly Numbers[]): void {
  for (const [i, row] of rows.entries())
    for (let j = 0; j < row.length; j++)
      if (row[j] < 0 || row[j] > 1)
        throw new DataError({
          where,
          expected: "probabilities from 0 to 1",
          received: `${row[j]} in row ${i}`,
          fix: "take the softmax or the sigmoid of logits",
        });
}

/**
 * The mean negative logarithm of the probability of the label, in nats; scikit-learn's `log_loss`. Probabilities are
 * kept 2.2e-16 away from 0 and 1.
 * @param probabilities one of the positive class for each row, or [rows][classes]
 * @throws DataError where lengths differ, or a probability is none
 */
export function logLoss(probabilities: Numbers | NumberRows, labels: Labels, options: ProbabilityOptions = {}): number {
  checkOptions("logLoss", options, names);
  const { rows, indices } = judged("logLoss", probabilities, labels, options);
  let sum = 0;
  for (const [i, row] of rows.entries()) {
    const probability = row[indices[i]];
    sum -= Math.log(Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, probability)));
  }
  return sum / rows.length;
}

/**
 * The mean squared distance of the probabilities from what happened; scikit-learn's `brier_score_loss`: from 0 to 1 of
 * two classes by one probability, from 0 to 2 of [rows][classes].
 * @throws DataError where lengths differ, or a probability is none
 */
export function brierScore(
  probabilities: Numbers | NumberRows,
  labels: Labels,
  options: ProbabilityOptions = {},
): number {
  checkOptions("brierScore", options, names);
  const { rows, indices, isBinary } = judged("brierScore", probabilities, labels, options);
  let sum = 0;
  for (const [i, row] of rows.entries())
    for (let j = 0; j < row.length; j++) sum += (row[j] - Number(j === indices[i])) ** 2;
  return sum / rows.length / (isBinary ? 2 : 1);
}

/** How confidences are grouped. */
export interface CalibrationOptions extends ProbabilityOptions {
  /** Groups of equal width. @default 15 */
  bins?: number;
}

/** Rows of like confidence. */
export interface CalibrationBin {
  count: number;
  /** Their mean confidence; NaN of none. */
  confidence: number;
  /** The share of them that is right; NaN of none. */
  accuracy: number;
}

/**
 * How often rows of each confidence are right. The confidence is the probability of the likeliest class; of two classes
 * by one probability it is that of the likelier one. Bins are (0, 1/n], (1/n, 2/n], ...
 * @throws DataError where lengths differ, or a probability is none
 */
export function calibrationBins(
  probabilities: Numbers | NumberRows,
  labels: Labels,
  options: CalibrationOptions = {},
): CalibrationBin[] {
  checkOptions("calibrationBins", options, [...names, "bins"]);
  const { bins = 15, ...others } = options;
  requireNumbers("calibrationBins", { bins }, { bins: numberRules.positiveInteger });
  const { rows, indices } = judged("calibrationBins", probabilities, labels, others);
  const sums = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, hits: 0 }));
  for (const [i, row] of rows.entries()) {
    let best = 0;
    for (let j = 1; j < row.length; j++) if (row[j] > row[best]) best = j;
    const bin = sums[Math.max(0, Math.ceil(row[best] * bins) - 1)];
    bin.count++;
    bin.confidence += row[best];
    bin.hits += Number(best === indices[i]);
  }
  return sums.map(({ count, confidence, hits }) => ({
    count,
    confidence: confidence / count,
    accuracy: hits / count,
  }));
}

/**
 * The mean distance of confidence from accuracy over groups of like confidence, weighted by their rows. Guo et al.
 * 2017, arXiv:1706.04599, section 2. @throws as `calibrationBins`
 */
export function expectedCalibrationError(
  probabilities: Numbers | NumberRows,
  labels: Labels,
  options: CalibrationOptions = {},
): number {
  let sum = 0;
  for (const { count, confidence, accuracy } of calibrationBins(probabilities, labels, options))
    if (count > 0) sum += count * Math.abs(confidence - accuracy);
  return sum / labels.length;
}
