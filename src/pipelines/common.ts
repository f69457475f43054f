import { DataError, nearest, OptionError } from "../base/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";

/** A class and how probable it is. */
export interface LabelScore {
  label: string;
  score: number;
}

/** The classes with their scores, best first. @param count how many. @default all */
export function ranked(labels: readonly string[], scores: readonly number[], count?: number): LabelScore[] {
  return labels
    .map((label, i) => ({ label, score: scores[i] }))
    .sort((a, b) => b.score - a.score)
    .slice(0, count);
}

const scoreFunctions = ["softmax", "sigmoid", "none"] as const;
export type ScoreFunction = (typeof scoreFunctions)[number];

/** @throws OptionError for a value that is none of an option's */
export function requireOneOf(option: string, value: unknown, values: readonly string[]): void {
  if (values.includes(value as string)) return;
  const near = nearest(String(value), values);
  const fix = near ? `did you mean "${near}"?` : "choose one of them";
  throw new OptionError({
    where: option,
    expected: values.join(", "),
    received: JSON.stringify(value) ?? "nothing",
    fix,
  });
}

export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}
export const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** Scores of logits. @throws OptionError for a function that there is not */
export function scoresOf(logits: ArrayLike<number>, by: ScoreFunction): number[] {
  requireOneOf("functionToApply", by, scoreFunctions);
  if (by === "softmax") return softmax(logits);
  return Array.from(logits, (value) => (by === "sigmoid" ? sigmoid(value) : value));
}

/** Indices of the largest numbers, the largest first; equal ones in their order. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count);
}

/** How many inputs a pipeline runs together. */
export interface BatchOptions {
  /**
   * Most pictures of one size that go through the model in one run. The results are those of a batchSize of 1, up to
   * rounding. @default 1, as in transformers
   */
  batchSize?: number;
}

/** How inputs become answers. */
export interface PipelineSteps<I, P, R, O> extends BatchOptions {
  task: string;
  /** What the model is to be run on for an input, at least one part. */
  prepare(input: I): Promise<readonly P[]>;
  /** Runs parts of one or several inputs together -> a result of each */
  run(parts: readonly P[]): Promise<readonly R[]>;
  answer(input: I, parts: readonly P[], results: readonly R[]): O | Promise<O>;
}

/** @throws OptionError for a batchSize that is not a whole number of at least 1 */
export function requireBatchSize(task: string, batchSize: unknown): void {
  if (Number.isInteger(batchSize) && (batchSize as number) >= 1) return;
  throw new OptionError({
    where: `${task}, batchSize`,
    expected: "a whole number of at least 1",
    received: JSON.stringify(batchSize) ?? String(batchSize),
    fix: "leave it out, or try 8",
  });
}

/**
 * The answer for one input, or for each of several in their order, `batchSize` parts of them run together.
 * @throws OptionError for a batchSize that is not a whole number of at least 1
 */
export async function answers<I, P, R, O>(
  inputs: I | readonly I[],
  { task, batchSize = 1, prepare, run, answer }: PipelineSteps<I, P, R, O>,
): Promise<O | O[]> {
  requireBatchSize(task, batchSize);
  const out: O[] = [];
  const unanswered: { input: I; parts: readonly P[]; results: R[] }[] = [];
  const waiting: { part: P; results: R[] }[] = [];
  const runWaiting = async () => {
    const batch = waiting.splice(0);
    const rows = await run(batch.map(({ part }) => part));
    for (const [i, { results }] of batch.entries()) results.push(rows[i]);
    // at once, so that no more than a batch's results are kept
    while (unanswered.length > 0 && unanswered[0].results.length === unanswered[0].parts.length) {
      const { input, parts, results } = unanswered.shift() as (typeof unanswered)[number];
      out.push(await answer(input, parts, results));
    }
  };
  for (const input of (Array.isArray(inputs) ? inputs : [inputs]) as readonly I[]) {
    const parts = await prepare(input);
    const results: R[] = [];
    unanswered.push({ input, parts, results });
    for (const part of parts) {
      waiting.push({ part, results });
      if (waiting.length === batchSize) await runWaiting();
    }
  }
  if (waiting.length > 0) await runWaiting();
  return Array.isArray(inputs) ? out : out[0];
}

/** The answer for one input, or for each of several. */
export async function each<I, O>(inputs: I | readonly I[], run: (input: I) => Promise<O>): Promise<O | O[]> {
  if (!Array.isArray(inputs)) return run(inputs as I);
  const out: O[] = [];
  // one after another: the device does one thing at a time
  for (const input of inputs as readonly I[]) out.push(await run(input));
  return out;
}

/** All tokens that a generator gives. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/**
 * The text of new tokens behind those of a prompt: what the prompt alone decodes to is cut off, so that spaces at the
 * seam come out right.
 */
export async function textAfter(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  newIds: readonly number[],
): Promise<string> {
  const before = (await tokenizer.decode(prompt)).length;
  return (await tokenizer.decode([...prompt, ...newIds])).slice(before);
}

/** A length as the tokenizer takes it: none where there is no limit. */
export const finite = (length: number): number | undefined => (Number.isFinite(length) ? length : undefined);

/** @throws DataError naming the task, when a model has no labels */
export function labelsOf(model: { config: object; architecture: string }): readonly string[] {
  const { labels } = model.config as { labels?: readonly string[] };
  if (labels) return labels;
  throw new DataError({
    where: model.architecture,
    expected: "a model with labels",
    received: "none",
    fix: "use a model with a classifier",
  });
}
