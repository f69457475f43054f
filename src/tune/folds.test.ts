/** Splits of golden/tune.json, which scikit-learn made, and what a shuffle and a mistake give. */
import { describe, expect, test } from "vitest";
import golden from "../../golden/tune.json" with { type: "json" };
import { type Fold, groupKFold, kFold, leaveOneOut, repeated, stratifiedKFold, timeSeriesSplit } from "./index.ts";

const { splits } = golden;

test.each(splits.kFold)("kFold of $samples rows in $folds", ({ samples, folds, expected }) =>
  expect(kFold(samples, { folds })).toEqual(expected),
);
test.each(splits.stratifiedKFold)("stratifiedKFold in $folds", ({ labels, folds, expected }) =>
  expect(stratifiedKFold(labels, { folds })).toEqual(expected),
);
test.each(splits.groupKFold)("groupKFold in $folds", ({ groups, folds, expected }) =>
  expect(groupKFold(groups, { folds })).toEqual(expected),
);
test.each(splits.leaveOneOut)("leaveOneOut of $samples rows", ({ samples, expected }) =>
  expect(leaveOneOut(samples)).toEqual(expected),
);
test.each(splits.timeSeriesSplit)("timeSeriesSplit of $samples rows", ({ samples, options, expected }) =>
  expect(timeSeriesSplit(samples, options)).toEqual(expected),
);

const testedOnce = (folds: readonly Fold[]) => folds.flatMap(({ test }) => test).sort((a, b) => a - b);
const rows = (count: number) => Array.from({ length: count }, (_, row) => row);

describe("with a seed", () => {
  test("rows are shuffled, the same for a seed, and each tests once", () => {
    const folds = kFold(50, { folds: 4, seed: 1 });
    expect(folds).toEqual(kFold(50, { folds: 4, seed: 1 }));
    expect(folds).not.toEqual(kFold(50, { folds: 4, seed: 2 }));
    expect(folds[0].test).not.toEqual(rows(13));
    expect(testedOnce(folds)).toEqual(rows(50));
    expect(folds.map(({ test }) => test.length)).toEqual([13, 13, 12, 12]);
  });

  test("classes keep their shares, and groups stay together", () => {
    const labels = rows(60).map((row) => (row % 3 === 0 ? "a" : "b"));
    for (const { test } of stratifiedKFold(labels, { folds: 5, seed: 3 }))
      expect(test.filter((row) => labels[row] === "a")).toHaveLength(4);
    const groups = rows(60).map((row) => row % 9);
    const folds = groupKFold(groups, { folds: 3, seed: 3 });
    expect(testedOnce(folds)).toEqual(rows(60));
    for (const { train, test } of folds) {
      const trained = new Set(train.map((row) => groups[row]));
      expect(test.some((row) => trained.has(groups[row]))).toBe(false);
    }
  });

  test("repeated folds differ from one time to the next", () => {
    const folds = repeated(3, 7, (seed) => kFold(20, { folds: 2, seed }));
    expect(folds).toHaveLength(6);
    expect(folds[0]).not.toEqual(folds[2]);
  });
});

test.each([
  [() => kFold(3, { folds: 4 }), /kFold: expected at least 2 folds, and at most as many as rows \(3\); received 4/],
  [() => kFold(3, { fold: 2 } as object), /did you mean "folds"/],
  [() => kFold(0), /samples to be a positive integer/],
  [() => stratifiedKFold([1, 1, 2], { folds: 3 }), /largest class \(2\)/],
  [() => groupKFold([1, 1, 2], { folds: 3 }), /as many as groups \(2\)/],
  [() => timeSeriesSplit(6, { folds: 3, testSize: 2 }), /rows for 3 tests of 2.*received 6 rows/],
])("a mistake is refused: %s", (call, message) => expect(call).toThrow(message));
