/** `kindling tune` as users run it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE } from "../testing/built-program.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "text.txt"), TALE);
  await writeFile(
    join(folder, "trial.mjs"),
    `export default async (trial) => {
      await trial.report(1, trial.values.x);
      await new Promise((resolve) => setTimeout(resolve, trial.values.x < 0 ? 60_000 : 0));
      return (trial.values.x - 1) ** 2;
    };`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

const run = (...args: string[]) => runProgram(["tune", ...args], { folder });
const write = (name: string, text: string) => writeFile(join(folder, name), text);

test("a study of a module, what it has come to, and more of it", async () => {
  await write(
    "line.yaml",
    "space: { x: { type: float, low: 0, high: 2 } }\nrun: trial.mjs\ntrials: 4\nconcurrency: 2\n",
  );
  const plan = await run("line.yaml", "--dry-run");
  expect(plan.output).toMatch(/^study +line, in studies.line\n/);
  expect(plan.output).toMatch(/^trials +4 in all, 2 at a time, \d+ threads each$/m);
  expect(plan.output).toMatch(/^space +x: float \{"low":0,"high":2\}$/m);
  const first = await run("line.yaml");
  expect(first).toMatchObject({ code: 0, errors: "" });
  expect(first.output).toMatch(/all trials are done: 4 trials \(4 complete\)\nbest: [\d.e-]+, trial \d\nx=[\d.]+\n/);
  const more = await run("line.yaml", "--trials", "6");
  expect(more.output).toMatch(/6 trials \(6 complete\)/);
  expect((await run("line.yaml", "--dry-run")).output).toContain("which has 6 trials");
  const store = join("studies", "line");
  const best = await run("best", store);
  expect(best.output).toMatch(/^x=[\d.]+\n$/);
  expect(JSON.parse((await run("best", store, "--json")).output)).toMatchObject({ state: "complete" });
  const shown = await run("show", store, "--limit", "2");
  expect(shown.output).toMatch(/^trial +value +state +values\n +\d +[\d.e-]+ +complete +x=/);
  expect(shown.output).toContain(best.output.trim());
  expect(shown.output).toContain("and 4 more");
  expect((await run("export", store)).output.split("\n")).toHaveLength(8);
  expect(JSON.parse((await run("export", store, "--format", "json")).output).trials).toHaveLength(6);
  expect((await run("ui", store, "--html", "page.html")).output).toBe("wrote page.html\n");
  expect(await readFile(join(folder, "page.html"), "utf8")).toContain("<h2>Trials</h2>");
});

test("Ctrl-C ends the trials at once, and the same command begins them again", async () => {
  await write("slow.yaml", "space: { x: { type: float, low: -2, high: -1 } }\nrun: trial.mjs\ntrials: 1\n");
  let isSent = false;
  const { code, output } = await runProgram(["tune", "slow.yaml"], {
    folder,
    onOutput: ({ all }, child) => {
      if (isSent || !/running: 0/.test(all)) return;
      isSent = true;
      setTimeout(() => child.kill("SIGINT"), 500);
    },
  });
  expect(code).toBe(130);
  expect(output).toMatch(/stopped: 1 trials \(1 to be begun again\)\nto go on: node .*main\.js tune slow\.yaml\n/);
  await write("trial.mjs", "export default ({ attempt }) => attempt;");
  expect((await run("slow.yaml")).output).toMatch(/best: 2, trial 0/);
});

test("trainings are trials: their validation losses are reports, and bad ones are ended", async () => {
  const options = "--tokenizer char --context 16 --width 32 --layers 1 --heads 2 --batch 4 --steps 40 --eval-every 10";
  await write(
    "gpt.yaml",
    `space: { rate: { type: float, low: 1e-4, high: 0.1, log: true } }
sampler: { type: grid, points: 3 }
pruner: { type: asha, minBudget: 10, reduction: 2 }
command: kindling train --text text.txt --lr {rate} ${options} --runs {folder} --name run
metric: validationLoss
metricsFile: "{folder}/run/metrics.jsonl"
`,
  );
  const { code, all } = await run("gpt.yaml");
  expect(code, all).toBe(0);
  const { trials } = JSON.parse((await run("export", join("studies", "gpt"), "--format", "json")).output);
  expect(trials.map(({ values }: { values: { rate: number } }) => values.rate.toFixed(4))).toEqual([
    "0.0001",
    "0.0032",
    "0.1000",
  ]);
  const complete = trials.filter(({ state }: { state: string }) => state === "complete");
  expect(complete.length).toBeGreaterThan(0);
  for (const { reports, value } of complete) {
    expect(reports.map(({ step }: { step: number }) => step)).toEqual([10, 20, 30, 40]);
    expect(value).toBe(reports.at(-1).value);
  }
}, 240_000);

test("a config is tuned by two objectives, and the better trainings go on from their checkpoints", async () => {
  const rows = Array.from({ length: 24 }, (_, i) => ({ text: `a ${"very ".repeat(i % 5)}long tale ${i}` }));
  await write("rows.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await write(
    "train.yaml",
    `method: pretrain
model: { new: { model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 32 } }
tokenizer: { train: char }
data: { train: rows.jsonl, maxLength: 16, validationShare: 0.2 }
schedule: { name: constant }
training: { batchSize: 2 }
evaluation: { interval: 2 }
`,
  );
  await write(
    "asha.yaml",
    `space: { optimizer.learningRate: { type: float, low: 1.0e-4, high: 0.1, log: true } }
sampler: { type: asha, minBudget: 2, maxBudget: 4, reduction: 2, sampler: { type: random, seed: 3 } }
config: train.yaml
budget: training.steps
metric: validationLoss
objectives: { perplexity: minimize }
trials: 3
`,
  );
  expect((await run("asha.yaml", "--dry-run")).output).toMatch(/^goal +minimize the value, minimize perplexity$/m);
  const { code, all } = await run("asha.yaml");
  expect(code, all).toBe(0);
  expect(all).toMatch(/the Pareto front of the value and perplexity: 1 trials\ntrial +value +perplexity +state/);
  const { trials } = JSON.parse((await run("export", join("studies", "asha"), "--format", "json")).output);
  const [last] = trials.slice(-1);
  expect(trials.map(({ budget }: { budget: number }) => budget)).toEqual([2, 2, 4]);
  expect(last.reports.map(({ step }: { step: number }) => step)).toEqual([2, 4]);
  expect(last.reports[0].value).toBe(trials[last.continues].value);
  const folder0 = join(folder, "studies", "asha", "trials", "0002");
  expect(await readFile(join(folder0, "output.log"), "utf8")).toContain("resumed at step 2");
  const metrics = (await readFile(join(folder0, "run", "metrics.jsonl"), "utf8")).trim().split("\n");
  const steps = metrics.flatMap((line) => ("loss" in JSON.parse(line) ? [JSON.parse(line).step] : []));
  expect(steps).toEqual([1, 2, 3, 4]);
  const shown = await run("show", join("studies", "asha"));
  expect(shown.output).toMatch(/^the Pareto front of the value and perplexity: 1 trials\n/);
}, 120_000);

test("mistakes are told", async () => {
  await write("wrong.yaml", "space: { x: { type: flot, low: 0, high: 1 } }\nrun: trial.mjs\n");
  expect(await run("wrong.yaml")).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/^error: wrong\.yaml: space: x|space: x/m),
  });
  expect(await run("none.yaml")).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/none\.yaml: expected a study in YAML/),
  });
  expect(await run("show", "none")).toMatchObject({ code: 1, errors: expect.stringMatching(/none: expected a study/) });
  await write("missing.yaml", "space: { x: [1, 2] }\nrun: missing.mjs\nmostFailures: 0\n");
  expect(await run("missing.yaml")).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/at most 0 failed trials; received 1.*missing\.mjs/s),
  });
});
