import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type Label, type Labels, type NumberRows, requirePairs, requireRows, type WarningOption } from "./checks.ts";
import { classesOf, confusionMatrix, indicesOf } from "./classes.ts";

/**
 * The share of rows that were predicted rightly. @throws DataError where lengths differ or there are no rows
 *
 * @example
 * accuracy(["cat", "dog", "cat"], ["cat", "cat", "cat"]) * 3; // 2
 */
export function accuracy(predictions: Labels, labels: Labels): number {
  const count = requirePairs("accuracy", predictions, labels);
  let hits = 0;
  for (let i = 0; i < count; i++) if (predictions[i] === labels[i]) hits++;
  return hits / count;
}

/** How `balancedAccuracy` is scaled. */
export interface BalancedAccuracyOptions extends WarningOption {
  /** Scale it so that guessing gives 0, and 1 stays 1. @default false */
  adjusted?: boolean;
}

/**
 * The mean over classes of the share of their rows that were predicted rightly, so that rare classes count as much as
 * frequent ones; scikit-learn's `balanced_accuracy_score`. A class that is predicted and no label has is left out, with
 * a warning.
 * @throws DataError where lengths differ or there are no rows
 */
export function balancedAccuracy(predictions: Labels, labels: Labels, options: BalancedAccuracyOptions = {}): number {
  checkOptions("balancedAccuracy", options, ["adjusted", "onWarning"]);
  requirePairs("balancedAccuracy", predictions, labels);
  const { classes, counts } = confusionMatrix(predictions, labels);
  const recalls: number[] = [];
  const unseen: Label[] = [];
  for (const [i, row] of counts.entries()) {
    const rows = row.reduce((sum, value) => sum + value, 0);
    if (rows > 0) recalls.push(row[i] / rows);
    else unseen.push(classes[i]);
  }
  if (unseen.length > 0)
    options.onWarning?.({
      where: "balancedAccuracy",
      notes: unseen.map((name) => `No label is of the class ${name}, which was predicted; it is left out.`),
    });
  const score = recalls.reduce((sum, value) => sum + value, 0) / recalls.length;
  const chance = 1 / recalls.length;
  return options.adjusted ? (score - chance) / (1 - chance) : score;
}

/** How `topKAccuracy` counts. */
export interface TopKOptions {
  /** How many of the highest scores count. @default 2 */
  k?: number;
  /** The class of each column. @default the labels seen, sorted */
  classes?: readonly Label[];
}

/**
 * The share of rows whose label is among the k classes with the highest scores; scikit-learn's `top_k_accuracy_score`.
 * Of equal scores those of later columns come first.
 * @param scores [rows][classes], probabilities or logits
 * @throws DataError where lengths differ or a label is no class; OptionError for a k that is no positive integer
 */
export function topKAccuracy(scores: NumberRows, labels: Labels, options: TopKOptions = {}): number {
  checkOptions("topKAccuracy", options, ["k", "classes"]);
  const { k = 2, classes = classesOf(labels) } = options;
  requireNumbers("topKAccuracy", { k }, { k: numberRules.positiveInteger });
  const count = requirePairs("topKAccuracy", scores, labels);
  const width = requireRows("topKAccuracy", "scores", scores);
  if (width !== classes.length)
    throw new OptionError({
      where: "topKAccuracy",
      expected: `the classes of the ${width} columns of scores`,
      received: `${classes.length} classes`,
      fix: "name the class of each column in the option classes",
    });
  const indices = indicesOf("topKAccuracy", labels, classes);
  let hits = 0;
  for (let i = 0; i < count; i++) {
    const row = scores[i];
    const label = indices[i];
    let before = 0;
    for (let j = 0; j < width; j++) if (row[j] > row[label] || (row[j] === row[label] && j > label)) before++;
    if (before < k) hits++;
  }
  return hits / count;
}
