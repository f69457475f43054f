import { RandomStream } from "./random.ts";

/** Rows of features, and what is to be predicted of each. */
export interface Table {
  /** [rows][features] */
  features: readonly (readonly number[])[];
  targets: readonly number[];
}

/** A tree: a leaf's prediction, or where its rows part. */
type Tree = { mean: number } | { feature: number; threshold: number; below: Tree; above: Tree };

const TREES = 64;
/** A leaf of fewer rows learns noise. */
const LEAST_ROWS = 2;
/** Rows that a tree is made of; more say little and take long. */
const MOST_ROWS = 512;

/**
 * By how much predictions get worse when a feature is shuffled, as shares of 1: those of a random forest, on the rows
 * that a tree was not made of. Breiman 2001, doi:10.1023/A:1010933404324, section 10. All 0 where nothing is learned.
 */
export function permutationImportance(table: Table, seed: number): number[] {
  const { length } = table.targets;
  const count = table.features[0]?.length ?? 0;
  const losses = new Array<number>(count).fill(0);
  for (let i = 0; i < TREES; i++) {
    const random = new RandomStream(seed, i);
    const rows = Array.from({ length: Math.min(length, MOST_ROWS) }, () => random.below(length));
    const seen = new Set(rows);
    const others = table.targets.flatMap((_, row) => (seen.has(row) ? [] : [row]));
    if (others.length === 0) continue;
    const tree = grow(table, rows);
    const before = errorOf(tree, table, others);
    for (let feature = 0; feature < count; feature++)
      losses[feature] += errorOf(tree, table, others, { feature, from: random.shuffled(others) }) - before;
  }
  const gains = losses.map((loss) => Math.max(0, loss));
  const sum = gains.reduce((total, gain) => total + gain, 0);
  return gains.map((gain) => (sum > 0 ? gain / sum : 0));
}

const meanOf = (targets: readonly number[], rows: readonly number[]) =>
  rows.reduce((sum, row) => sum + targets[row], 0) / rows.length;

function grow(table: Table, rows: readonly number[]): Tree {
  const split = rows.length >= 2 * LEAST_ROWS ? bestSplit(table, rows) : undefined;
  if (!split) return { mean: meanOf(table.targets, rows) };
  const isBelow = (row: number) => table.features[row][split.feature] <= split.threshold;
  const [below, above] = [rows.filter(isBelow), rows.filter((row) => !isBelow(row))];
  return { ...split, below: grow(table, below), above: grow(table, above) };
}

/** Where the squared sums of both sides, by their sizes, are largest: there the variance falls most. */
function bestSplit(
  { features, targets }: Table,
  rows: readonly number[],
): { feature: number; threshold: number } | undefined {
  const total = rows.reduce((sum, row) => sum + targets[row], 0);
  let best: { feature: number; threshold: number } | undefined;
  let most = (total * total) / rows.length + 1e-12;
  for (let feature = 0; feature < features[rows[0]].length; feature++) {
    const sorted = rows.toSorted((a, b) => features[a][feature] - features[b][feature]);
    let sum = 0;
    for (let i = 0; i < sorted.length - 1; i++) {
      sum += targets[sorted[i]];
      const [left, right] = [features[sorted[i]][feature], features[sorted[i + 1]][feature]];
      const [here, there] = [i + 1, sorted.length - i - 1];
      if (left === right || here < LEAST_ROWS || there < LEAST_ROWS) continue;
      const score = (sum * sum) / here + (total - sum) ** 2 / there;
      if (score <= most) continue;
      most = score;
      best = { feature, threshold: (left + right) / 2 };
    }
  }
  return best;
}

/** The mean squared error on some rows, whose values of one feature may be those of others. */
function errorOf(
  tree: Tree,
  { features, targets }: Table,
  rows: readonly number[],
  shuffle?: { feature: number; from: readonly number[] },
): number {
  const errors = rows.map((row, i) => {
    const other = shuffle ? features[shuffle.from[i]][shuffle.feature] : 0;
    let node = tree;
    while (!("mean" in node)) {
      const value = node.feature === shuffle?.feature ? other : features[row][node.feature];
      node = value <= node.threshold ? node.below : node.above;
    }
    return (node.mean - targets[row]) ** 2;
  });
  return errors.reduce((sum, error) => sum + error, 0) / rows.length;
}
