import { known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { RandomStream } from "./random.ts";

/** Rows to train on and rows to test with, as indices. */
export interface Fold {
  train: number[];
  test: number[];
}

/** How many folds there are, and whether rows are shuffled before. */
export interface FoldOptions {
  /** @default 5 */
  folds?: number;
  /** Shuffles rows (groups, in `groupKFold`) by this seed. @default no shuffle: the splits are scikit-learn's */
  seed?: number;
}

const foldNames = { folds: true, seed: true } as const;

function checked(where: string, options: FoldOptions, most: number, what: string): { folds: number; seed?: number } {
  known(where, options, foldNames);
  const { folds = 5, seed } = options;
  requireNumbers(where, { folds, seed: seed ?? 0 }, { folds: numberRules.positiveInteger, seed: numberRules.integer });
  requireFolds(where, folds, 2, most, what);
  return { folds, ...(seed !== undefined && { seed }) };
}

function requireFolds(where: string, folds: number, least: number, most: number, what: string): void {
  if (folds >= least && folds <= most) return;
  const fix = `choose from ${least} to ${most} folds`;
  throw new OptionError({
    where,
    expected: `at least ${least} folds, and at most ${what}`,
    received: String(folds),
    fix,
  });
}

const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);
const rowsOf = (samples: number) => requireNumbers("folds", { samples }, { samples: numberRules.positiveInteger });

/** Folds by the number of the fold that tests each row. */
function foldsOf(testFold: ArrayLike<number>, folds: number): Fold[] {
  const rows = range(testFold.length);
  return range(folds).map((fold) => ({
    train: rows.filter((row) => testFold[row] !== fold),
    test: rows.filter((row) => testFold[row] === fold),
  }));
}

/**
 * Cuts rows into folds of nearly equal size, each of which tests once. Without a seed they are consecutive, as those of
 * scikit-learn's `KFold`.
 * @throws OptionError for more folds than rows
 */
export function kFold(samples: number, options: FoldOptions = {}): Fold[] {
  rowsOf(samples);
  const { folds, seed } = checked("kFold", options, samples, `as many as rows (${samples})`);
  const rows = range(samples);
  const order = seed === undefined ? rows : new RandomStream(seed).shuffled(rows);
  const testFold = new Int32Array(samples);
  let start = 0;
  for (let fold = 0; fold < folds; fold++) {
    const size = Math.floor(samples / folds) + (fold < samples % folds ? 1 : 0);
    for (const row of order.slice(start, start + size)) testFold[row] = fold;
    start += size;
  }
  return foldsOf(testFold, folds);
}

/**
 * Cuts rows into folds with nearly the same shares of each class, as scikit-learn's `StratifiedKFold`.
 * @param labels the class of each row
 * @throws OptionError for more folds than the largest class has rows
 */
export function stratifiedKFold(labels: ArrayLike<number | string | boolean>, options: FoldOptions = {}): Fold[] {
  rowsOf(labels.length);
  const rowsByClass = rowsOfEach(labels);
  const counts = [...rowsByClass.values()].map(({ length }) => length);
  const most = Math.max(...counts);
  const { folds, seed } = checked("stratifiedKFold", options, most, `as many as rows of the largest class (${most})`);
  const testFold = new Int32Array(labels.length);
  let before = 0; // rows of the classes before, when rows are sorted by class
  for (const [k, rows] of [...rowsByClass.values()].entries()) {
    // of the sorted rows fold i tests each folds-th, from the i-th on: so many of this class are among them
    const sizes = range(folds).map(
      (fold) => countOfFold(before + rows.length, fold, folds) - countOfFold(before, fold, folds),
    );
    const blocks = sizes.flatMap((size, fold) => Array<number>(size).fill(fold));
    const order = seed === undefined ? blocks : new RandomStream(seed, k).shuffled(blocks);
    for (const [i, row] of rows.entries()) testFold[row] = order[i];
    before += rows.length;
  }
  return foldsOf(testFold, folds);
}

/** How many of the numbers below `end` leave `fold` when divided by `folds`. */
const countOfFold = (end: number, fold: number, folds: number) => Math.ceil(Math.max(0, end - fold) / folds);

/** Rows of each label, in the order in which labels appear. */
function rowsOfEach<T>(labels: ArrayLike<T>): Map<T, number[]> {
  const rows = new Map<T, number[]>();
  for (let row = 0; row < labels.length; row++) {
    const list = rows.get(labels[row]);
    if (list) list.push(row);
    else rows.set(labels[row], [row]);
  }
  return rows;
}

/**
 * Cuts rows into folds such that no group is both in train and test, as scikit-learn's `GroupKFold`: the largest groups
 * first, each into the smallest fold.
 * @param groups the group of each row, such as a patient or a document
 * @throws OptionError for more folds than groups
 */
export function groupKFold(groups: ArrayLike<number | string>, options: FoldOptions = {}): Fold[] {
  rowsOf(groups.length);
  const rowsByGroup = rowsOfEach(groups);
  const names = [...rowsByGroup.keys()].sort(byValue);
  const { folds, seed } = checked("groupKFold", options, names.length, `as many as groups (${names.length})`);
  const foldByGroup = new Map<number | string, number>();
  if (seed !== undefined) {
    const parts = kFold(names.length, { folds });
    const order = new RandomStream(seed).shuffled(names);
    for (const [fold, { test }] of parts.entries()) for (const i of test) foldByGroup.set(order[i], fold);
  } else {
    const sizeOf = (name: number | string) => rowsByGroup.get(name)?.length ?? 0;
    const sizes = new Int32Array(folds);
    // sorted by size, then turned round: of equal groups the last one comes first
    for (const name of names.toSorted((a, b) => sizeOf(a) - sizeOf(b)).toReversed()) {
      const smallest = sizes.indexOf(Math.min(...sizes));
      sizes[smallest] += sizeOf(name);
      foldByGroup.set(name, smallest);
    }
  }
  const testFold = Int32Array.from(range(groups.length), (row) => foldByGroup.get(groups[row]) as number);
  return foldsOf(testFold, folds);
}

const byValue = (a: number | string, b: number | string) => (a < b ? -1 : a > b ? 1 : 0);

/** Each row tests once, alone. */
export function leaveOneOut(samples: number): Fold[] {
  rowsOf(samples);
  requireFolds("leaveOneOut", samples, 2, Number.POSITIVE_INFINITY, "any number");
  return kFold(samples, { folds: samples });
}

/**
 * Folds again and again, each time shuffled by another seed.
 * @param times how often
 * @param seed of the first time; each later one has a seed made of it
 * @param split makes the folds of one time, such as (seed) => stratifiedKFold(labels, { folds: 5, seed })
 */
export function repeated(times: number, seed: number, split: (seed: number) => Fold[]): Fold[] {
  const rules = { times: numberRules.positiveInteger, seed: numberRules.integer };
  requireNumbers("repeated", { times, seed }, rules);
  return range(times).flatMap((time) => split(new RandomStream(seed, time).next()));
}

/** How rows in the order of time are cut. */
export interface TimeSeriesOptions {
  /** @default 5 */
  folds?: number;
  /** Rows of each test. @default rows / (folds + 1), rounded down */
  testSize?: number;
  /** Rows between train and test that are in neither. @default 0 */
  gap?: number;
  /** Most rows to train on, the latest. @default all before the test */
  mostTrain?: number;
}

/**
 * Tests with rows that come after those of training, as scikit-learn's `TimeSeriesSplit`.
 * @throws OptionError when there are too few rows
 */
export function timeSeriesSplit(samples: number, options: TimeSeriesOptions = {}): Fold[] {
  known("timeSeriesSplit", options, { folds: true, testSize: true, gap: true, mostTrain: true });
  rowsOf(samples);
  const { folds = 5, gap = 0, mostTrain = samples } = options;
  const { testSize = Math.floor(samples / (folds + 1)) } = options;
  requireNumbers(
    "timeSeriesSplit",
    { folds, gap, mostTrain },
    {
      folds: numberRules.positiveInteger,
      gap: numberRules.wholeNumber,
      mostTrain: numberRules.positiveInteger,
    },
  );
  const first = samples - folds * testSize;
  if (!Number.isInteger(testSize) || testSize < 1 || first - gap < 1) {
    throw new OptionError({
      where: "timeSeriesSplit",
      expected: `rows for ${folds} tests of ${testSize}, a gap of ${gap} and training`,
      received: `${samples} rows`,
      fix: "choose fewer folds, smaller tests or a smaller gap",
    });
  }
  return range(folds).map((fold) => {
    const start = first + fold * testSize;
    const end = start - gap;
    const train = Math.min(end, mostTrain);
    return { train: range(train, end - train), test: range(testSize, start) };
  });
}
