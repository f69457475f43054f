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
