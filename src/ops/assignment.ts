import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, sizesEqual, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";

/** What is put for costs that are no numbers: such pairs are made only when there are no others. */
const LARGEST = 1e30;

const assignmentEntry = defineOp<"cost" | "valid", Record<string, never>>({
  name: "linearSumAssignment",
  precision: "f32",
  batch: "matrices",
  inputs: ["cost", "valid"],
  infer: ({ cost, valid }) => {
    requireFloatDType("linearSumAssignment", cost.dtype);
    const [rank, batch] = [cost.shape.length, cost.shape.slice(0, -2)];
    const columns = [...batch, cost.shape[rank - 1]];
    if (
      rank < 2 ||
      valid.dtype !== "bool" ||
      valid.shape.length !== rank - 1 ||
      !columns.every((size, i) => sizesEqual(size, valid.shape[i]))
    ) {
      const received = `${describe(cost)} and ${describe(valid)}`;
      throw new ShapeError({
        where: "linearSumAssignment",
        expected: "cost [..., R, C] and valid, bool [..., C]",
        received,
        fix: "check the shapes",
      });
    }
    return { dtype: "i32", shape: [...batch, cost.shape[rank - 2]] };
  },
  gradient: notDifferentiable("gives an index"),
  lower: "reference",
  reference: ({ cost, valid }, _, [type]) => {
    const out = hostTensor(type.shape as number[]);
    const [rows, columns] = cost.shape.slice(-2);
    for (let i = 0; i * rows < out.data.length; i++) out.data.set(assign(cost, valid, i, rows, columns), i * rows);
    return out;
  },
});

/**
 * Pairs rows with columns, one with one, so that the sum of the costs is least; of what there is more, some stay alone.
 * `valid` says which columns take part. Computed on the host, without a gradient. cost: [..., R, C], valid: bool [...,
 * C] -> i32 [..., R], the column of each row or -1. Jonker and Volgenant 1987, "A shortest augmenting path algorithm
 * for dense and sparse linear assignment problems".
 */
export function linearSumAssignment(cost: Value, valid: Value): Value {
  return apply(assignmentEntry, [cost, valid]);
}

/** The column of each row of matrix `i`. */
function assign(cost: HostTensor, valid: HostTensor, i: number, rows: number, columns: number): Float64Array {
  const used = Array.from({ length: columns }, (_, column) => column).filter(
    (column) => valid.data[i * columns + column] !== 0,
  );
  const costOf = (row: number, k: number) => {
    const value = cost.data[(i * rows + row) * columns + used[k]];
    return Number.isFinite(value) ? value : LARGEST;
  };
  const columnOfRow = new Float64Array(rows).fill(-1);
  if (used.length <= rows)
    for (const [k, row] of shortestPaths(used.length, rows, (k, row) => costOf(row, k)).entries())
      columnOfRow[row] = used[k];
  else for (const [row, k] of shortestPaths(rows, used.length, costOf).entries()) columnOfRow[row] = used[k];
  return columnOfRow;
}

const NONE = -1;

/**
 * For each of n items the place of its own among m >= n: items are added one by one, along the cheapest path of
 * exchanges.
 */
function shortestPaths(n: number, m: number, costOf: (item: number, place: number) => number): number[] {
  const itemAt = new Int32Array(m + 1).fill(NONE); // place m is where a new item stands at first
  const prices = { items: new Float64Array(n), places: new Float64Array(m + 1) };
  for (let item = 0; item < n; item++) {
    itemAt[m] = item;
    const { before, end } = cheapestPath(itemAt, prices, costOf);
    for (let place = end; place !== m; place = before[place]) itemAt[place] = itemAt[before[place]];
  }
  const placeOf = new Array<number>(n);
  for (let j = 0; j < m; j++) if (itemAt[j] !== NONE) placeOf[itemAt[j]] = j;
  return placeOf;
}

/**
 * From place m over places that are taken to the first free one; the prices follow, so that no exchange costs less than
 * nothing.
 */
function cheapestPath(
  itemAt: Int32Array,
  { items, places }: { items: Float64Array; places: Float64Array },
  costOf: (item: number, place: number) => number,
): { before: Int32Array; end: number } {
  const m = itemAt.length - 1;
  const distance = new Float64Array(m).fill(Number.POSITIVE_INFINITY);
  const before = new Int32Array(m);
  const visited = [m];
  const left = new Set(Array.from({ length: m }, (_, j) => j));
  for (let place = m; ; ) {
    const item = itemAt[place];
    let next = NONE;
    for (const j of left) {
      const reduced = costOf(item, j) - items[item] - places[j];
      if (reduced < distance[j]) [distance[j], before[j]] = [reduced, place];
      if (next === NONE || distance[j] < distance[next]) next = j;
    }
    const least = distance[next];
    for (const j of visited) {
      items[itemAt[j]] += least;
      places[j] -= least;
    }
    for (const j of left) distance[j] -= least;
    if (itemAt[next] === NONE) return { before, end: next };
    left.delete(next);
    visited.push(next);
    place = next;
  }
}
