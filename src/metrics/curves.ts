import { checkOptions, DataError } from "../base/index.ts";
import { type Label, type Labels, type Numbers, requireFinite, requirePairs } from "./checks.ts";
import { classesOf } from "./classes.ts";

/** Which class a score is of. */
export interface CurveOptions {
  /** The class that high scores stand for. @default 1 */
  positive?: Label;
}

/** Counts at each score that occurs, the highest first: of rows with at least that score. */
export interface ThresholdCounts {
  thresholds: Float64Array;
  truePositives: Float64Array;
  falsePositives: Float64Array;
  positives: number;
  negatives: number;
}

/**
 * Sorts rows by their scores and counts.
 * @throws DataError where lengths differ, there are no rows, or a score is not finite
 */
export function countThresholds(where: string, scores: Numbers, isPositive: ArrayLike<boolean>): ThresholdCounts {
  const count = requirePairs(where, scores, isPositive);
  requireFinite(where, "scores", scores);
  const order = Int32Array.from({ length: count }, (_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const [thresholds, truePositives, falsePositives]: number[][] = [[], [], []];
  let [positives, negatives] = [0, 0];
  for (const [at, row] of order.entries()) {
    if (isPositive[row]) positives++;
    else negatives++;
    if (at + 1 < count && scores[order[at + 1]] === scores[row]) continue;
    thresholds.push(scores[row]);
    truePositives.push(positives);
    falsePositives.push(negatives);
  }
  const [a, b, c] = [thresholds, truePositives, falsePositives].map((list) => Float64Array.from(list));
  return { thresholds: a, truePositives: b, falsePositives: c, positives, negatives };
}

/** Which rows are of the positive class. @throws DataError for labels of more than two classes */
export function positivesOf(where: string, labels: Labels, positive: Label): boolean[] {
  const classes = classesOf(labels);
  if (classes.length > 2 || (classes.length === 2 && !classes.includes(positive)))
    throw new DataError({
      where,
      expected: `labels of two classes, one of them the positive ${JSON.stringify(positive)}`,
      received: classes
        .slice(0, 8)
        .map((name) => JSON.stringify(name))
        .join(", "),
      fix: "give scores of every class ([rows][classes]), or name the positive class in the option positive",
    });
  return Array.from(labels, (label) => label === positive);
}

/** Points of a receiver operating characteristic, from (0, 0) to (1, 1). */
export interface RocCurve {
  falsePositiveRates: Float64Array;
  truePositiveRates: Float64Array;
  /** The least score that counts as positive at each point; the first is Infinity, where nothing does. */
  thresholds: Float64Array;
}

const withFirst = (first: number, values: Float64Array) => Float64Array.from([first, ...values]);

/**
 * The receiver operating characteristic; scikit-learn's `roc_curve` with all its points (`drop_intermediate=False`).
 * @param scores of the positive class, one for each row
 * @throws DataError where lengths differ, a score is not finite, or labels are of one class
 */
export function rocCurve(scores: Numbers, labels: Labels, options: CurveOptions = {}): RocCurve {
  checkOptions("rocCurve", options, ["positive"]);
  const { positive = 1 } = options;
  const counts = countThresholds("rocCurve", scores, positivesOf("rocCurve", labels, positive));
  requireBoth("rocCurve", counts);
  return {
    falsePositiveRates: withFirst(
      0,
      counts.falsePositives.map((value) => value / counts.negatives),
    ),
    truePositiveRates: withFirst(
      0,
      counts.truePositives.map((value) => value / counts.positives),
    ),
    thresholds: withFirst(Number.POSITIVE_INFINITY, counts.thresholds),
  };
}

/** @throws DataError where there are no positives or no negatives */
export function requireBoth(where: string, { positives, negatives }: ThresholdCounts): void {
  if (positives > 0 && negatives > 0) return;
  throw new DataError({
    where,
    expected: "labels of both classes",
    received: `${positives} positive and ${negatives} negative ones`,
    fix: "take rows of both classes, or another metric",
  });
}

/** Points of precision against recall, the highest threshold last, and then (0, 1). */
export interface PrecisionRecallCurve {
  precisions: Float64Array;
  recalls: Float64Array;
  /** The least score that counts as positive at each point but the last. */
  thresholds: Float64Array;
}

/**
 * Precision and recall at each threshold; scikit-learn's `precision_recall_curve`.
 * @param scores of the positive class, one for each row
 * @throws DataError where lengths differ, a score is not finite, or no label is positive
 */
export function precisionRecallCurve(
  scores: Numbers,
  labels: Labels,
  options: CurveOptions = {},
): PrecisionRecallCurve {
  checkOptions("precisionRecallCurve", options, ["positive"]);
  const { positive = 1 } = options;
  const isPositive = positivesOf("precisionRecallCurve", labels, positive);
  const counts = countThresholds("precisionRecallCurve", scores, isPositive);
  const { thresholds, truePositives, falsePositives, positives } = counts;
  requirePositives("precisionRecallCurve", positives);
  const precisions = truePositives.map((value, i) => value / (value + falsePositives[i]));
  const recalls = truePositives.map((value) => value / positives);
  return {
    precisions: Float64Array.from([...precisions.reverse(), 1]),
    recalls: Float64Array.from([...recalls.reverse(), 0]),
    thresholds: thresholds.reverse(),
  };
}

/** @throws DataError where there are none */
export function requirePositives(where: string, positives: number): void {
  if (positives > 0) return;
  throw new DataError({
    where,
    expected: "at least one positive label",
    received: "none",
    fix: "name the positive class in the option positive, or take rows that have it",
  });
}
