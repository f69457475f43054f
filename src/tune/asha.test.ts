/** Trials that are taken up again: who climbs, from which checkpoint, and a kill in the middle. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { disk, faultAtEach } from "../testing/dying-disk.ts";
import { ashaSampler, commandRun, space, type TrialRecord, tune, uniform } from "./index.ts";
import { takeUp } from "./take-up.ts";

vi.mock("node:fs/promises", async (original) => (await import("../testing/dying-disk.ts")).disk.wrap(await original()));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-asha-"));
});
afterAll(() => rm(root, { recursive: true }));

const line = space({ x: uniform(0, 1) });
const climb = ({ values, budget = 0 }: { values: { x: number }; budget?: number }) => values.x + 1 / budget;

test("one after another, it is algorithm 2 of the paper", async () => {
  const sampler = ashaSampler({ minBudget: 1, maxBudget: 9 });
  const { trials, best } = await tune({ space: line, sampler, trials: 40, run: climb });
  // get_job, line by line: rungs of numbers that have ended, and of those that have climbed
  const rungs: { number: number; loss: number }[][] = [[], [], []];
  const promoted = rungs.map(() => new Set<number>());
  for (const { number, values, value = 0, budget, continues } of trials) {
    let job: { from: number | undefined; rung: number } = { from: undefined, rung: 0 };
    for (let k = 1; k >= 0; k--) {
      const candidates = rungs[k].toSorted((a, b) => a.loss - b.loss).slice(0, Math.floor(rungs[k].length / 3));
      const next = candidates.find((each) => !promoted[k].has(each.number));
      if (next === undefined) continue;
      promoted[k].add(next.number);
      job = { from: next.number, rung: k + 1 };
      break;
    }
    expect({ continues, budget }).toEqual({ continues: job.from, budget: 3 ** job.rung });
    if (job.from !== undefined) expect(values).toEqual(trials[job.from].values);
    rungs[job.rung].push({ number, loss: value });
  }
  expect(rungs.every(({ length }) => length > 2)).toBe(true);
  expect(best?.budget).toBe(9);
});

test("several at a time: nobody waits, nobody climbs twice, and what failed or broke a constraint stays", async () => {
  let [running, idle] = [0, 0];
  const run = async (trial: Parameters<typeof climb>[0] & { number: number }) => {
    running++;
    await new Promise((resolve) => setTimeout(resolve, trial.number % 3));
    if (running < 4 && trial.number < 190) idle++;
    running--;
    if (trial.number % 5 === 0) throw new Error("no memory");
    return { value: climb(trial), constraints: { odd: trial.number % 5 === 1 ? 1 : 0 } };
  };
  const sampler = ashaSampler({ maxBudget: 27, reduction: 3 });
  const { trials } = await tune({ space: line, sampler, trials: 200, concurrency: 4, mostFailures: 99, run });
  const climbed = trials.flatMap(({ continues }) => continues ?? []);
  expect(new Set(climbed).size).toBe(climbed.length);
  expect(climbed.length).toBeGreaterThan(10);
  for (const number of climbed) expect(number % 5).toBeGreaterThan(1);
  expect(new Set(trials.map(({ budget }) => budget))).toEqual(new Set([1, 3, 9, 27]));
  expect(idle).toBe(0);
});

test("wrong options are refused", () => {
  expect(() => ashaSampler({ maxBudget: 1, minBudget: 2 })).toThrow(/maxBudget of at least minBudget/);
  expect(() => ashaSampler({ maxBudget: 9, reduction: 1 })).toThrow(/reduction/);
  expect(() => ashaSampler({ maxBudgt: 9 } as never)).toThrow(/did you mean "maxBudget"/);
});

/** All files below a folder with their content. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.map(async (path) => [path.slice(folder.length), await readFile(path, "utf8")] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

test.each(["kill", "ENOSPC"] as const)(
  "%s at every operation of a promotion: the copy is whole, or made anew",
  async (fault) => {
    const [from, to] = [join(root, `${fault}-0`), join(root, `${fault}-1`)];
    await mkdir(join(from, "run", "checkpoint"), { recursive: true });
    await writeFile(join(from, "run", "checkpoint", "model.safetensors"), "weights");
    await writeFile(join(from, "run", "metrics.jsonl"), "{}\n");
    await writeFile(join(from, "output.log"), "printed");
    const whole = await contentOf(from);
    delete whole["/output.log"];
    const promote = () => takeUp({ number: 1, folder: to, continues: { number: 0, folder: from } });
    const operations = await faultAtEach(promote, {
      fault,
      prepare: async () => {
        for (const path of [to, `${to}.tmp`]) await rm(path, { recursive: true, force: true });
      },
      check: async (error) => {
        if (fault === "ENOSPC" && error !== undefined) expect(String(error)).toMatch(/a full disk/);
        await promote();
        expect(await contentOf(to)).toEqual(whole);
        expect(await contentOf(from)).toMatchObject(whole);
      },
    });
    expect(operations.length).toBeGreaterThan(5);
    disk.reset();
    await writeFile(join(to, "run", "metrics.jsonl"), "{}\n{}\n");
    await promote(); // it has gone on since
    expect((await contentOf(to))["/run/metrics.jsonl"]).toBe("{}\n{}\n");
    await expect(
      takeUp({ number: 2, folder: join(root, "x"), continues: { number: 1, folder: join(root, "y") } }),
    ).rejects.toThrow(/trial 2: expected the folder of trial 1, to go on from its checkpoint/);
  },
);

test("a command goes on from the files of the trial before, also when the study was killed while it ran", async () => {
  disk.reset();
  const script = join(root, "train.mjs");
  await writeFile(
    script,
    `import { appendFileSync, existsSync, readFileSync } from "node:fs";
    const [folder, x, budget] = process.argv.slice(2);
    const file = folder + "/metrics.jsonl";
    const done = existsSync(file) ? readFileSync(file, "utf8").split("\\n").length - 1 : 0;
    console.log("from " + done);
    for (let step = done + 1; step <= budget; step++)
      appendFileSync(file, JSON.stringify({ step, loss: Number(x) + 1 / step }) + "\\n");`,
  );
  const store = join(root, "resumed");
  const run = commandRun(line, {
    command: [process.execPath, script, "{folder}", "{x}", "{budget}"],
    ...{ metric: "loss", keepsFolder: true, copiesFolder: true },
  });
  const study = () => tune({ space: line, sampler: ashaSampler({ maxBudget: 9 }), trials: 13, store, run });
  const folderOf = (number: number) => join(store, "trials", String(number).padStart(4, "0"));
  const begun = async ({ number }: { number: number }) => {
    const output = await readFile(join(folderOf(number), "output.log"), "utf8");
    return Number(/^from (\d+)/.exec(output)?.[1]);
  };
  const facts = (trials: readonly object[]) =>
    (trials as readonly TrialRecord[]).map(({ values, value, budget, continues, reports }) => ({
      ...{ values, value, budget, continues, reports },
    }));
  const { trials } = await study();
  const promoted = trials.filter(({ continues }) => continues !== undefined);
  expect(promoted.map(({ budget }) => budget).sort()).toEqual([3, 3, 3, 9]);
  for (const trial of trials) {
    expect(trial.reports.map(({ step }) => step)).toEqual(
      Array.from({ length: trial.budget as number }, (_, i) => i + 1),
    );
    expect(await begun(trial)).toBe(trial.continues === undefined ? 0 : (trial.budget as number) / 3);
  }
  // killed behind the beginning of the last promotion, with half a copy
  const last = promoted.at(-1)?.number as number;
  const path = join(store, "trials.jsonl");
  const lines = (await readFile(path, "utf8")).split("\n");
  const at = lines.findIndex((each) => each.startsWith(`{"type":"start","trial":${last},`));
  await writeFile(path, `${lines.slice(0, at + 1).join("\n")}\n`);
  for (let number = last; number < trials.length; number++) await rm(folderOf(number), { recursive: true });
  await mkdir(`${folderOf(last)}.tmp`);
  await writeFile(join(`${folderOf(last)}.tmp`, "metrics.jsonl"), '{"st');
  const again = await study();
  expect(again.trials[last].attempts).toBe(2);
  expect(facts(again.trials)).toEqual(facts(trials));
  expect(await begun({ number: last })).toBeGreaterThan(0);
}, 60_000);
