import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSafetensors, writeChecksums } from "../../files/index.ts";
import { defaultRunConfig, findCheckpoint, finishedModel, type RunConfig } from "../../train/index.ts";
import { runTraining, type TextRunEvent } from "../index.ts";

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
  const events: TextRunEvent[] = [];
  for await (const event of runTraining(join(folder, name), config, { signal: controller.signal })) {
    events.push(event);
    if (event.type === "step" && event.step === signalAt) controller.abort();
  }
  return events;
};
const weights = async (name: string) =>
  (await readSafetensors(join(folder, name, "model", "model.safetensors"))).tensors;

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

test.each(["f32", "f16"] as const)(
  "an interrupted run in %s that is resumed is the run that was not interrupted",
  async (precision) => {
    const [straight, resumed] = [`straight-${precision}`, `resumed-${precision}`];
    await runAll(straight, { ...tiny(), precision });
    const first = await runAll(resumed, { ...tiny(), precision }, 7);
    expect(first.at(-1)).toMatchObject({ type: "finished", step: 7, reason: "aborted" });
    const second = await runAll(resumed, { ...tiny(), precision });
    expect(second.find((event) => event.type === "resumed")).toMatchObject({ step: 7 });
    expect(await weights(resumed)).toEqual(await weights(straight));
  },
);

test("a run that is cancelled ends in the middle of a step, and goes on from its last checkpoint", async () => {
  const config = {
    ...tiny(),
    contextLength: 128,
    hiddenSize: 256,
    numLayers: 4,
    batchSize: 16,
    steps: 4,
    checkpointInterval: 2,
    evaluationInterval: 10,
  };
  const path = join(folder, "cancelled");
  const controller = new AbortController();
  let [stepStarted, stepMs] = [0, 0];
  const seen: string[] = [];
  const cancelled = async () => {
    for await (const event of runTraining(path, config, { cancelSignal: controller.signal })) {
      seen.push(event.type);
      if (event.type === "step") stepMs = performance.now() - stepStarted;
      stepStarted = performance.now();
      if (event.type === "checkpoint") setTimeout(() => controller.abort(new Error("enough")), 0.3 * stepMs);
    }
  };
  await expect(cancelled()).rejects.toThrow("enough");
  expect(performance.now() - stepStarted).toBeLessThan(0.8 * stepMs);
  expect(seen).toEqual(["ready", "step", "step", "checkpoint"]);
  const resumed = await runAll("cancelled", config);
  expect(resumed.find((event) => event.type === "resumed")).toMatchObject({ step: 2 });
  expect(resumed.filter((event) => event.type === "step")).toHaveLength(2);
});

test("a folder belongs to one set of options", async () => {
  await expect(runAll("straight-f32", { ...tiny(), hiddenSize: 64 })).rejects.toThrow(
    /hiddenSize 64 instead of 32.*--restart/s,
  );
});

test("wrong options are named before anything runs", async () => {
  await expect(runAll("x", { ...tiny(), hiddenSize: 33 })).rejects.toThrow(/use --width 34/);
  await expect(runAll("x", { ...tiny(), batchsize: 4 } as never)).rejects.toThrow(/did you mean "batchSize"/);
  await expect(runAll("x", { ...tiny(), steps: 0 })).rejects.toThrow(/steps to be a positive integer/);
  await expect(runAll("x", { ...tiny(), learningRate: Number.POSITIVE_INFINITY })).rejects.toThrow(
    /learningRate above 0; received Infinity/,
  );
  await expect(runAll("x", { ...tiny(), text: join(folder, "none.txt") })).rejects.toThrow(/nothing there/);
});

test("a loss that is not finite stops the run, names the first tensor, and keeps the checkpoint", async () => {
  const config = { ...tiny(), checkpointInterval: 2, steps: 40, dropout: 0 };
  await runAll("diverges", config, 4);
  const path = join(folder, "diverges", "checkpoint");
  const before = await readFile(join(path, "model.safetensors"));
  const broken = Buffer.from(before);
  const headerLength = Number(broken.readBigUInt64LE(0));
  const { data_offsets: offsets } = JSON.parse(broken.subarray(8, 8 + headerLength).toString())[
    "transformer.h.0.ln_2.weight"
  ];
  broken.writeFloatLE(Number.NaN, 8 + headerLength + offsets[0]);
  await writeFile(join(path, "model.safetensors"), broken);
  await writeChecksums(path);
  await expect(runAll("diverges", config)).rejects.toThrow(
    /training step 4: expected a finite loss; received NaN; the first tensor to go was transformer\.h\.0\.ln_2\.weight/,
  );
  expect(await findCheckpoint(path)).toBe(path);
});
