import { checkOptions, DataError, OptionError } from "../base/index.ts";
import {
  type Label,
  type Labels,
  type NumberRows,
  type Numbers,
  requireChoice,
  requirePairs,
  requireRows,
} from "./checks.ts";
import { classesOf, indicesOf } from "./classes.ts";
import { countThresholds, positivesOf, requireBoth, requirePositives } from "./curves.ts";

/** How the areas of classes become one number. */
export interface AreaOptions {
  /** The class that single scores are of. @default 1 */
  positive?: Label;
  /** The class of each column of scores. @default the labels seen, sorted */
  classes?: readonly Label[];
  /** Of several classes: the mean over them, weighted by their labels, or of all decisions. @default "macro" */
  average?: "macro" | "weighted" | "micro";
}

/** How `rocAuc` compares several classes. */
export interface RocAucOptions extends AreaOptions {
  /** Each class against all others, or each pair of classes (not with "micro"). @default "ovr" */
  multiClass?: "ovr" | "ovo";
}

/**
 * The area under the receiver operating characteristic: the probability that a positive row has a higher score than a
 * negative one, ties counted half. scikit-learn's `roc_auc_score`; of pairs of classes as Hand and Till 2001.
 * @param scores one for each row of two classes, or [rows][classes] probabilities
 * @throws DataError where lengths differ, a class has no labels, or probabilities do not sum to 1
 */
export function rocAuc(scores: Numbers | NumberRows, labels: Labels, options: RocAucOptions = {}): number {
  checkOptions("rocAuc", options, ["positive", "classes", "average", "multiClass"]);
  const { multiClass = "ovr", average = "macro", positive = 1 } = options;
  requireChoice("rocAuc", "multiClass", multiClass, ["ovr", "ovo"]);
  requireChoice("rocAuc", "average", average, ["macro", "weighted", "micro"]);
  requirePairs("rocAuc", scores, labels);
  if (!isRows(scores)) return binaryArea(scores, positivesOf("rocAuc", labels, positive));
  const table = columnsOf("rocAuc", scores, labels, options);
  requireProbabilities(scores);
  if (multiClass === "ovr") return averageArea(table, average, binaryArea);
  if (average === "micro")
    throw new OptionError({
      where: "rocAuc",
      expected: 'the average "macro" or "weighted" with multiClass "ovo"',
      received: '"micro"',
      fix: 'choose one of them, or multiClass "ovr"',
    });
  return pairsArea(table, average);
}

/**
 * The area under precision over recall as the sum of steps; scikit-learn's `average_precision_score`.
 * @param scores one for each row of two classes, or [rows][classes]
 * @throws DataError where lengths differ, a score is not finite, or a class has no labels
 */
export function averagePrecision(scores: Numbers | NumberRows, labels: Labels, options: AreaOptions = {}): number {
  checkOptions("averagePrecision", options, ["positive", "classes", "average"]);
  const { positive = 1, average = "macro" } = options;
  requireChoice("averagePrecision", "average", average, ["macro", "weighted", "micro"]);
  requirePairs("averagePrecision", scores, labels);
  if (!isRows(scores)) return stepArea(scores, positivesOf("averagePrecision", labels, positive));
  return averageArea(columnsOf("averagePrecision", scores, labels, options), average, stepArea);
}

const isRows = (scores: Numbers | NumberRows): scores is NumberRows => typeof scores[0] !== "number";

function binaryArea(scores: Numbers, isPositive: readonly boolean[]): number {
  const counts = countThresholds("rocAuc", scores, isPositive);
  requireBoth("rocAuc", counts);
  const { truePositives, falsePositives, positives, negatives } = counts;
  let [area, lastTrue, lastFalse] = [0, 0, 0];
  for (let i = 0; i < truePositives.length; i++) {
    area += ((falsePositives[i] - lastFalse) * (truePositives[i] + lastTrue)) / 2;
    [lastTrue, lastFalse] = [truePositives[i], falsePositives[i]];
  }
  return area / (positives * negatives);
}

function stepArea(scores: Numbers, isPositive: readonly boolean[]): number {
  const counts = countThresholds("averagePrecision", scores, isPositive);
  requirePositives("averagePrecision", counts.positives);
  let [area, last] = [0, 0];
  for (const [i, hits] of counts.truePositives.entries()) {
    area += ((hits - last) / counts.positives) * (hits / (hits + counts.falsePositives[i]));
    last = hits;
  }
  return area;
}

/** Scores by class. */
interface ClassColumns {
  columns: readonly Float64Array[];
  indices: Int32Array;
}

function columnsOf(where: string, scores: NumberRows, labels: Labels, options: AreaOptions): ClassColumns {
  const width = requireRows(where, "scores", scores);
  const { classes = classesOf(labels) } = options;
  if (classes.length !== width)
    throw new OptionError({
      where,
      expected: `the classes of the ${width} columns of scores`,
      received: `${classes.length} classes`,
      fix: "name the class of each column in the option classes",
    });
  const columns = classes.map((_, j) => Float64Array.from(scores as ArrayLike<Numbers>, (row) => row[j]));
  return { columns, indices: indicesOf(where, labels, classes) };
}

function requireProbabilities(rows: NumberRows): void {
  for (let i = 0; i < rows.length; i++) {
    let sum = 0;
    for (let j = 0; j < rows[i].length; j++) sum += rows[i][j];
    if (Math.abs(sum - 1) > 1e-5)
      throw new DataError({
        where: "rocAuc",
        expected: "probabilities that sum to 1 in each row",
        received: `a sum of ${sum} in row ${i}`,
        fix: "take the softmax of logits",
      });
  }
}

type Area = (scores: Numbers, isPositive: readonly boolean[]) => number;

function averageArea({ columns, indices }: ClassColumns, average: string, area: Area): number {
  const truth = columns.map((_, j) => Array.from(indices, (label) => label === j));
  if (average === "micro")
    return area(
      columns.flatMap((column) => [...column]),
      truth.flat(),
    );
  const weights = truth.map((list) => (average === "macro" ? 1 : list.filter(Boolean).length));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return columns.reduce((all, column, j) => all + weights[j] * area(column, truth[j]), 0) / sum;
}

function pairsArea({ columns, indices }: ClassColumns, average: string): number {
  const shares = columns.map((_, j) => indices.filter((label) => label === j).length / indices.length);
  let [sum, weights] = [0, 0];
  for (let a = 0; a < columns.length; a++) {
    for (let b = a + 1; b < columns.length; b++) {
      const rows = [...indices.keys()].filter((i) => indices[i] === a || indices[i] === b);
      const areaOf = (one: number) =>
        binaryArea(
          rows.map((i) => columns[one][i]),
          rows.map((i) => indices[i] === one),
        );
      const weight = average === "weighted" ? shares[a] + shares[b] : 1;
      sum += (weight * (areaOf(a) + areaOf(b))) / 2;
      weights += weight;
    }
  }
  return sum / weights;
}
