/** Trials in processes: what comes back, and that nothing of them is left, however they or the study end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  commandRun,
  halvingSampler,
  integer,
  medianPruner,
  moduleRun,
  randomSampler,
  readStudy,
  space,
  type TuneOptions,
  tune,
  uniform,
  when,
} from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const line = space({ x: uniform(-1, 1), n: integer(1, 2) });
const sampler = randomSampler({ seed: 1 });
const moduleOf = async (name: string, body: string): Promise<URL> => {
  const path = join(root, `${name}.mjs`);
  await writeFile(path, body);
  return pathToFileURL(path);
};
const script = async (name: string, body: string) => [process.execPath, (await moduleOf(name, body)).pathname];
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
/** Waits until a process has gone: a zombie of a killed parent is collected by the system. */
async function gone(pid: number): Promise<void> {
  for (let i = 0; i < 200 && isAlive(pid); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  expect(isAlive(pid), `process ${pid}`).toBe(false);
}
/** Starts a process that would live for ever, and writes its id into the trial's folder. */
const ENDLESS = `
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
const endless = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
const keepPid = (folder) => writeFileSync(folder + "/pid", String(endless.pid));
`;
const pidOf = async (folder: string) => Number(await readFile(join(folder, "pid"), "utf8"));
const folderOf = (store: string, number = 0) => join(store, "trials", String(number).padStart(4, "0"));

describe("modules", () => {
  test("values go there, reports and results come back, and each trial has a process", async () => {
    const module = await moduleOf(
      "good",
      `export default async (trial) => {
        await trial.report(1, trial.values.x);
        return { value: trial.values.x * trial.values.n, metrics: { pid: process.pid, threads: Number(process.env.OMP_NUM_THREADS) } };
      };`,
    );
    const { trials } = await tune({ space: line, sampler, trials: 4, concurrency: 2, run: moduleRun(module) });
    for (const { values, value, reports } of trials) {
      expect(value).toBe(values.x * values.n);
      expect(reports).toEqual([{ step: 1, value: values.x }]);
    }
    expect(new Set(trials.map(({ metrics }) => metrics?.pid)).size).toBe(4);
    expect(trials[0].metrics?.threads).toBeGreaterThanOrEqual(1);
  });

  test("what throws, dies or is no function is a failed trial", async () => {
    const module = await moduleOf(
      "bad",
      `export default ({ number }) => {
        if (number === 0) throw new RangeError("too long");
        if (number === 1) { console.error("out of memory"); process.exit(3); }
        if (number === 2) process.kill(process.pid, "SIGKILL");
        return 1;
      };`,
    );
    const { trials } = await tune({ space: line, sampler, trials: 4, run: moduleRun(module) });
    expect(trials.map(({ error }) => error)).toEqual([
      "RangeError: too long",
      "Error: the process of the trial ended with code 3; its last output: out of memory",
      "Error: the process of the trial was killed by SIGKILL",
      undefined,
    ]);
    const empty = await moduleOf("empty", "export const x = 1;");
    const run = moduleRun(empty);
    expect((await tune({ space: line, trials: 1, run })).trials[0].error).toMatch(
      /has no function as its default export/,
    );
  });

  test("a pruner's word reaches the process", async () => {
    const module = await moduleOf(
      "pruned",
      `export default async (trial) => {
        for (let step = 1; step <= 5; step++) {
          await trial.report(step, trial.number);
          if (trial.shouldPrune) trial.prune();
        }
        return trial.number;
      };`,
    );
    const pruner = medianPruner({ startupTrials: 1, warmupSteps: 2 });
    const { trials } = await tune({ space: line, trials: 2, pruner, run: moduleRun(module) });
    expect(trials[1]).toMatchObject({ state: "pruned", reports: { length: 2 } });
  });

  test("what a trial leaves behind ends with it, and one that is late is killed with all it started", async () => {
    const module = await moduleOf(
      "leaving",
      `${ENDLESS}export default (trial) => { keepPid(trial.folder); return trial.number === 0 ? 1 : new Promise(() => setInterval(() => {}, 1000)); };`,
    );
    const store = join(root, "leaving");
    const run = moduleRun(module, { graceMs: 100 });
    const { trials } = await tune({ space: line, trials: 2, store, trialTimeoutMs: 2000, run });
    expect(trials.map(({ state }) => state)).toEqual(["complete", "failed"]);
    expect(trials[1].error).toMatch(/it took longer than 2 s/);
    for (const number of [0, 1]) await gone(await pidOf(folderOf(store, number)));
  });

  test("a study that is aborted ends its trials, and begins them again", async () => {
    const module = await moduleOf(
      "aborted",
      `${ENDLESS}export default (trial) => {
        keepPid(trial.folder);
        if (trial.attempt > 1) return 5;
        return new Promise((_, reject) => trial.signal.addEventListener("abort", () => reject(trial.signal.reason)));
      };`,
    );
    const store = join(root, "aborted");
    const options: TuneOptions<typeof line> = { space: line, trials: 2, concurrency: 2, store, run: moduleRun(module) };
    const controller = new AbortController();
    const study = tune({ ...options, signal: controller.signal });
    for (const number of [0, 1])
      await expect.poll(() => pidOf(folderOf(store, number)).catch(() => 0)).toBeGreaterThan(0);
    const pids = await Promise.all([0, 1].map((number) => pidOf(folderOf(store, number))));
    controller.abort();
    const { trials, stopReason } = await study;
    expect([stopReason, ...trials.map(({ state }) => state)]).toEqual(["aborted", "running", "running"]);
    for (const pid of pids) await gone(pid);
    const again = await tune(options);
    expect(again.trials.map(({ value, attempts }) => [value, attempts])).toEqual([
      [5, 2],
      [5, 2],
    ]);
  });
});

describe("commands", () => {
  const METRICS = `
import { appendFileSync, mkdirSync } from "node:fs";
const [folder, x] = process.argv.slice(2);
const add = (line) => appendFileSync(folder + "/metrics.jsonl", line);
`;

  test("lines of metrics.jsonl are reports, and the last, smallest or largest is the value", async () => {
    const command = await script(
      "train",
      `${METRICS}
      add('{"step":1,"loss":9}\\n{"step":1,"validationLoss":3,"metrics":{"accuracy":0.1}}\\n{"step":2,"valida');
      await new Promise((resolve) => setTimeout(resolve, 500));
      add('tionLoss":1,"metrics":{"accuracy":0.2}}\\nno JSON\\n{"step":3,"validationLoss":2,"metrics":{"accuracy":0.3}}');`,
    );
    const run = (value: "last" | "smallest", metric = "validationLoss") =>
      tune({
        space: line,
        trials: 1,
        run: commandRun(line, { command: [...command, "{folder}", "{x}"], metric, value }),
      });
    const { trials } = await run("last");
    expect(trials[0]).toMatchObject({ value: 2, metrics: { accuracy: 0.3 } });
    expect(trials[0].reports).toEqual([3, 1, 2].map((value, i) => ({ step: i + 1, value })));
    expect((await run("smallest")).best).toMatchObject({ value: 1, metrics: { accuracy: 0.2 } });
    expect((await run("last", "metrics.accuracy")).best?.value).toBe(0.3);
    expect((await run("last", "f1")).trials[0].error).toMatch(/expected lines of JSON with "f1"; received none/);
  });

  test("places of a command have the trial's values", async () => {
    const parameters = space({ kind: integer(1, 2), "model.width": integer(4, 8), m: when("kind", 2, uniform(0, 1)) });
    const command = await script("places", `console.log(JSON.stringify({ loss: 1, words: process.argv.slice(2) }));`);
    const words = ["--kind={kind}", "--m={m}", "{overrides}", "{trial}/{threads}", "{budget}", "{continues}"];
    const store = join(root, "places");
    const { trials } = await tune({
      space: parameters,
      sampler: halvingSampler({ minBudget: 1, maxBudget: 2, reduction: 2, candidates: 4 }),
      store,
      run: commandRun(parameters, {
        command: [...command, ...words],
        metric: "loss",
        metricsFile: "{folder}/output.log",
      }),
    });
    for (const { number, values, budget, continues } of trials) {
      const output = JSON.parse(await readFile(join(folderOf(store, number), "output.log"), "utf8"));
      expect(output.words).toEqual([
        `--kind=${values.kind}`,
        ...(values.m === undefined ? [] : [`--m=${values.m}`]),
        ...Object.entries(values).map(([name, value]) => `${name}=${value}`),
        expect.stringMatching(`^${number}/\\d+$`),
        String(budget),
        ...(continues === undefined ? [] : [folderOf(store, continues)]),
      ]);
    }
    expect(new Set(trials.map(({ values }) => "m" in values))).toEqual(new Set([true, false]));
    const mistake = () => commandRun(parameters, { command: ["x", "{modl.width}"], metric: "loss" });
    expect(mistake).toThrow(/did you mean \{model.width\}\?/);
  });

  test("one that fails, or is not there, is a failed trial with its last output", async () => {
    const command = await script("failing", `console.error("no such dataset"); process.exit(2);`);
    const error = async (words: string[]) =>
      (await tune({ space: line, trials: 1, run: commandRun(line, { command: words, metric: "loss" }) })).trials[0]
        .error;
    expect(await error(command)).toMatch(/the command ended with code 2; its last output: no such dataset$/);
    expect(await error(["no-such-program"])).toMatch(/ENOENT/);
  });

  test("one that is pruned is killed with all it started", async () => {
    const command = await script(
      "endless",
      `${METRICS}${ENDLESS}keepPid(folder);
      add('{"step":1,"loss":' + (folder.endsWith("0000") ? 1 : 2) + '}\\n');
      if (folder.endsWith("0000")) process.exit(0);`,
    );
    const store = join(root, "pruned");
    const run = commandRun(line, { command: [...command, "{folder}"], metric: "loss" });
    const { trials } = await tune({ space: line, trials: 2, store, pruner: medianPruner({ startupTrials: 1 }), run });
    expect(trials.map(({ state }) => state)).toEqual(["complete", "pruned"]);
    for (const number of [0, 1]) await gone(await pidOf(folderOf(store, number)));
  });

  test("nothing is left when the process of the study is killed, and the study goes on", async () => {
    const store = join(root, "orphans");
    const [, endless] = await script("orphan", `${METRICS}${ENDLESS}keepPid(folder); add('{"step":1,"loss":1}\\n');`);
    const built = (name: string) => JSON.stringify(new URL(`../../dist/tune/${name}`, import.meta.url).href);
    const body = `
      import { commandRun, space, tune, uniform } from ${built("index.js")};
      const line = space({ x: uniform(0, 1) });
      const run = commandRun(line, { command: [process.execPath, ${JSON.stringify(endless)}, "{folder}"], metric: "loss" });
      await tune({ space: line, trials: 2, concurrency: 2, store: ${JSON.stringify(store)}, run });`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", body], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    for (const number of [0, 1])
      await expect.poll(() => pidOf(folderOf(store, number)).catch(() => 0), { timeout: 20_000 }).toBeGreaterThan(0);
    const pids = await Promise.all([0, 1].map((number) => pidOf(folderOf(store, number))));
    expect(pids.map(isAlive)).toEqual([true, true]);
    parent.kill("SIGKILL");
    await once(parent, "exit");
    for (const pid of pids) await gone(pid);
    expect((await readStudy(store)).trials.map(({ state }) => state)).toEqual(["running", "running"]);
    const other = space({ x: uniform(0, 1) });
    const { trials } = await tune({ space: other, trials: 2, store, run: ({ attempt }) => attempt });
    expect(trials.map(({ value }) => value)).toEqual([2, 2]);
  });

  test("the folder of a trial that is begun again is empty, unless it is to be kept", async () => {
    const store = join(root, "again");
    const stop = ({ signal }: { signal: AbortSignal }) =>
      new Promise<number>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    for (const keepsFolder of [true, false]) {
      await rm(store, { recursive: true, force: true });
      await tune({ space: line, trials: 1, store, run: stop, timeoutMs: 20 });
      await mkdir(folderOf(store), { recursive: true });
      await writeFile(join(folderOf(store), "checkpoint"), "5");
      const command = await script(
        "resuming",
        `${METRICS}import { existsSync } from "node:fs";
        add(JSON.stringify({ step: 1, loss: existsSync(folder + "/checkpoint") ? 1 : 0 }));`,
      );
      const run = commandRun(line, { command: [...command, "{folder}"], metric: "loss", keepsFolder });
      expect((await tune({ space: line, trials: 1, store, run })).best?.value).toBe(keepsFolder ? 1 : 0);
    }
  });
});
