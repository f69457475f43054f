import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type Label, type Labels, requireChoice, requirePairs, type WarningOption } from "./checks.ts";
import { classesOf, placesOf } from "./classes.ts";

/** How scores of classes become one number. */
export type Average = "binary" | "micro" | "macro" | "weighted";

/** How precision, recall and F1 are computed. */
export interface ClassScoreOptions extends WarningOption {
  /**
   * "binary": of the positive class alone; "micro": of all decisions together; "macro": the mean over classes;
   * "weighted": the mean weighted by the labels of each class. @default "binary"
   */
  average?: Average;
  /** The class that "binary" is about. @default 1 */
  positive?: Label;
  /** The classes that count. @default those seen */
  classes?: readonly Label[];
  /** What a share of nothing is; NaN leaves the class out of means. @default 0, with a warning */
  zeroDivision?: 0 | 1 | typeof Number.NaN;
  /** How much more recall weighs than precision in F. @default 1 */
  beta?: number;
}

/** Precision, recall and F1. */
export interface ClassScores {
  precision: number;
  recall: number;
  f1: number;
  /** Labels of the class, or of all that count. */
  support: number;
}
/** The scores of one class. */
export interface ScoresOfClass extends ClassScores {
  label: Label;
}

/** What is counted of each class. */
export interface ClassCounts {
  hits: ArrayLike<number>;
  predicted: ArrayLike<number>;
  actual: ArrayLike<number>;
}

const optionNames = ["average", "positive", "classes", "zeroDivision", "beta", "onWarning"];

/**
 * Precision, recall and F1 of a classification; scikit-learn's `precision_recall_fscore_support`, whose defaults these
 * are.
 * @throws DataError where lengths differ or there are no rows; OptionError for "binary" with other than two classes
 */
export function precisionRecallF1(predictions: Labels, labels: Labels, options: ClassScoreOptions = {}): ClassScores {
  checkOptions("precisionRecallF1", options, optionNames);
  const { average = "binary", positive = 1 } = options;
  requireChoice("precisionRecallF1", "average", average, ["binary", "micro", "macro", "weighted"]);
  const seen = classesOf(predictions, labels);
  if (average === "binary") requireBinary(seen, positive);
  const classes = average === "binary" ? [positive] : (options.classes ?? seen);
  return averageScores(countClasses(predictions, labels, classes), classes, { ...options, average });
}

/** The share of what was predicted that is right. @throws as `precisionRecallF1` */
export const precision = (predictions: Labels, labels: Labels, options?: ClassScoreOptions): number =>
  precisionRecallF1(predictions, labels, options).precision;

/** The share of what there is that was predicted. @throws as `precisionRecallF1` */
export const recall = (predictions: Labels, labels: Labels, options?: ClassScoreOptions): number =>
  precisionRecallF1(predictions, labels, options).recall;

/**
 * The harmonic mean of precision and recall. @throws as `precisionRecallF1`
 *
 * @example
 * f1Score([1, 0, 1, 1], [1, 0, 0, 1]); // 0.8
 * f1Score(["a", "b"], ["a", "a"], { average: "micro" }); // 0.5
 */
export const f1Score = (predictions: Labels, labels: Labels, options?: ClassScoreOptions): number =>
  precisionRecallF1(predictions, labels, options).f1;

/** Precision, recall, F1 and support of each class. @throws as `precisionRecallF1` */
export function scoresByClass(
  predictions: Labels,
  labels: Labels,
  options: Omit<ClassScoreOptions, "average" | "positive"> = {},
): ScoresOfClass[] {
  checkOptions("scoresByClass", options, ["classes", "zeroDivision", "beta", "onWarning"]);
  const classes = options.classes ?? classesOf(predictions, labels);
  const scores = scoresOf(countClasses(predictions, labels, classes), classes, options);
  return scores.map((score, i) => ({ label: classes[i], ...score }));
}

function requireBinary(seen: readonly Label[], positive: Label): void {
  if (seen.length <= 2 && (seen.includes(positive) || seen.length < 2)) return;
  const fix =
    seen.length > 2
      ? 'choose the average "micro", "macro" or "weighted"'
      : "name the positive class in the option positive";
  throw new OptionError({
    where: "precisionRecallF1",
    expected: `two classes, one of them the positive ${JSON.stringify(positive)}, for the average "binary"`,
    received: `the classes ${seen
      .slice(0, 8)
      .map((name) => JSON.stringify(name))
      .join(", ")}`,
    fix,
  });
}

function countClasses(predictions: Labels, labels: Labels, classes: readonly Label[]): ClassCounts {
  requirePairs("precisionRecallF1", predictions, labels);
  const places = placesOf("precisionRecallF1", classes);
  const [hits, predicted, actual] = [0, 0, 0].map(() => new Float64Array(classes.length));
  for (let i = 0; i < labels.length; i++) {
    const place = places.get(labels[i]);
    const guess = places.get(predictions[i]);
    if (guess !== undefined) predicted[guess]++;
    if (place === undefined) continue;
    actual[place]++;
    if (predictions[i] === labels[i]) hits[place]++;
  }
  return { hits, predicted, actual };
}

const total = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0);

/** One score of the counts of many classes, as scikit-learn and seqeval average. */
export function averageScores(
  counts: ClassCounts,
  classes: readonly Label[],
  options: ClassScoreOptions & { average: Average },
): ClassScores {
  const support = total(counts.actual);
  if (options.average === "micro") {
    const sums = { hits: [total(counts.hits)], predicted: [total(counts.predicted)], actual: [support] };
    return scoresOf(sums, ["all"], options)[0];
  }
  const scores = scoresOf(counts, classes, options);
  if (options.average === "binary") return scores[0];
  const weights = options.average === "weighted" ? counts.actual : scores.map(() => 1);
  const mean = (name: keyof ClassScores) =>
    weightedMean(
      scores.map((score) => score[name]),
      weights,
    );
  return { precision: mean("precision"), recall: mean("recall"), f1: mean("f1"), support };
}

/** The mean of the values that are numbers, weighted unless all weights are 0; NaN of none. */
function weightedMean(values: readonly number[], weights: ArrayLike<number>): number {
  let [sum, weight] = [0, 0];
  const present = [...values.keys()].filter((i) => !Number.isNaN(values[i]));
  for (const i of present) {
    sum += values[i] * weights[i];
    weight += weights[i];
  }
  return weight > 0 ? sum / weight : present.reduce((all, i) => all + values[i], 0) / present.length;
}

/** Precision, recall and F of each class by its counts. */
export function scoresOf(
  { hits, predicted, actual }: ClassCounts,
  classes: readonly Label[],
  { zeroDivision, beta = 1, onWarning }: ClassScoreOptions,
): ClassScores[] {
  requireNumbers("precisionRecallF1", { beta }, { beta: numberRules.notNegative });
  const isAsked = zeroDivision !== undefined;
  if (isAsked && !Number.isNaN(zeroDivision) && zeroDivision !== 0 && zeroDivision !== 1)
    throw new OptionError({
      where: "precisionRecallF1",
      expected: "zeroDivision to be 0, 1 or NaN",
      received: String(zeroDivision),
      fix: "choose one of them",
    });
  const otherwise = zeroDivision ?? 0;
  const notes: string[] = [];
  const share = (part: number, whole: number, note: () => string): number => {
    if (whole !== 0) return part / whole;
    if (!isAsked) notes.push(note());
    return otherwise;
  };
  const squared = beta ** 2;
  const scores = classes.map((name, i) => ({
    precision: share(hits[i], predicted[i], () => `Nothing was predicted of the class ${name}: precision is set to 0.`),
    recall: share(hits[i], actual[i], () => `No label is of the class ${name}: recall is set to 0.`),
    f1: share(
      (1 + squared) * hits[i],
      squared * actual[i] + predicted[i],
      () => `The class ${name} is neither predicted nor a label: F is set to 0.`,
    ),
    support: actual[i],
  }));
  if (notes.length > 0) onWarning?.({ where: "precisionRecallF1", notes });
  return scores;
}
