import { expect, test } from "vitest";
import { crossValidate, kFold } from "./index.ts";

const rows = Array.from({ length: 10 }, (_, row) => row);
const targets = rows.map((row) => 3 * row + (row % 2));
/** Predicts the mean of what it was trained on. */
const meanOf = (train: readonly number[]) => train.reduce((sum, row) => sum + targets[row], 0) / train.length;

test("scores have means, deviations and intervals, and every row a prediction of a model that did not see it", async () => {
  const folds = kFold(10, { folds: 5 });
  const { scores, predictions } = await crossValidate({
    folds,
    concurrency: 2,
    run: async ({ train, test }) => {
      const mean = meanOf(train);
      const error = test.reduce((sum, row) => sum + Math.abs(targets[row] - mean), 0) / test.length;
      return { scores: { error }, predictions: test.map(() => mean) };
    },
  });
  const { values, mean, deviation, interval } = scores.error;
  expect(predictions).toEqual(folds.flatMap(({ train, test }) => test.map(() => meanOf(train))));
  expect(values).toEqual([15, 7.5, 2, 7.5, 15]);
  expect(mean).toBeCloseTo(9.4, 12);
  expect(deviation).toBeCloseTo(Math.sqrt(124.7 / 4), 12);
  // t of 4 degrees for 95 % is 2.776; 1/k + test/train is 1/5 + 2/8
  const width = 2.7764451051977934 * deviation * Math.sqrt(0.45);
  expect(interval[0]).toBeCloseTo(mean - width, 9);
  expect(interval[1]).toBeCloseTo(mean + width, 9);
});

test("as many folds run at a time as there may", async () => {
  let [running, most] = [0, 0];
  const run = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    return { scores: {} };
  };
  await crossValidate({ folds: kFold(8, { folds: 8 }), concurrency: 3, run });
  expect(most).toBe(3);
});

test("what goes wrong is said, and the other folds end", async () => {
  const folds = kFold(6, { folds: 3 });
  const scores = { a: 1 };
  const all = (run: Parameters<typeof crossValidate>[0]["run"]) => crossValidate({ folds, run });
  await expect(all(({ fold }) => ({ scores: fold === 1 ? { b: 1 } : scores }))).rejects.toThrow(
    /fold 1: expected the scores a; received b/,
  );
  await expect(all(() => ({ scores, predictions: [1] }))).rejects.toThrow(/a prediction for each of 2 rows/);
  await expect(crossValidate({ folds, run: () => ({ scores }), confidence: 95 })).rejects.toThrow(/confidence above 0/);
  const signals: AbortSignal[] = [];
  const run = async ({ fold, signal }: { fold: number; signal: AbortSignal }) => {
    signals.push(signal);
    if (fold === 1) throw new Error("no memory");
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { scores };
  };
  await expect(crossValidate({ folds, concurrency: 2, run })).rejects.toThrow("no memory");
  expect(signals).toHaveLength(2);
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
  await expect(crossValidate({ folds, run, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
});
