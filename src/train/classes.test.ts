/**
 * One class of each kind through `train`: PyTorch's losses, and a run that is resumed half way is the run that was not
 * interrupted. All classes: classes.slow.test.ts.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { normal, randomKey, tensor } from "../tensor/index.ts";
import { readDifferences } from "../testing/differences.ts";
import { expectTrace, goldenFolder, traces, trainedAndResumed } from "../testing/train-trace.ts";

const mobilenet = "models/mobilenet-v2-image-classification";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  "decoders/llama",
  "decoders/qwen3-moe", // experts
  "models/bert-masked-lm",
  "models/t5",
  "models/whisper",
  "models/resnet-basic", // batch norms, whose statistics move
  "models/segformer-semantic-segmentation",
  "models/clip",
  "models/llava", // a layer of the tower that the loss does not use
])("%s", async (name) => {
  expectTrace(name, "adamw", await trainedAndResumed(name, { folder: join(folder, name), dropout: 0 }));
});

test("models/detr", async () => {
  const options = { folder: join(folder, "detr"), dropout: 0, optimizer: "sgd" } as const;
  expectTrace("models/detr", "sgd", await trainedAndResumed("models/detr", options));
});

test("MobileNetV2, whose tiny model parts from itself in PyTorch in another precision, learns its batch", async () => {
  const batch = {
    pixelValues: normal(randomKey(1), [8, 3, 64, 64]),
    labels: tensor(Int32Array.from({ length: 8 }, (_, i) => i % 3)),
  };
  const options = { folder: join(folder, "mobilenet"), dropout: 0, batch };
  const losses = await trainedAndResumed(mobilenet, options);
  expect(losses[19]).toBeLessThan(losses[0] / 3);
});

test.each([
  "models/bert-sequence-classification",
  "models/swin-image-classification", // whole layers are dropped
  "models/bart",
])("%s with dropout", async (name) => {
  const losses = await trainedAndResumed(name, { folder: join(folder, "dropout", name), dropout: 0.2 });
  const { adamw } = traces.traces[name];
  expect(Math.abs(losses[0] - adamw[0])).toBeGreaterThan(1e-3); // it is on
  expect(losses[19]).toBeLessThan(0.6 * losses[0]);
});

test("there is a trace for every class with gradients", async () => {
  const architectures = await Promise.all(
    [...Object.keys(traces.traces), mobilenet].map(
      async (name) => (await readJson(join(goldenFolder, name, "config.json"))).architectures,
    ),
  );
  const classes = Object.entries(readDifferences()).flatMap(([name, { gradients }]) =>
    gradients === undefined ? [] : [name],
  );
  expect(classes.length).toBeGreaterThan(70);
  expect(new Set(architectures.flat())).toEqual(new Set(classes));
});
