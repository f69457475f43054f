/** Metrics of classes and their scores: golden/metrics.json of scikit-learn. */
import { describe, expect, test } from "vitest";
import { type GoldenMetrics, goldenMetrics, numberOf } from "../testing/golden-metrics.ts";
import {
  type Average,
  accuracy,
  averagePrecision,
  balancedAccuracy,
  brierScore,
  type ClassScores,
  confusionMatrix,
  expectedCalibrationError,
  f1Score,
  logLoss,
  matthewsCorrelation,
  precision,
  precisionRecallCurve,
  precisionRecallF1,
  recall,
  rocAuc,
  rocCurve,
  scoresByClass,
  topKAccuracy,
} from "./index.ts";

const golden: GoldenMetrics = await goldenMetrics();
const { cases, adjusted, someClasses } = golden.classification;

function expectScores(actual: ClassScores, expected: Record<string, unknown>): void {
  for (const name of ["precision", "recall", "f1"] as const) {
    const value = numberOf(expected[name]);
    if (Number.isNaN(value)) expect(actual[name]).toBeNaN();
    else expect(actual[name]).toBeCloseTo(value, 12);
  }
}

describe.each(cases.map((one, i) => [i, one] as const))("classification %d", (_, one) => {
  const { labels, predictions } = one;

  test("accuracy, balanced accuracy and Matthews' correlation", () => {
    expect(accuracy(predictions, labels)).toBeCloseTo(one.accuracy, 12);
    expect(balancedAccuracy(predictions, labels)).toBeCloseTo(one.balanced, 12);
    expect(matthewsCorrelation(predictions, labels)).toBeCloseTo(one.matthews, 12);
  });

  test("confusion matrices", () => {
    expect(confusionMatrix(predictions, labels).counts.map((row) => [...row])).toEqual(one.confusion);
    for (const normalize of ["labels", "predictions", "all"] as const) {
      const { counts } = confusionMatrix(predictions, labels, { normalize });
      const rows = one.normalized[normalize];
      for (const [i, row] of counts.entries())
        for (const [j, value] of row.entries()) expect(value).toBeCloseTo(rows[i][j], 12);
    }
  });

  test("precision, recall and F1", () => {
    for (const [average, expected] of Object.entries(one.averages))
      expectScores(precisionRecallF1(predictions, labels, { average: average as Average }), expected);
    const macro = { average: "macro" } as const;
    expectScores(precisionRecallF1(predictions, labels, { ...macro, zeroDivision: 1 }), one.ones);
    expectScores(precisionRecallF1(predictions, labels, { ...macro, zeroDivision: Number.NaN }), one.nan);
    expect(f1Score(predictions, labels, { ...macro, beta: 2 })).toBeCloseTo(one.beta, 12);
    for (const [i, row] of scoresByClass(predictions, labels).entries()) {
      for (const name of ["precision", "recall", "f1"] as const)
        expect(row[name]).toBeCloseTo(one.byClass[name][i], 12);
      expect(row.support).toBe(one.byClass.support[i]);
    }
  });
});

test("some classes, adjusted balanced accuracy, and typed arrays", () => {
  const { labels, predictions } = cases[1];
  expect(balancedAccuracy(predictions, labels, { adjusted: true })).toBeCloseTo(adjusted, 12);
  expectScores(precisionRecallF1(predictions, labels, { average: "micro", classes: [1, 3] }), someClasses);
  const [a, b] = [Int32Array.from(predictions as number[]), Uint8Array.from(labels as number[])];
  expect(accuracy(a, b)).toBe(cases[1].accuracy);
});

test("scores of two classes", () => {
  const { labels, scores, ...expected } = golden.scores.binary;
  expect(rocAuc(scores, labels)).toBeCloseTo(expected.rocAuc, 12);
  expect(averagePrecision(scores, labels)).toBeCloseTo(expected.averagePrecision, 12);
  expect(logLoss(scores, labels)).toBeCloseTo(expected.logLoss, 12);
  expect(brierScore(scores, labels)).toBeCloseTo(expected.brier, 12);
  expect(expectedCalibrationError(scores, labels, { bins: 10 })).toBeCloseTo(expected.calibration, 12);
  const names = labels.map((label) => (label === 1 ? "spam" : "ham"));
  expect(rocAuc(Float64Array.from(scores), names, { positive: "spam" })).toBeCloseTo(expected.rocAuc, 12);
  const { falsePositiveRates, truePositiveRates, thresholds } = rocCurve(scores, labels);
  for (const [i, list] of [falsePositiveRates, truePositiveRates, thresholds].entries())
    expect([...list]).toEqual(expected.roc[i].map(numberOf));
  const curve = precisionRecallCurve(scores, labels);
  for (const [i, list] of [curve.precisions, curve.recalls, curve.thresholds].entries())
    expect([...list]).toEqual(expected.precisionRecall[i]);
});

test("scores of several classes", () => {
  const { labels, scores, ...expected } = golden.scores.classes;
  for (const [key, value] of Object.entries(expected.rocAuc)) {
    const [multiClass, average] = key.split(" ") as ["ovr", "macro"];
    expect(rocAuc(scores, labels, { multiClass, average })).toBeCloseTo(value, 12);
  }
  for (const [average, value] of Object.entries(expected.averagePrecision))
    expect(averagePrecision(scores, labels, { average: average as "macro" })).toBeCloseTo(value, 12);
  expect(logLoss(scores, labels)).toBeCloseTo(expected.logLoss, 12);
  expect(brierScore(scores, labels)).toBeCloseTo(expected.brier, 12);
  for (const [i, value] of expected.topK.entries())
    expect(topKAccuracy(scores, labels, { k: i + 1 })).toBeCloseTo(value, 12);
  const ties = scores.map((row) => row.map((value) => Math.round(value * 10) / 10));
  expect(topKAccuracy(ties, labels)).toBeCloseTo(expected.topKTies, 12);
  for (const [bins, value] of Object.entries(expected.calibration))
    expect(expectedCalibrationError(scores, labels, { bins: Number(bins) })).toBeCloseTo(value, 12);
});

describe("what is not defined is told", () => {
  test("lengths that differ, no rows, and unknown options", () => {
    expect(() => accuracy([1], [1, 0])).toThrow("1 predictions, 2 labels");
    expect(() => accuracy([], [])).toThrow("expected at least one row");
    expect(() => f1Score([1, 0], [1, 0], { averge: "macro" } as never)).toThrow('did you mean "average"?');
    expect(() => f1Score([1, 0], [1, 0], { average: "mean" as never })).toThrow("binary, micro, macro, weighted");
    expect(() => confusionMatrix([1], [1], { classes: [2] })).toThrow("none of [2]");
  });

  test("an average of two classes for more, or others", () => {
    expect(() => precision([0, 1, 2], [0, 1, 2])).toThrow('choose the average "micro", "macro" or "weighted"');
    expect(() => recall(["a", "b"], ["a", "b"])).toThrow("name the positive class in the option positive");
    expect(recall(["a", "b"], ["a", "b"], { positive: "b" })).toBe(1);
  });

  test("classes that are never predicted, or never a label", () => {
    const notes: string[] = [];
    const onWarning = (warning: { notes: readonly string[] }) => notes.push(...warning.notes);
    f1Score([0, 0, 3], [0, 1, 0], { average: "macro", onWarning });
    expect(notes).toEqual([
      "Nothing was predicted of the class 1: precision is set to 0.",
      "No label is of the class 3: recall is set to 0.",
    ]);
    notes.length = 0;
    balancedAccuracy([0, 0, 3], [0, 1, 0], { onWarning });
    expect(notes).toEqual(["No label is of the class 3, which was predicted; it is left out."]);
    f1Score([0, 0, 3], [0, 1, 0], { average: "macro", onWarning, zeroDivision: 0 });
    expect(notes).toHaveLength(1);
  });

  test("scores that are none, and labels of one class", () => {
    expect(() => rocAuc([0.1, Number.NaN], [0, 1])).toThrow("NaN in row 1");
    expect(() => rocAuc([0.1, 0.2], [1, 1])).toThrow("2 positive and 0 negative ones");
    expect(() => averagePrecision([0.1, 0.2], [0, 0])).toThrow("at least one positive label");
    expect(() =>
      rocAuc(
        [
          [2, 0.2],
          [0.5, 0.5],
        ],
        [0, 1],
      ),
    ).toThrow("take the softmax of logits");
    expect(() => logLoss([[1, 0], [1]], [0, 1])).toThrow("1 in row 1");
    expect(() => logLoss([1.5], [1])).toThrow("probabilities from 0 to 1");
    expect(() => logLoss([[0.2, 0.8]], [3], { classes: [0, 1] })).toThrow("3 in row 0");
    expect(() => topKAccuracy([[0.1, 0.9, 0]], [1])).toThrow("the classes of the 3 columns of scores");
  });
});
