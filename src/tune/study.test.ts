/** Studies: what is kept of trials, what ends them, and a kill at every moment. */
import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { disk, faultAtEach } from "../testing/dying-disk.ts";
import {
  gridSampler,
  integer,
  medianPruner,
  randomSampler,
  readStudy,
  space,
  type Trial,
  type TuneOptions,
  tpeSampler,
  tune,
  uniform,
} from "./index.ts";

vi.mock("node:fs/promises", async (original) => (await import("../testing/dying-disk.ts")).disk.wrap(await original()));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const line = space({ x: uniform(-2, 2), n: integer(1, 3) });
type LineTrial = Trial<typeof line>;
const parabola = async (trial: LineTrial) => {
  const { x, n } = trial.values;
  await trial.report(1, 2 * x * x);
  return x * x + n;
};
const study = (options: Partial<TuneOptions<typeof line>> = {}) =>
  tune({ space: line, sampler: randomSampler({ seed: 4 }), trials: 5, run: parabola, ...options });
const facts = ({ trials }: Awaited<ReturnType<typeof study>>) =>
  trials.map(({ number, state, values, value, reports, error }) => ({ number, state, values, value, reports, error }));

test("the best trial, its types, and the same again for the same seed", async () => {
  const { best, trials, stopReason } = await study({ trials: 30, sampler: tpeSampler({ seed: 1 }) });
  const x: number = best?.values.x as number;
  expect(best?.value).toBe(Math.min(...trials.map(({ value }) => value as number)));
  expect(best?.value).toBe(x * x + (best?.values.n as number));
  expect(stopReason).toBe("trials");
  const again = await study({ trials: 30, sampler: tpeSampler({ seed: 1 }) });
  expect(again.trials.map(({ values }) => values)).toEqual(trials.map(({ values }) => values));
  const most = await study({ direction: "maximize" });
  expect(most.best?.value).toBe(Math.max(...most.trials.map(({ value }) => value as number)));
});

test("failed trials are recorded, up to a limit", async () => {
  const run = ({ number }: LineTrial) => {
    if (number === 1) throw new TypeError("x is not a function");
    return number === 2 ? Number.NaN : number;
  };
  const { trials, best } = await study({ run });
  expect(trials.map(({ state }) => state)).toEqual(["complete", "failed", "failed", "complete", "complete"]);
  expect(trials[1].error).toBe("TypeError: x is not a function");
  expect(trials[2].error).toMatch(/^run: expected a finite number; received value NaN/);
  expect(best?.number).toBe(0);
  await expect(study({ run, mostFailures: 1 })).rejects.toThrow(
    /at most 1 failed trials; received 2, the last with: run/,
  );
});

test("constraints keep a trial from being the best, and metrics are kept", async () => {
  const run = ({ values: { x } }: LineTrial) => ({ value: x, constraints: { above: -x }, metrics: { twice: 2 * x } });
  const { trials, best } = await study({ trials: 20, run });
  expect(best?.value).toBe(Math.min(...trials.map(({ value }) => value as number).filter((value) => value >= 0)));
  expect(best?.metrics).toEqual({ twice: 2 * (best?.value as number) });
});

test("pruned trials have no value", async () => {
  const run = async (trial: LineTrial) => {
    for (let step = 0; step < 4; step++) {
      await trial.report(step, trial.number);
      if (trial.shouldPrune) trial.prune();
    }
    return trial.number;
  };
  const { trials } = await study({ run, pruner: medianPruner({ startupTrials: 2, warmupSteps: 2 }) });
  expect(trials.map(({ state }) => state)).toEqual(["complete", "complete", "pruned", "pruned", "pruned"]);
  expect(trials[2].reports).toEqual([0, 1, 2].map((step) => ({ step, value: 2 })));
  expect(trials[2].value).toBeUndefined();
});

test("as many run at a time as there may, with their share of the cores", async () => {
  let [running, most] = [0, 0];
  const run = async ({ threads }: LineTrial) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    return threads;
  };
  const { trials } = await study({ trials: 9, concurrency: 4, run });
  expect(most).toBe(4);
  expect(trials).toHaveLength(9);
  expect(trials[0].value).toBeGreaterThanOrEqual(1);
});

test("a target, patience, the time and a signal end it", async () => {
  const counting = ({ number }: LineTrial) => 10 - number;
  expect(await study({ run: counting, target: 8 })).toMatchObject({ stopReason: "target", trials: { length: 3 } });
  const rising = ({ number }: LineTrial) => number;
  expect(await study({ run: counting, trials: 9, patience: 2 })).toMatchObject({ trials: { length: 9 } });
  expect(await study({ run: rising, patience: 2 })).toMatchObject({ stopReason: "patience", trials: { length: 3 } });
  const waiting = ({ number, signal }: LineTrial) =>
    number < 2
      ? number
      : new Promise<number>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const late = await study({ run: waiting, timeoutMs: 50 });
  expect(late.stopReason).toBe("time");
  expect(late.trials.map(({ state }) => state)).toEqual(["complete", "complete", "running"]);
  const slow = await study({ run: waiting, trials: 3, trialTimeoutMs: 20 });
  expect(slow.trials[2]).toMatchObject({ state: "failed", error: "Error: it took longer than 0.02 s" });
  const controller = new AbortController();
  const onEvent = ({ trial }: { trial: { number: number } }) => trial.number === 2 && controller.abort();
  expect(await study({ run: waiting, signal: controller.signal, onEvent })).toMatchObject({ stopReason: "aborted" });
  expect(await study({ signal: AbortSignal.abort() })).toMatchObject({ stopReason: "aborted", trials: [] });
});

test("a stored study goes on where it was, with more trials or another sampler, but not with another space", async () => {
  const store = join(root, "stored");
  const first = await study({ store, trials: 3 });
  const second = await study({ store, trials: 5, sampler: tpeSampler() });
  expect(facts(second).slice(0, 3)).toEqual(facts(first));
  expect(second.trials).toHaveLength(5);
  expect((await readStudy(store)).trials).toEqual(second.trials);
  expect((await study({ store, run: () => Promise.reject(new Error("not called")) })).trials).toHaveLength(5);
  await expect(tune({ ...{ store, run: () => 1 }, space: space({ x: uniform(-2, 3) }) })).rejects.toThrow(
    /stored: x: expected .*"high":2.*, as the study has it; received .*"high":3/,
  );
  await expect(study({ store, direction: "maximize" })).rejects.toThrow(/to minimize, as the study does/);
  await expect(readStudy(join(root, "none"))).rejects.toThrow(/a study \(study.json\); received none/);
});

test("numbers that JSON has not are kept, and a sampler that throws ends the study", async () => {
  const store = join(root, "not-finite");
  const run = async (trial: LineTrial) => {
    await trial.report(1, Number.POSITIVE_INFINITY);
    await trial.report(2, Number.NaN);
    return { value: 1, metrics: { ratio: Number.NEGATIVE_INFINITY } };
  };
  const { trials } = await study({ store, trials: 1, run });
  expect((await readStudy(store)).trials).toEqual(trials);
  expect(trials[0].metrics).toEqual({ ratio: Number.NEGATIVE_INFINITY });
  const propose = ({ number }: { number: number }) => {
    if (number === 1) throw new Error("no idea");
    return { values: { x: 1, n: 1 } };
  };
  await expect(study({ concurrency: 2, sampler: { name: "faulty", propose } })).rejects.toThrow("no idea");
});

test("two do not run it at once", async () => {
  const store = join(root, "locked");
  let refusal: unknown;
  const run = async () => {
    refusal ??= await study({ store }).catch((error) => error);
    return 1;
  };
  await study({ store, run });
  expect(String(refusal)).toMatch(/a study that no other process goes on with; received this process, which runs it/);
});

test("killed at every operation of the disk, it goes on and comes to the same", async () => {
  const store = join(root, "killed");
  const whole = facts(await study());
  const operations = await faultAtEach(() => study({ store }), {
    prepare: async () => {
      await rm(store, { recursive: true, force: true });
      await rm(`${store}.lock`, { recursive: true, force: true });
    },
    check: async () => {
      await rm(`${store}.lock`, { recursive: true, force: true }); // a killed process leaves it; this one lives
      expect(facts(await study({ store }))).toEqual(whole);
      expect(facts((await readStudy(store)) as never)).toEqual(whole);
    },
  });
  expect(operations.length).toBeGreaterThan(8);
});

test("cut at every byte, it goes on and comes to the same", async () => {
  disk.reset();
  const store = join(root, "cut");
  const whole = await study({ store, trials: 3 });
  const path = join(store, "trials.jsonl");
  const { length } = await readFile(path);
  await copyFile(path, `${path}.whole`);
  for (let bytes = 0; bytes < length; bytes += 3) {
    await copyFile(`${path}.whole`, path);
    await truncate(path, bytes);
    expect(facts(await study({ store, trials: 3 }))).toEqual(facts(whole));
  }
});

test("a full disk ends it with its reason, and it goes on when there is room", async () => {
  const store = join(root, "full");
  const work = () => study({ store });
  await faultAtEach(work, {
    fault: "ENOSPC",
    prepare: () => rm(store, { recursive: true, force: true }),
    check: async (error) => {
      if (error !== undefined) expect(String(error)).toMatch(/a full disk/);
      expect(facts(await work())).toEqual(facts(await study()));
    },
  });
});

test("damage that no kill leaves is told with its line", async () => {
  disk.reset();
  const store = join(root, "damaged");
  await study({ store, trials: 2 });
  const path = join(store, "trials.jsonl");
  const text = await readFile(path, "utf8");
  const lines = text.split("\n");
  await writeFile(path, lines.with(1, '{"type":"report"').join("\n"));
  await expect(study({ store })).rejects.toThrow(/trials.jsonl:2: expected an event/);
  await writeFile(path, `${text}\0\0\0\n`); // a power cut may
  expect((await study({ store, trials: 2 })).trials).toHaveLength(2);
  await writeFile(path, [...lines.slice(1)].join("\n"));
  await expect(study({ store })).rejects.toThrow(/trial 0: expected events in the order/);
});

test("a trial that ran in three stopped studies is not begun a fourth time", async () => {
  const store = join(root, "fatal");
  const attempts: number[] = [];
  const run = ({ attempt, signal }: LineTrial) => {
    attempts.push(attempt);
    return new Promise<number>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  for (let i = 0; i < 3; i++) await study({ store, trials: 1, run, timeoutMs: 20 });
  const { trials } = await study({ store, trials: 1, run });
  expect(attempts).toEqual([1, 2, 3]);
  expect(trials[0]).toMatchObject({ state: "failed", error: "the study was stopped 3 times while it ran" });
});

test.each([
  [{ trial: 3 }, /did you mean "trials"/],
  [{ trials: 0 }, /trials to be a positive integer/],
  [{ concurrency: 1.5 }, /concurrency to be a positive integer/],
  [{ direction: "down" }, /direction minimize or maximize; received "down"/],
])("options that cannot be are refused: %j", async (options, message) =>
  expect(study(options as object)).rejects.toThrow(message),
);

test("a grid ends by itself", async () => {
  expect(await study({ sampler: gridSampler({ points: 2 }), trials: 9 })).toMatchObject({ stopReason: "exhausted" });
});
