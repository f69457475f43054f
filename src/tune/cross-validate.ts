import { known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Fold } from "./folds.ts";
import { quantileOfT } from "./normal.ts";

/** A fold, while it is run. */
export interface FoldRun extends Fold {
  /** From 0 on. */
  fold: number;
  /** Aborted when the cross-validation is. */
  signal: AbortSignal;
}

/** What a model reached on the rows that it was not trained on. */
export interface FoldResult<P = unknown> {
  /** Scores by name. */
  scores: Readonly<Record<string, number>>;
  /** One for each row of the test, in its order. @default none */
  predictions?: readonly P[];
}

/** What is run on which folds. */
export interface CrossValidateOptions<P> {
  folds: readonly Fold[];
  /** Trains on `train`, and tests with `test`. */
  run: (fold: FoldRun) => FoldResult<P> | Promise<FoldResult<P>>;
  /** Folds at a time. @default 1 */
  concurrency?: number;
  /** Of the interval. @default 0.95 */
  confidence?: number;
  /** Ends it between two folds. @default nothing does */
  signal?: AbortSignal;
}

/** A score over the folds. */
export interface ScoreSummary {
  /** Of each fold. */
  values: number[];
  mean: number;
  /** Standard deviation of the values, with one degree of freedom less; NaN of a single fold. */
  deviation: number;
  /**
   * Where the mean of other splits would be, by Student's t. Folds share rows of training, so that their values are not
   * independent: the variance is multiplied by 1/k + test/train in place of 1/k. Nadeau and Bengio 2003,
   * doi:10.1023/A:1024068626366.
   */
  interval: [low: number, high: number];
}

/** What a cross-validation gives. */
export interface CrossValidation<P = unknown> {
  /** By name. */
  scores: Record<string, ScoreSummary>;
  /**
   * Of rows that were not trained on, by row: of the last fold that tested it; undefined where none did, or gave none.
   */
  predictions: (P | undefined)[];
}

const names = { folds: true, run: true, concurrency: true, confidence: true, signal: true } as const;

/**
 * Trains and tests once for each fold.
 * @throws OptionError when folds give different scores, or another number of predictions than there are rows
 * @throws what `run` throws, and the signal's reason
 */
export async function crossValidate<P = unknown>(options: CrossValidateOptions<P>): Promise<CrossValidation<P>> {
  known("crossValidate", options, names);
  const { folds, run, concurrency = 1, confidence = 0.95, signal = new AbortController().signal } = options;
  requireNumbers(
    "crossValidate",
    { concurrency, confidence, folds: folds.length },
    {
      concurrency: numberRules.positiveInteger,
      confidence: numberRules.innerShare,
      folds: numberRules.positiveInteger,
    },
  );
  const results = new Array<FoldResult<P>>(folds.length);
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  let next = 0;
  const work = async () => {
    for (let fold = next++; fold < folds.length; fold = next++) {
      either.throwIfAborted();
      results[fold] = checkedResult(await run({ ...folds[fold], fold, signal: either }), folds[fold], fold);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, folds.length) }, work));
  } catch (error) {
    end.abort(error); // the other folds need not go on
    throw error;
  }
  return { scores: summaries(results, folds, confidence), predictions: predictionsOf(results, folds) };
}

function checkedResult<P>(result: FoldResult<P>, { test }: Fold, fold: number): FoldResult<P> {
  const { predictions } = result;
  if (predictions === undefined || predictions.length === test.length) return result;
  throw new OptionError({
    where: `crossValidate: fold ${fold}`,
    expected: `a prediction for each of ${test.length} rows of the test`,
    received: String(predictions.length),
    fix: "give them in the order of test, or none",
  });
}

function summaries(
  results: readonly FoldResult[],
  folds: readonly Fold[],
  confidence: number,
): CrossValidation["scores"] {
  const scoreNames = Object.keys(results[0].scores);
  const listed = scoreNames.toSorted().join(", ");
  for (const [fold, { scores }] of results.entries()) {
    const received = Object.keys(scores).sort().join(", ");
    const fix = "give the same scores for each fold";
    if (received !== listed)
      throw new OptionError({ where: `crossValidate: fold ${fold}`, expected: `the scores ${listed}`, received, fix });
  }
  const share = folds.reduce((sum, { train, test }) => sum + test.length / train.length, 0) / folds.length;
  return Object.fromEntries(
    scoreNames.map((name) => [
      name,
      summaryOf(
        results.map(({ scores }) => scores[name]),
        share,
        confidence,
      ),
    ]),
  );
}

/** @param share rows of a test for each row of its training */
function summaryOf(values: number[], share: number, confidence: number): ScoreSummary {
  const { length } = values;
  const mean = values.reduce((sum, value) => sum + value, 0) / length;
  if (length < 2) return { values, mean, deviation: Number.NaN, interval: [Number.NaN, Number.NaN] };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (length - 1);
  const width = quantileOfT((1 + confidence) / 2, length - 1) * Math.sqrt((1 / length + share) * variance);
  return { values, mean, deviation: Math.sqrt(variance), interval: [mean - width, mean + width] };
}

function predictionsOf<P>(results: readonly FoldResult<P>[], folds: readonly Fold[]): (P | undefined)[] {
  const rows = folds.reduce((most, { train, test }) => Math.max(most, largest(train), largest(test)), -1) + 1;
  const predictions = new Array<P | undefined>(rows).fill(undefined);
  for (const [fold, { predictions: values }] of results.entries())
    if (values) for (const [i, row] of folds[fold].test.entries()) predictions[row] = values[i];
  return predictions;
}

const largest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, value), -1);
