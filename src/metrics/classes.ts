import { checkOptions, DataError } from "../base/index.ts";
import { type Label, type Labels, requirePairs } from "./checks.ts";

/** The different classes of some rows, sorted: numbers by their size, then names. */
export function classesOf(...lists: readonly Labels[]): Label[] {
  const classes = new Set<Label>();
  for (const list of lists) for (let i = 0; i < list.length; i++) classes.add(list[i]);
  return [...classes].sort(compareLabels);
}

/** The order of classes. */
function compareLabels(a: Label, b: Label): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}

/** The place of each class. @throws DataError where two are the same */
export function placesOf(where: string, classes: readonly Label[]): Map<Label, number> {
  const places = new Map(classes.map((name, i) => [name, i]));
  if (places.size === classes.length && classes.length > 0) return places;
  throw new DataError({
    where,
    expected: "classes that differ, at least one",
    received: JSON.stringify(classes),
    fix: "name each class once",
  });
}

/**
 * The places of labels among classes.
 * @throws DataError naming a label that is no class
 */
export function indicesOf(where: string, labels: Labels, classes: readonly Label[]): Int32Array {
  const places = placesOf(where, classes);
  return Int32Array.from({ length: labels.length }, (_, i) => {
    const place = places.get(labels[i]);
    if (place !== undefined) return place;
    throw new DataError({
      where,
      expected: `labels of the classes ${classes.slice(0, 8).join(", ")}${classes.length > 8 ? ", ..." : ""}`,
      received: `${JSON.stringify(labels[i])} in row ${i}`,
      fix: "name every class in the option classes",
    });
  });
}

/** Which classes there are, and how the counts are shown. */
export interface ConfusionOptions {
  /** The classes in the order of rows and columns; rows of others are left out. @default those seen, sorted */
  classes?: readonly Label[];
  /** Shares of each row ("labels"), of each column ("predictions") or of all. @default counts */
  normalize?: "labels" | "predictions" | "all";
}

/** Counts by class: rows are of labels, columns of predictions. */
export interface ConfusionMatrix {
  classes: readonly Label[];
  /** [classes][classes]; a share of nothing is 0. */
  counts: readonly Float64Array[];
}

/**
 * How often rows of each class were taken for each other one; scikit-learn's `confusion_matrix`.
 * @throws DataError where lengths differ, there are no rows, or no label is of the classes
 */
export function confusionMatrix(predictions: Labels, labels: Labels, options: ConfusionOptions = {}): ConfusionMatrix {
  checkOptions("confusionMatrix", options, ["classes", "normalize"]);
  requirePairs("confusionMatrix", predictions, labels);
  const { classes = classesOf(predictions, labels), normalize } = options;
  const places = placesOf("confusionMatrix", classes);
  const counts = classes.map(() => new Float64Array(classes.length));
  let seen = 0;
  for (let i = 0; i < labels.length; i++) {
    const [row, column] = [places.get(labels[i]), places.get(predictions[i])];
    if (row !== undefined) seen++;
    if (row !== undefined && column !== undefined) counts[row][column]++;
  }
  if (seen === 0)
    throw new DataError({
      where: "confusionMatrix",
      expected: "labels of the classes in the option",
      received: `none of ${JSON.stringify(classes)}`,
      fix: "check how the classes are written",
    });
  if (normalize !== undefined) normalized(counts, normalize);
  return { classes, counts };
}

function normalized(counts: readonly Float64Array[], by: "labels" | "predictions" | "all"): void {
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  const rows = counts.map(sum);
  const columns = counts.map((_, j) => sum(counts.map((row) => row[j])));
  const all = sum(rows);
  for (const [i, row] of counts.entries()) {
    for (let j = 0; j < row.length; j++) {
      const whole = by === "labels" ? rows[i] : by === "predictions" ? columns[j] : all;
      row[j] = whole === 0 ? 0 : row[j] / whole;
    }
  }
}
