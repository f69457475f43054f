/** How far two distributions are from one another. */
import { gammaQ, kolmogorovSurvival } from "./special.ts";

/** A test of whether two samples are of one distribution. */
export interface TestResult {
  statistic: number;
  /** The probability of a statistic as large or larger, if they are. */
  pValue: number;
}

/** Shares below this count as this: a logarithm of nothing says nothing. */
const LEAST_SHARE = 1e-4;

const sharesOf = (counts: readonly number[]): number[] => {
  const sum = counts.reduce((total, count) => total + count, 0) || 1;
  return counts.map((count) => count / sum);
};

/**
 * The population stability index: sum of (q - p) ln(q / p) over the bins, with shares of at least 0.0001. Below 0.1
 * nothing has changed much, above 0.2 to 0.25 it has.
 * @param expected counts of the reference by bin
 * @param actual counts of the window by bin
 *
 * @example
 * populationStability([50, 50], [75, 25]).toFixed(4); // "0.2747"
 */
export function populationStability(expected: readonly number[], actual: readonly number[]): number {
  const p = sharesOf(expected);
  const q = sharesOf(actual);
  return p.reduce((sum, share, i) => {
    const [a, b] = [Math.max(share, LEAST_SHARE), Math.max(q[i], LEAST_SHARE)];
    return sum + (b - a) * Math.log(b / a);
  }, 0);
}

/**
 * The Jensen-Shannon distance with logarithms of base 2, from 0 to 1: the square root of the divergence, as
 * scipy.spatial.distance.jensenshannon.
 *
 * @example
 * jensenShannon([50, 50], [100, 0]).toFixed(4); // "0.5579"
 */
export function jensenShannon(expected: readonly number[], actual: readonly number[]): number {
  const [p, q] = [sharesOf(expected), sharesOf(actual)];
  const part = (share: number, mean: number) => (share > 0 ? share * Math.log2(share / mean) : 0);
  const sum = p.reduce((total, share, i) => {
    const mean = (share + q[i]) / 2;
    return total + part(share, mean) + part(q[i], mean);
  }, 0);
  return Math.sqrt(Math.max(0, sum / 2));
}

/**
 * The Kolmogorov-Smirnov test of two samples, two-sided. The p-value is that of the limit distribution, as
 * scipy.special.kolmogorov; with few or equal values it is too large, never too small by much.
 */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): TestResult {
  if (a.length === 0 || b.length === 0) return { statistic: 0, pValue: 1 };
  const byValue = (x: number, y: number) => x - y;
  const [x, y] = [[...a].sort(byValue), [...b].sort(byValue)];
  let [i, j, statistic] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const value = Math.min(x[i], y[j]);
    while (i < x.length && x[i] === value) i++;
    while (j < y.length && y[j] === value) j++;
    statistic = Math.max(statistic, Math.abs(i / x.length - j / y.length));
  }
  const size = Math.sqrt((x.length * y.length) / (x.length + y.length));
  return { statistic, pValue: kolmogorovSurvival(size * statistic) };
}

/**
 * The chi-square test of whether two samples of categories are of one distribution, as scipy.stats.chi2_contingency
 * without correction. Categories that neither has do not count.
 */
export function chiSquare(expected: readonly number[], actual: readonly number[]): TestResult {
  const columns = expected.map((count, i) => [count, actual[i]] as const).filter(([a, b]) => a + b > 0);
  const sums = columns.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
  const all = sums[0] + sums[1];
  if (columns.length < 2 || sums[0] === 0 || sums[1] === 0) return { statistic: 0, pValue: 1 };
  const statistic = columns.reduce((total, column) => {
    const parts = column.map((count, row) => {
      const mean = ((column[0] + column[1]) * sums[row]) / all;
      return (count - mean) ** 2 / mean;
    });
    return total + parts[0] + parts[1];
  }, 0);
  return { statistic, pValue: gammaQ((columns.length - 1) / 2, statistic / 2) };
}

/** The value below which a share of the values lies, between neighbours in proportion, as numpy.quantile. */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
