import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readSafetensors, WriteError } from "../../files/index.ts";
import { faultAtEach } from "../../testing/dying-disk.ts";
import { defaultRunConfig, findCheckpoint, finishedModel, type RunConfig } from "../../train/index.ts";
import { runTraining, type TextRunHooks } from "../index.ts";

vi.mock("node:fs/promises", async (original) =>
  (await import("../../testing/dying-disk.ts")).disk.wrap(await original()),
);
vi.mock("../../train/step.ts", () => import("../../testing/fake-step.ts"));
vi.mock("../../train/evaluation.ts", () => import("../../testing/fake-step.ts"));

let root: string;
let config: RunConfig;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  const text = join(root, "text.txt");
  await writeFile(text, "the cat sat on the mat and the dog sat on the log. ".repeat(10));
  const sizes = { contextLength: 8, hiddenSize: 4, numLayers: 1, numHeads: 1, batchSize: 2, warmupSteps: 1 };
  config = {
    ...defaultRunConfig,
    ...sizes,
    text,
    tokenizer: "char",
    steps: 2,
    evaluationInterval: 1,
    checkpointInterval: 1,
  };
});
afterAll(() => rm(root, { recursive: true }));

const folder = () => join(root, "runs", "my");
const clear = () => rm(join(root, "runs"), { recursive: true, force: true });
async function run(hooks: TextRunHooks = {}, changes: Partial<RunConfig> = {}) {
  const events = [];
  for await (const event of runTraining(folder(), { ...config, ...changes }, hooks)) events.push(event);
  return events;
}
/** The killed process was this one: its entry in the lock becomes that of another that is gone. */
async function bury() {
  const lock = `${folder()}.lock`;
  for (const name of await readdir(lock).catch(() => []))
    await rename(join(lock, name), join(lock, name.replace(/^\d+/, "4194305")));
}
const weights = async (at: string) => (await readSafetensors(join(at, "model.safetensors"))).tensors;
const metrics = async () =>
  (await readFile(join(folder(), "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const steps = async () => (await metrics()).flatMap((entry) => ("loss" in entry ? [entry.step] : []));
const validations = async () => (await metrics()).flatMap((entry) => ("validationLoss" in entry ? [entry.step] : []));

async function expectFinished(expected: Awaited<ReturnType<typeof weights>>) {
  expect(await weights(join(folder(), "model"))).toEqual(expected);
  expect(await steps()).toEqual([1, 2]);
  expect(await validations()).toEqual([1, 2]);
  expect(await readdir(join(root, "runs"))).toEqual(["my"]);
  expect((await readdir(folder())).sort()).toEqual(["checkpoint", "data", "metrics.jsonl", "model", "run.json"]);
}

test("a run that is killed before any operation on the disk goes on to the same end", async () => {
  await clear();
  await run();
  const expected = await weights(join(folder(), "model"));
  const operations = await faultAtEach(run, {
    prepare: clear,
    check: async () => {
      await bury();
      await run();
      await expectFinished(expected);
    },
  });
  expect(operations.length).toBeGreaterThan(100);
}, 900_000);

test("a restart that is killed before any operation loses neither the old model nor the new run", async () => {
  await clear();
  await run({}, { hiddenSize: 8 });
  const old = await weights(join(folder(), "model"));
  await cp(join(root, "runs"), join(root, "before"), { recursive: true });
  await clear();
  await run();
  const expected = await weights(join(folder(), "model"));
  await faultAtEach(() => run({ restart: true }), {
    prepare: async () => {
      await clear();
      await cp(join(root, "before"), join(root, "runs"), { recursive: true });
    },
    check: async () => {
      const places = [folder(), `${folder()}.before-restart`];
      const models = await Promise.all(
        places.map(async (place) => (await finishedModel(place)) && weights((await finishedModel(place)) as string)),
      );
      const hasOld = models.some((model) => model && JSON.stringify([...model]) === JSON.stringify([...old]));
      const checkpoint = (await findCheckpoint(join(folder(), "checkpoint"))) ?? "";
      const newRun = await readFile(join(checkpoint, "config.json"), "utf8").catch(() => "");
      expect(hasOld || newRun.includes('"n_embd": 4')).toBe(true);
      await bury();
      await run({ restart: true });
      await expectFinished(expected);
    },
  });
}, 900_000);

test.each(["ENOSPC", "EROFS"] as const)(
  "a disk that fails with %s at any operation is an error in four parts, and the run goes on later",
  async (fault) => {
    await clear();
    await run();
    const expected = await weights(join(folder(), "model"));
    await faultAtEach(run, {
      fault,
      prepare: clear,
      check: async (error) => {
        if (error) expect(error).toBeInstanceOf(WriteError);
        await bury();
        await run();
        await expectFinished(expected);
      },
    });
  },
  300_000,
);
