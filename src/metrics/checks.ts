import { DataError, type OnWarning, OptionError } from "../base/index.ts";

/** The class of a row: its number or its name. */
export type Label = string | number;
/** A class for each row: a list or a typed array. */
export type Labels = ArrayLike<Label>;
/** A number for each row. */
export type Numbers = ArrayLike<number>;
/** Rows of numbers: one for each class, or for each document of a query. */
export type NumberRows = ArrayLike<Numbers>;

/** What is told of numbers that are not defined. */
export interface WarningOption {
  /** Takes what the result leaves undefined. @default nothing is told */
  onWarning?: OnWarning;
}

/**
 * The number of rows of two lists. @throws DataError where their lengths differ, or there is nothing in them
 */
export function requirePairs(where: string, predictions: ArrayLike<unknown>, labels: ArrayLike<unknown>): number {
  if (predictions.length !== labels.length)
    throw new DataError({
      where,
      expected: "as many predictions as labels",
      received: `${predictions.length} predictions, ${labels.length} labels`,
      fix: "give one prediction for each label, in the same order",
    });
  if (labels.length === 0)
    throw new DataError({ where, expected: "at least one row", received: "none", fix: "check that the data has rows" });
  return labels.length;
}

/** @throws DataError naming the first number that is NaN or infinite */
export function requireFinite(where: string, name: string, values: Numbers): void {
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]))
      throw new DataError({
        where,
        expected: `finite numbers in ${name}`,
        received: `${values[i]} in row ${i}`,
        fix: "find out where it comes from; a model that has diverged gives NaN",
      });
}

/** How many numbers each row has. @throws DataError for rows of different lengths */
export function requireRows(where: string, name: string, rows: NumberRows): number {
  const width = rows[0].length;
  for (let i = 0; i < rows.length; i++) {
    if (rows[i].length !== width)
      throw new DataError({
        where,
        expected: `${width} numbers in each row of ${name}, as in the first`,
        received: `${rows[i].length} in row ${i}`,
        fix: "give a number for every class in every row",
      });
    requireFinite(where, `row ${i} of ${name}`, rows[i]);
  }
  return width;
}

/** @throws OptionError for a value that is none of the choices */
export function requireChoice<T extends string>(
  where: string,
  name: string,
  value: T,
  choices: readonly NoInfer<T>[],
): void {
  if (choices.includes(value)) return;
  throw new OptionError({
    where,
    expected: `${name} to be one of ${choices.join(", ")}`,
    received: JSON.stringify(value) ?? String(value),
    fix: "choose one of them",
  });
}

/** The mean of some numbers; NaN of none. */
export function meanOf(values: Numbers): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
