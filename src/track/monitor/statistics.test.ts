import { expect, test } from "vitest";
import golden from "../../../golden/track/drift.json" with { type: "json" };
import { gammaQ, kolmogorovSurvival, logGamma } from "./special.ts";
import { chiSquare, jensenShannon, kolmogorovSmirnov, populationStability, quantile } from "./statistics.ts";

/** Of numbers down to 1e-60, relative. */
const TOLERANCE = 2e-12;
const close = (received: number, expected: number) =>
  expect(Math.abs(received - expected), `${received} for ${expected}`).toBeLessThanOrEqual(
    TOLERANCE * Math.max(Math.abs(expected), 1e-300),
  );

test("special functions equal scipy's", () => {
  for (const [x, expected] of golden.logGamma) expect(logGamma(x)).toBeCloseTo(expected, 9);
  for (const [a, x, expected] of golden.gammaQ) close(gammaQ(a, x), expected);
  for (const [x, expected] of golden.kolmogorov) close(kolmogorovSurvival(x), expected);
});

test("Kolmogorov-Smirnov equals scipy's", () => {
  for (const { a, b, ...expected } of golden.kolmogorovSmirnov) {
    const { statistic, pValue } = kolmogorovSmirnov(a, b);
    close(statistic, expected.statistic);
    close(pValue, expected.pValue);
  }
});

test("distances and tests of counts equal scipy's", () => {
  for (const { expected, actual, ...numbers } of golden.counts) {
    const result = chiSquare(expected, actual);
    close(result.statistic, numbers.chiSquare.statistic);
    close(result.pValue, numbers.chiSquare.pValue);
    close(jensenShannon(expected, actual), numbers.jensenShannon);
    close(populationStability(expected, actual), numbers.populationStability);
  }
});

test("quantiles equal numpy's, and nothing differs from nothing", () => {
  const sorted = [...golden.quantiles.values].sort((a, b) => a - b);
  for (const [share, expected] of golden.quantiles.at) expect(quantile(sorted, share)).toBeCloseTo(expected, 12);
  expect(kolmogorovSmirnov([], [1]).pValue).toBe(1);
  expect(chiSquare([3, 0], [5, 0]).pValue).toBe(1);
});
