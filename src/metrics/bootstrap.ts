import { checkOptions, DataError, numberRules, requireNumbers } from "../base/index.ts";
import { meanOf, requireChoice } from "./checks.ts";
import { normalCdf, normalQuantile } from "./normal-distribution.ts";
import { PythonRandom } from "./python-random.ts";

/** A number of some rows, by their indices: the same row may come several times. */
export type Statistic = (rows: Int32Array) => number;

/** How resamples are drawn, and what is read from them. */
export interface BootstrapOptions {
  /** How many are drawn. @default 1000 */
  resamples?: number;
  /** Those that are to be taken, each of as many row indices as there are rows. @default drawn by the seed */
  rows?: readonly ArrayLike<number>[];
  /** @default 0 */
  seed?: number;
  /** How sure the interval is. @default 0.95 */
  confidence?: number;
  /**
   * "percentile": the middle of the resamples; "bca": corrected for bias and acceleration, with as many further
   * evaluations as there are rows. Efron 1987, doi:10.1080/01621459.1987.10478410. @default "bca"
   */
  method?: "percentile" | "bca";
}

/** A number, and how far it may be off. */
export interface BootstrapResult {
  /** Of all rows. */
  value: number;
  low: number;
  high: number;
  /** The standard deviation of the resamples. */
  standardError: number;
  /** The value of each resample. */
  distribution: Float64Array;
}

const optionNames = ["resamples", "rows", "seed", "confidence", "method"];

/**
 * The confidence interval of a metric, by drawing rows with replacement; scipy's `bootstrap`, the same numbers of the
 * same resamples. An interval of "bca" is NaN where all resamples lie on one side of the value.
 * @param count of rows
 * @throws DataError for fewer than 2 rows, or resamples of another length; OptionError for numbers out of range
 *
 * @example
 * const lengths = [3, 5, 4, 9];
 * const meanLength = (rows) => rows.reduce((sum, row) => sum + lengths[row], 0) / rows.length;
 * bootstrap(4, meanLength, { method: "percentile" }).value; // 5.25
 */
export function bootstrap(count: number, statistic: Statistic, options: BootstrapOptions = {}): BootstrapResult {
  checkOptions("bootstrap", options, optionNames);
  const { confidence = 0.95, method = "bca" } = options;
  requireChoice("bootstrap", "method", method, ["percentile", "bca"]);
  requireNumbers("bootstrap", { confidence }, { confidence: numberRules.innerShare });
  const drawn = resamplesOf(count, options);
  const all = Int32Array.from({ length: count }, (_, i) => i);
  const value = statistic(all);
  const distribution = Float64Array.from(drawn, statistic);
  const outside = (1 - confidence) / 2;
  const [from, to] =
    method === "percentile"
      ? [outside, 1 - outside]
      : correctedShares(distribution, value, outside, jackknife(all, statistic));
  const sorted = Float64Array.from(distribution).sort();
  return {
    value,
    low: quantile(sorted, from),
    high: quantile(sorted, to),
    standardError: deviation(distribution),
    distribution,
  };
}

function resamplesOf(count: number, { resamples = 1000, rows, seed = 0 }: BootstrapOptions): Int32Array[] {
  const rules = { resamples: numberRules.positiveInteger, seed: numberRules.integer };
  requireNumbers("bootstrap", { resamples, seed }, rules);
  if (!(count >= 2))
    throw new DataError({
      where: "bootstrap",
      expected: "at least 2 rows",
      received: String(count),
      fix: "evaluate on more rows",
    });
  if (rows === undefined) {
    const random = new PythonRandom(seed);
    return Array.from({ length: resamples }, () => random.choices(count, count));
  }
  return rows.map((list, i) => {
    if (list.length === count && Array.from(list).every((row) => Number.isInteger(row) && row >= 0 && row < count))
      return Int32Array.from(list);
    throw new DataError({
      where: "bootstrap",
      expected: `resamples of ${count} indices below ${count}`,
      received: `another of ${list.length} as number ${i}`,
      fix: "draw as many rows as there are",
    });
  });
}

/** The statistic without each row. */
const jackknife = (all: Int32Array, statistic: Statistic): number[] =>
  Array.from(all, (row) => statistic(all.filter((other) => other !== row)));

/** Which shares of the resamples the ends of the interval have below them. */
function correctedShares(
  distribution: Float64Array,
  value: number,
  outside: number,
  withoutRows: readonly number[],
): [number, number] {
  const below = distribution.filter((one) => one < value).length + distribution.filter((one) => one <= value).length;
  const bias = normalQuantile(below / (2 * distribution.length));
  const count = withoutRows.length;
  const mean = meanOf(withoutRows);
  const influence = withoutRows.map((one) => (count - 1) * (mean - one));
  const moment = (power: number) => influence.reduce((sum, one) => sum + one ** power, 0) / count ** power;
  const acceleration = moment(3) / moment(2) ** 1.5 / 6;
  const shareAt = (z: number) => {
    const shifted = bias + z;
    return normalCdf(bias + shifted / (1 - acceleration * shifted));
  };
  const z = normalQuantile(outside);
  return [shareAt(z), shareAt(-z)];
}

/** Linear between the two nearest of sorted numbers. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

function deviation(values: Float64Array): number {
  const mean = meanOf(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

/** The difference of two systems on the same rows. */
export interface PairedBootstrapResult extends BootstrapResult {
  /** The share of resamples in which the first is not above the second: small where it is surely better. */
  notAbove: number;
}

/**
 * How much higher a metric of one system is than of another, both of the same resamples. Koehn 2004,
 * aclanthology.org/W04-3250.
 * @throws as `bootstrap`
 */
export function pairedBootstrap(
  count: number,
  first: Statistic,
  second: Statistic,
  options: BootstrapOptions = {},
): PairedBootstrapResult {
  const result = bootstrap(count, (rows) => first(rows) - second(rows), options);
  const notAbove = result.distribution.filter((difference) => difference <= 0).length / result.distribution.length;
  return { ...result, notAbove };
}
