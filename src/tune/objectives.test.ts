/** Studies of several objectives: the Pareto front beside Optuna's (golden/tune.json), and what is kept and shown. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import golden from "../../golden/tune.json" with { type: "json" };
import {
  type Direction,
  integer,
  paretoFront,
  randomSampler,
  readStudy,
  space,
  studyPage,
  type Trial,
  type TrialRecord,
  type TrialResult,
  tune,
  uniform,
} from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-objectives-"));
});
afterAll(() => rm(root, { recursive: true }));

test.each(golden.fronts.map((each, i) => [i, each] as const))("front %i is Optuna's best_trials", (_, each) => {
  const [direction, ...others] = each.directions as Direction[];
  const objectives = Object.fromEntries(others.map((other, i) => [`m${i}`, other]));
  const trials = each.trials.map((trial, number): TrialRecord => {
    const { state, values, constraint } = trial as { state: string; values?: number[]; constraint?: number };
    const [value, ...rest] = values ?? [];
    return {
      ...{ number, state: state as TrialRecord["state"], values: {}, attempts: 1, reports: [], startTime: 0 },
      ...(value !== undefined && { value }),
      metrics: Object.fromEntries(rest.map((metric, i) => [`m${i}`, metric])),
      ...(constraint !== undefined && { constraints: { limit: constraint } }),
    };
  });
  expect(paretoFront({ trials, direction, objectives }).map(({ number }) => number)).toEqual(each.best);
});

const model = space({ width: integer(1, 64), noise: uniform(0, 1) });
const run = ({ number, values: { width, noise } }: Trial<typeof model>): TrialResult => ({
  value: 1 / width + noise,
  metrics: number === 3 ? { accuracy: 1 } : { latencyMs: 2 * width + 40 * noise },
});
const study = (options: object = {}) =>
  tune({
    ...{ space: model, sampler: randomSampler({ seed: 2 }), trials: 30, run },
    objectives: { latencyMs: "minimize" },
    ...options,
  });

test("the front is kept, shown on the page, and other objectives are refused", async () => {
  const store = join(root, "store");
  const { front, best, trials } = await study({ store });
  expect(front.length).toBeGreaterThan(2);
  expect(front).toContainEqual(best);
  for (const { value, metrics } of front) {
    const better = trials.filter(
      (other) =>
        other.state === "complete" &&
        (other.value as number) < value &&
        (other.metrics?.latencyMs as number) < (metrics?.latencyMs as number),
    );
    expect(better).toEqual([]);
  }
  expect(trials[3]).toMatchObject({
    state: "failed",
    error:
      "run: expected a finite metric for each objective; received latencyMs is not there. Fix: return { value, metrics } with all of them.",
  });
  const stored = await readStudy(store);
  expect(stored.objectives).toEqual({ latencyMs: "minimize" });
  expect(paretoFront(stored)).toEqual(front);
  const page = studyPage(stored);
  expect(page).toContain("The value over latencyMs, to minimize: the Pareto front");
  expect(page.match(/class="dot front"/g)).toHaveLength(front.length);
  expect(page.match(/<td>yes<\/td>/g)).toHaveLength(front.length);
  await expect(study({ store, objectives: undefined })).rejects.toThrow(
    'objectives: expected {"latencyMs":"minimize"}, as the study has them; received {}',
  );
});

test("without objectives the front is the best trial; directions are checked", async () => {
  const { front, best } = await study({ objectives: undefined });
  expect(front).toEqual([best]);
  await expect(study({ objectives: { latencyMs: "less" } })).rejects.toThrow(
    'minimize or maximize for each name of objectives; received {"latencyMs":"less"}',
  );
});
