/** Batches of pictures through the methods' parts: the losses of transformers' Trainer on the same pictures. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { rowsOf } from "../data/index.ts";
import { fromPretrained } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import { contrastive } from "./clip.ts";
import { pictureClassifier } from "./image-classification.ts";
import { methods, resolveConfig } from "./index.ts";
import { type ClassBatch, measuredBatches } from "./parts/class-batches.ts";
import { pictureForm } from "./parts/picture-form.ts";
import { decodePicture, inChannels } from "./parts/pictures.ts";

interface Form {
  model: string;
  size: number;
  mean: number[];
  std: number[];
}
const folder = fileURLToPath(new URL("../../golden/", import.meta.url));
const golden = JSON.parse(readFileSync(`${folder}methods-vision.json`, "utf8")) as {
  pictures: string[];
  classification: (Form & { labels: number[]; loss: number; smoothed: number })[];
  clip: Form & { ids: number[][]; loss: number };
  speech: { text: string; labels: number[]; loss: number };
};
const bytes = golden.pictures.map((text) => new Uint8Array(Buffer.from(text, "base64")));
const rows = rowsOf(bytes.map((image) => ({ image })));

test.each(golden.classification)("$model: processor and loss", async ({ model: name, labels, ...expected }) => {
  const model = await fromPretrained(`${folder}models/${name}`, { task: "image-classification" });
  const form = await pictureForm(model, { size: expected.size, mean: expected.mean, std: expected.std });
  const pictures = {
    rows,
    column: "image",
    kept: labels.map((label, index) => ({ index, label })),
    decode: async (index: number) => inChannels(await decodePicture(bytes[index], "row"), form),
  };
  const batch: ClassBatch = await measuredBatches(pictures, { form, batchSize: 4 }).batch(0);
  const plain = await pictureClassifier(model, { form }).loss(batch, {}).loss.item();
  expect(plain).toBeCloseTo(expected.loss, 5);
  // the Trainer computes in evaluation, where a batch norm's statistics are another's
  if (!name.startsWith("resnet")) {
    const smoothing = pictureClassifier(model, { form, labelSmoothing: 0.1 });
    expect(await smoothing.loss(batch, { isTraining: true }).loss.item()).toBeCloseTo(expected.smoothed, 5);
  }
  model.dispose();
});

test("clip: processor and contrastive loss", async () => {
  const { model: name, ids, loss, ...settings } = golden.clip;
  const model = await fromPretrained(`${folder}models/${name}`, { task: "zero-shot-image-classification" });
  const form = await pictureForm(model, settings);
  const images = await Promise.all(bytes.map(async (each) => inChannels(await decodePicture(each, "row"), form)));
  const batch = { pixelValues: form.process(images).pixelValues, inputIds: tensor(ids, { dtype: "i32" }) };
  expect(await contrastive(model, { form }).loss(batch, {}).loss.item()).toBeCloseTo(loss, 5);
  model.dispose();
});

test("speech: features, labels with language and task, and loss", async () => {
  const place = await mkdtemp(join(tmpdir(), "kindling-speech-"));
  const { text, labels, loss } = golden.speech;
  await writeFile(join(place, "rows.jsonl"), JSON.stringify({ audio: `${folder}audio/mono-16.wav`, text }));
  const input = {
    method: { name: "speech", language: "en", task: "transcribe" },
    model: `${folder}pipelines/models/whisper`,
    data: { train: "rows.jsonl", validationShare: 0 },
    training: { batchSize: 1 },
  };
  const { method, config } = await resolveConfig(input, { methods, where: "test", folder: place, name: "speech" });
  const prepared = await method.prepare(config, { folder: place, onWarning: () => {} });
  const batch = await prepared.trainData.batch(0);
  expect(Array.from(await batch.labels.read())).toEqual(labels);
  expect(await prepared.objective.loss(batch, {}).loss.item()).toBeCloseTo(loss, 5);
  await prepared.close();
  await rm(place, { recursive: true });
});
