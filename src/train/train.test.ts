import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readSafetensors } from "../files/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { randomKey } from "../tensor/index.ts";
import { characterTokenizer } from "../testing/characters.ts";
import { defaultRunConfig, findCheckpoint, finishedModel, loadCheckpoint, type RunConfig, type RunEvent, runTraining, saveCheckpoint } from "./index.ts";

let folder: string;
let text: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  text = join(folder, "text.txt");
  await writeFile(text, "the cat sat on the mat and the dog sat on the log. ".repeat(200));
});
afterAll(() => rm(folder, { recursive: true }));

const tiny = (): RunConfig => ({
  ...defaultRunConfig,
  text,
  tokenizer: "char",
  contextLength: 16,
  hiddenSize: 32,
  numLayers: 1,
  numHeads: 2,
  batchSize: 4,
  steps: 12,
  warmupSteps: 2,
  dropout: 0.1,
  evaluationInterval: 5,
  checkpointInterval: 5,
});
const runAll = async (name: string, config: RunConfig, signalAt?: number) => {
  const controller = new AbortController();
  const events: RunEvent[] = [];
  for await (const event of runTraining(join(folder, name), config, { signal: controller.signal })) {
    events.push(event);
    if (event.type === "step" && event.step === signalAt) controller.abort();
  }
  return events;
};
const weights = async (name: string) => (await readSafetensors(join(folder, name, "model", "model.safetensors"))).tensors;

test("a run learns, measures, and saves a model in Hugging Face layout", async () => {
  const events = await runAll("learns", { ...tiny(), steps: 120, learningRate: 1e-2, dropout: 0 });
  const losses = events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
  expect(losses).toHaveLength(120);
  expect(losses[119]).toBeLessThan(losses[0] / 2);
  expect(events.at(-1)).toEqual({ type: "saved", path: join(folder, "learns", "model") });
  expect(await finishedModel(join(folder, "learns"))).toBeDefined();
  const metrics = (await readFile(join(folder, "learns", "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(metrics.filter((entry) => "loss" in entry)).toHaveLength(120);
});

test.each(["f32", "f16"] as const)("an interrupted run in %s that is resumed is the run that was not interrupted", async (precision) => {
  const [straight, resumed] = [`straight-${precision}`, `resumed-${precision}`];
  await runAll(straight, { ...tiny(), precision });
  const first = await runAll(resumed, { ...tiny(), precision }, 7);
  expect(first.at(-1)).toMatchObject({ type: "finished", step: 7, reason: "aborted" });
  const second = await runAll(resumed, { ...tiny(), precision });
  expect(second.find((event) => event.type === "resumed")).toMatchObject({ step: 7 });
  expect(await weights(resumed)).toEqual(await weights(straight));
});

test("a folder belongs to one set of options", async () => {
  await expect(runAll("straight-f32", { ...tiny(), hiddenSize: 64 })).rejects.toThrow(/hiddenSize 64 instead of 32.*--restart/s);
});

test("wrong options are named before anything runs", async () => {
  await expect(runAll("x", { ...tiny(), hiddenSize: 33 })).rejects.toThrow(/use --width 34/);
  await expect(runAll("x", { ...tiny(), batchsize: 4 } as never)).rejects.toThrow(/did you mean "batchSize"/);
  await expect(runAll("x", { ...tiny(), steps: 0 })).rejects.toThrow(/steps to be a positive integer/);
  await expect(runAll("x", { ...tiny(), text: join(folder, "none.txt") })).rejects.toThrow(/nothing there/);
});

test("a loss that is not finite stops the run, names the first tensor, and keeps the checkpoint", async () => {
  const config = { ...tiny(), checkpointInterval: 2, steps: 40, dropout: 0 };
  await runAll("diverges", config, 4);
  const path = join(folder, "diverges", "checkpoint");
  const before = await readFile(join(path, "model.safetensors"));
  const broken = Buffer.from(before);
  const headerLength = Number(broken.readBigUInt64LE(0));
  const { data_offsets: offsets } = JSON.parse(broken.subarray(8, 8 + headerLength).toString())["transformer.h.0.ln_2.weight"];
  broken.writeFloatLE(Number.NaN, 8 + headerLength + offsets[0]);
  await writeFile(join(path, "model.safetensors"), broken);
  await expect(runAll("diverges", config)).rejects.toThrow(
    /training step 4: expected a finite loss; received NaN; the first tensor to go was transformer\.h\.0\.ln_2\.weight/,
  );
  expect(await findCheckpoint(path)).toBe(path);
});

describe("checkpoints", () => {
  const parts = async () => {
    const tokenizer = await characterTokenizer("ab");
    const model = new GPT2LMHeadModel({ vocabSize: 3, maxPositionEmbeddings: 8, hiddenSize: 8, numLayers: 1, numHeads: 2 }, randomKey(1));
    return { model, tokenizer, optimizer: new AdamW(model.namedParameters()) };
  };
  const state = (step: number) => ({ step, validationLoss: null, elapsedSeconds: 0 });

  test("one that fails half-way leaves the previous", async () => {
    const path = join(folder, "checkpoint");
    const good = await parts();
    await saveCheckpoint(path, { ...good, state: state(1) });
    const failing = await characterTokenizer("ab");
    vi.spyOn(failing, "save").mockRejectedValue(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }));
    await expect(saveCheckpoint(path, { ...good, tokenizer: failing, state: state(2) })).rejects.toThrow(/a full disk.*a previous checkpoint is still there/);
    expect((await loadCheckpoint((await findCheckpoint(path)) as string, await parts())).step).toBe(1);
  });

  test("an unfinished temporary folder is not taken for a checkpoint", async () => {
    const path = join(folder, "killed");
    await saveCheckpoint(`${path}.tmp`, { ...(await parts()), state: state(3) });
    expect(await findCheckpoint(path)).toBeUndefined();
    await saveCheckpoint(`${path}.old`, { ...(await parts()), state: state(3) });
    expect(await findCheckpoint(path)).toBe(`${path}.old`); // killed between the two renames
  });

  test("one of another model is refused and changes nothing", async () => {
    const path = join(folder, "other");
    await saveCheckpoint(path, { ...(await parts()), state: state(1) });
    const other = await parts();
    const wider = new GPT2LMHeadModel({ vocabSize: 3, maxPositionEmbeddings: 8, hiddenSize: 16, numLayers: 1, numHeads: 2 }, randomKey(1));
    await expect(loadCheckpoint(path, { model: wider, optimizer: other.optimizer })).rejects.toThrow(/expected shape/);
  });
});
