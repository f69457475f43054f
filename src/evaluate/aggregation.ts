import { corpusBleu, corpusChrf, PythonRandom } from "../metrics/index.ts";
import type { MetricItem } from "./judging.ts";
import type { TaskMetric } from "./task.ts";

type Choice = Exclude<MetricItem, number | readonly [number, number] | { references: unknown }>;
type Text = Exclude<MetricItem, number | readonly [number, number] | Choice>;

/** How what rows give becomes one number, and how far that may be off. */
interface Aggregation {
  /** The number of some rows, by their indices. */
  of(items: readonly MetricItem[]): (rows: Int32Array) => number;
  /** "mean": by the deviation of rows; "bootstrap": by resamples, at most so many; "none". */
  error: "mean" | "bootstrap" | "none";
  mostResamples?: number;
  higherIsBetter: boolean;
}

const meanOf = (values: readonly number[]) => (rows: Int32Array) => {
  let sum = 0;
  for (const row of rows) sum += values[row];
  return sum / rows.length;
};

/** The sum of log probabilities over that of what they are spread over. */
const weighted = (items: readonly MetricItem[]) => {
  const pairs = items as readonly (readonly [number, number])[];
  return (rows: Int32Array) => {
    let [sum, weight] = [0, 0];
    for (const row of rows) {
      sum += pairs[row][0];
      weight += pairs[row][1];
    }
    return sum / weight;
  };
};

/** Counts of predictions by labels, of which a number is computed. */
type OfCounts = (counts: readonly Float64Array[], total: number, names: readonly number[]) => number;
const byCounts = (compute: OfCounts) => (items: readonly MetricItem[]) => {
  const choices = items as readonly Choice[];
  const golds = choices.map(({ gold }) => (typeof gold === "number" ? gold : gold[0]));
  const names = [...new Set([...golds, ...choices.map(({ prediction }) => prediction)])].sort((a, b) => a - b);
  const place = new Map(names.map((name, i) => [name, i]));
  const labels = golds.map((gold) => place.get(gold) as number);
  const predictions = choices.map(({ prediction }) => place.get(prediction) as number);
  return (rows: Int32Array) => {
    const counts = names.map(() => new Float64Array(names.length));
    for (const row of rows) counts[labels[row]][predictions[row]]++;
    return compute(counts, rows.length, names);
  };
};

function matthews(counts: readonly Float64Array[], total: number): number {
  let [hits, both, actual, predicted] = [0, 0, 0, 0];
  for (let i = 0; i < counts.length; i++) {
    let [row, column] = [0, 0];
    for (let j = 0; j < counts.length; j++) {
      row += counts[i][j];
      column += counts[j][i];
    }
    hits += counts[i][i];
    both += row * column;
    actual += row * row;
    predicted += column * column;
  }
  const spread = (total * total - predicted) * (total * total - actual);
  return spread === 0 ? 0 : (hits * total - both) / Math.sqrt(spread);
}

/** F1 of the class 1 against all others. */
function binaryF1(counts: readonly Float64Array[], _: number, names: readonly number[]): number {
  const one = names.indexOf(1);
  if (one < 0) return 0;
  const hits = counts[one][one];
  const actual = counts[one].reduce((sum, count) => sum + count, 0);
  const predicted = counts.reduce((sum, row) => sum + row[one], 0);
  return actual + predicted === 0 ? 0 : (2 * hits) / (actual + predicted);
}

type OfTexts = (predictions: string[], references: (readonly string[])[]) => number;
const texts = (compute: OfTexts) => (items: readonly MetricItem[]) => {
  const list = items as readonly Text[];
  return (rows: Int32Array) =>
    compute(
      Array.from(rows, (row) => list[row].prediction),
      Array.from(rows, (row) => list[row].references),
    );
};

const mean: Aggregation = {
  of: (items) => meanOf(items as readonly number[]),
  error: "mean",
  higherIsBetter: true,
};
const median: Aggregation = {
  of: (items) => (rows) => {
    const values = Float64Array.from(rows, (row) => items[row] as number).sort();
    return values[Math.floor(values.length / 2)];
  },
  error: "bootstrap",
  higherIsBetter: true,
};
const brier: Aggregation = {
  of: (items) =>
    meanOf(
      (items as readonly Choice[]).map(({ gold, probabilities }) =>
        probabilities.reduce((sum, one, i) => sum + (one - Number(i === gold)) ** 2, 0),
      ),
    ),
  error: "none",
  higherIsBetter: false,
};
/** A number of the mean of what log probabilities are spread over. */
const spread = (compute: (mean: number) => number): Aggregation => ({
  of: (items) => {
    const of = weighted(items);
    return (rows) => compute(of(rows));
  },
  error: "none",
  higherIsBetter: false,
});
const perplexityOf = (logprob: number) => Math.exp(-logprob);
const ofTexts = (compute: OfTexts): Aggregation => ({
  of: texts(compute),
  error: "bootstrap",
  mostResamples: 100,
  higherIsBetter: true,
});

const aggregations: Readonly<Record<string, Aggregation>> = {
  perplexity: {
    of: (items) => {
      const of = meanOf(items as readonly number[]);
      return (rows) => perplexityOf(of(rows));
    },
    error: "bootstrap",
    higherIsBetter: false,
  },
  word_perplexity: spread(perplexityOf),
  byte_perplexity: spread(perplexityOf),
  bits_per_byte: spread((logprob) => -logprob / Math.LN2),
  brier_score: brier,
  mcc: { of: byCounts(matthews), error: "bootstrap", higherIsBetter: true },
  f1: { of: byCounts(binaryF1), error: "bootstrap", higherIsBetter: true },
  bleu: ofTexts((predictions, references) => corpusBleu(predictions, references).score),
  chrf: ofTexts((predictions, references) => corpusChrf(predictions, references)),
  "chrf++": ofTexts((predictions, references) => corpusChrf(predictions, references, { wordOrder: 2 })),
};

/** A metric of all rows. */
export interface MetricResult {
  value: number;
  /** How far the value may be off; left out where that is not estimated. */
  standardError?: number;
  higherIsBetter: boolean;
}

/** Resamples of one seed: lm-evaluation-harness draws so many in each of its processes. */
const CHUNK = 1000;

/** One number of what the rows give to a metric, as lm-evaluation-harness computes it and its standard error. */
export function aggregate(metric: TaskMetric, items: readonly MetricItem[], resamples: number): MetricResult {
  const { of, error, mostResamples = Number.POSITIVE_INFINITY, higherIsBetter } = aggregationOf(metric);
  const statistic = of(items);
  const value = statistic(Int32Array.from({ length: items.length }, (_, i) => i));
  const result = { value, higherIsBetter: metric.higherIsBetter ?? higherIsBetter };
  if (resamples === 0 || items.length < 2 || error === "none") return result;
  const standardError =
    error === "mean"
      ? deviation(items as readonly number[]) / Math.sqrt(items.length)
      : deviation(resampled(statistic, items.length, Math.min(resamples, mostResamples)));
  return { ...result, standardError };
}

function aggregationOf({ metric, aggregation, score }: TaskMetric): Aggregation {
  if (aggregation !== undefined) return aggregation === "mean" ? mean : median;
  return score === undefined && Object.hasOwn(aggregations, metric) ? aggregations[metric] : mean;
}

function resampled(statistic: (rows: Int32Array) => number, count: number, resamples: number): number[] {
  const size = Math.min(CHUNK, resamples);
  const values: number[] = [];
  for (let seed = 0; seed < Math.floor(resamples / size); seed++) {
    const random = new PythonRandom(seed);
    for (let i = 0; i < size; i++) values.push(statistic(random.choices(count, count)));
  }
  return values;
}

/** With one less than there are in the divisor. */
function deviation(values: readonly number[]): number {
  const centre = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}
