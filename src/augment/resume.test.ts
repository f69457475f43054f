/** A run on augmented pictures that was cut goes on with the pictures, and the losses, of one that was not. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { batchesOf } from "../data/index.ts";
import { Mlp } from "../models/index.ts";
import { Module } from "../nn/index.ts";
import { AdamW, constantSchedule } from "../optim/index.ts";
import { logSoftmax, mean, mul, neg, randomKey, reshape, sum, type Tensor, tensor } from "../tensor/index.ts";
import { supervised, train } from "../train/index.ts";
import {
  compose,
  cutmix,
  drawsOf,
  normalizeImage,
  oneHotLabels,
  randAugment,
  randomCrop,
  randomErasing,
  randomFlip,
} from "./index.ts";

interface Batch {
  inputs: Tensor<"f32">;
  /** Probabilities, [B, N]. */
  targets: Tensor<"f32">;
}
const [SIDE, CLASSES, SEED] = [8, 3, 5];

class Classifier extends Module {
  readonly layers = new Mlp({ sizes: [SIDE * SIDE * 3, 8, CLASSES] }, randomKey(2));

  loss({ inputs, targets }: Batch): Tensor<"f32"> {
    const logits = this.layers.forward(reshape(inputs, [inputs.shape[0], -1]));
    return neg(mean(sum(mul(targets, logSoftmax(logits, -1)), { axes: -1 })));
  }
}

const augment = compose([
  randomCrop({ width: SIDE, height: SIDE, padding: 2 }),
  randomFlip(),
  randAugment(),
  randomErasing({ value: "noise" }),
]);
const mix = cutmix();
const examples = Array.from({ length: 10 }, (_, label) => {
  const draws = drawsOf(label);
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, () => draws.integer(256));
  return { image: { width: SIDE, height: SIDE, channels: 3, data }, label: label % CLASSES };
});
const trainData = batchesOf(examples, {
  batchSize: 4,
  collate: (rows, samples): Batch => {
    const pictures = rows.map(({ image }, i) => normalizeImage(augment({ image }, drawsOf(SEED, samples[i])).image));
    const inputs = Float32Array.from(pictures.flatMap((numbers) => [...numbers]));
    const labels = oneHotLabels(
      rows.map(({ label }) => label),
      CLASSES,
    );
    const shape = [rows.length, 3, SIDE, SIDE];
    const mixed = mix({ inputs, shape, labels }, drawsOf(SEED, samples[0]).fold(1));
    return {
      inputs: tensor(mixed.inputs, { shape }),
      targets: tensor(mixed.labels, { shape: [rows.length, CLASSES] }),
    };
  },
});

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

async function losses(folder: string, steps: number): Promise<number[]> {
  const objective = supervised(new Classifier());
  const optimizer = new AdamW(objective.trained);
  const run = { objective, optimizer, schedule: constantSchedule(0.01), trainData, folder: join(root, folder) };
  const list: number[] = [];
  for await (const event of train({ ...run, steps })) if (event.type === "step") list.push(event.loss);
  return list;
}

test("losses after a cut are those of the whole run, to the bit", async () => {
  const whole = await losses("whole", 9);
  const parts = [...(await losses("cut", 4)), ...(await losses("cut", 9))];
  expect(parts).toEqual(whole);
  expect(new Set(whole).size).toBe(9);
});
