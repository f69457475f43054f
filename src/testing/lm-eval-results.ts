import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import type { TaskResult } from "../evaluate/index.ts";

/** Log probabilities with whether they are greedy, or texts; of rolling windows the log probability alone. */
type LmEvalAnswers = ([number, boolean] | string | number)[];

/** What lm-evaluation-harness says of a task. */
export interface LmEvalTask {
  numbers: Record<string, number | "N/A">;
  samples: {
    docId: number;
    filter: string;
    arguments: string[][];
    answers: LmEvalAnswers;
    filtered: LmEvalAnswers;
  }[];
}

/** A file of golden/evaluate/. */
export const lmEvalResults = async (
  name: string,
): Promise<{ resamples: number; results: Record<string, LmEvalTask>; table: string }> =>
  JSON.parse(await readFile(new URL(`../../golden/evaluate/${name}.json`, import.meta.url), "utf8"));

/** Prompts and texts must be the same, log probabilities close to 1e-3. */
export function expectAnswers(outcome: TaskResult, { samples }: LmEvalTask): void {
  expect(outcome.samples).toHaveLength(samples.length);
  for (const sample of outcome.samples) {
    const label = `row ${sample.docId}`;
    const expected = samples.find(({ docId, filter }) => docId === sample.docId && filter === sample.filter);
    const parts = sample.requests.map((request) => Object.values(request).slice(1));
    expect(parts, label).toEqual(expected?.arguments);
    for (const [j, answer] of sample.answers.entries()) {
      const reference = expected?.answers[j];
      if (typeof answer === "string") {
        expect(answer, label).toBe(reference);
        continue;
      }
      const [logprob, isGreedy] = typeof reference === "number" ? [reference] : (reference as [number, boolean]);
      expect(Math.abs(answer.logprob - logprob), label).toBeLessThan(1e-3);
      if (isGreedy !== undefined) expect(answer.isGreedy, label).toBe(isGreedy);
    }
    if (sample.filtered !== undefined) expect([sample.filtered], label).toEqual(expected?.filtered);
  }
}

/** Numbers and standard errors must be close to a hundred-thousandth. */
export function expectNumbers({ metrics, rows }: TaskResult, { numbers }: LmEvalTask): void {
  const ours = Object.fromEntries(
    metrics.flatMap(({ metric, filter, value, standardError = "N/A" }) => [
      [`${metric},${filter}`, value],
      [`${metric}_stderr,${filter}`, standardError],
    ]),
  );
  const { sample_len: count, ...expected } = numbers;
  expect(rows.effective).toBe(count);
  expect(Object.keys(ours).sort()).toEqual(Object.keys(expected).sort());
  for (const [key, value] of Object.entries(expected)) {
    if (typeof value === "string") expect(ours[key], key).toBe(value);
    else expect(Math.abs((ours[key] as number) - value), key).toBeLessThanOrEqual(1e-5 * Math.abs(value) + 1e-9);
  }
}
