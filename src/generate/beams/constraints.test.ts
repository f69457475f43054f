import { expect, test } from "vitest";
import { ConstraintProgress, constraintOf, hasBeginnings } from "./constraints.ts";

test("constraints are followed one at a time, in any order, and begin anew where they are broken off", () => {
  const constraints = [
    constraintOf([1, 2, 3]),
    constraintOf([
      [4, 5],
      [4, 6, 7],
    ]),
  ];
  const after = (...ids: number[]) => {
    const progress = new ConstraintProgress(constraints, ids);
    return { bank: progress.bank, next: progress.nextTokens(), isComplete: progress.isComplete };
  };
  expect(after()).toEqual({ bank: 0, next: [1, 4], isComplete: false });
  expect(after(9, 1)).toEqual({ bank: 1, next: [2], isComplete: false });
  expect(after(1, 2, 9)).toEqual({ bank: 0, next: [4, 1], isComplete: false });
  expect(after(4)).toEqual({ bank: 1, next: [5, 6], isComplete: false });
  expect(after(4, 6)).toEqual({ bank: 2, next: [7], isComplete: false });
  expect(after(4, 5)).toEqual({ bank: 3, next: [1], isComplete: false });
  expect(after(4, 5, 1, 2, 3)).toMatchObject({ bank: 6, isComplete: true });
  expect(after(1, 2, 3, 8, 4, 6, 7, 8)).toMatchObject({ bank: 6, next: [], isComplete: true });
});

test("an alternative that another begins with", () => {
  expect(hasBeginnings([1, 1])).toBe(false);
  expect(hasBeginnings([[1, 2], [1, 3], [2]])).toBe(false);
  expect(hasBeginnings([[1, 2], [1]])).toBe(true);
  expect(hasBeginnings([[1], [1]])).toBe(true);
});
