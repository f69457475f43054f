/** Layers that are left out in training, by example. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { depthRates, dropPath } from "../../nn/index.ts";
import { broadcastTo, normal, ones, randomKey } from "../../tensor/index.ts";
import { fromConfig } from "../index.ts";

test("what is left out is left out for a whole example, and the mean stays", async () => {
  const x = ones([4000, 2, 3]);
  const values = await dropPath(x, 0.25, randomKey(3)).read();
  let kept = 0;
  for (let i = 0; i < 4000; i++) {
    const row = values.subarray(6 * i, 6 * i + 6);
    expect(row.every((value) => value === row[0])).toBe(true);
    if (row[0] > 0) kept++;
    expect([0, Math.fround(1 / 0.75)]).toContain(row[0]);
  }
  expect(Math.abs(kept / 4000 - 0.75)).toBeLessThan(0.03); // 4 standard deviations
  expect(dropPath(x, 0.25, undefined)).toBe(x);
  expect(dropPath(x, 0, randomKey(3))).toBe(x);
});

test("the rates rise from layer to layer", () => {
  expect(depthRates(0.3, [1, 3]).flat()).toEqual([0, 0.3 / 3, 0.6 / 3, 0.3].map((rate) => expect.closeTo(rate, 12)));
  expect(depthRates(0.3, [1])).toEqual([[0]]);
});

test.each(["swin", "segformer", "convnext"])("%s leaves layers out in training alone", async (name) => {
  const folder = fileURLToPath(
    new URL(`../../../golden/models/${name}-image-classification/config.json`, import.meta.url),
  );
  const json = JSON.parse(await readFile(folder, "utf8"));
  const [height, width] = [json.image_size ?? 32].flat().concat([json.image_size ?? 32].flat());
  const pixels = normal(randomKey(1), [1, 3, height, width]);
  /** How far apart the logits of eight examples of one picture are. */
  const spread = async (rate: number, isTraining: boolean): Promise<number> => {
    const still = {
      hidden_dropout_prob: 0,
      attention_probs_dropout_prob: 0,
      classifier_dropout_prob: 0,
      layer_scale_init_value: 1,
    };
    const config = { ...json, ...still, drop_path_rate: rate };
    const model = fromConfig(config, { task: "image-classification", key: randomKey(2) });
    const { logits } = model.forward({
      pixelValues: broadcastTo(pixels, [8, 3, height, width]),
      key: isTraining ? randomKey(5) : undefined,
    });
    const data = await logits.read();
    const labels = logits.shape[1] as number;
    const rows = Array.from({ length: 8 }, (_, i) => data.subarray(i * labels, (i + 1) * labels));
    model.dispose();
    return Math.max(...rows.flatMap((row) => Array.from(row, (value, i) => Math.abs(value - rows[0][i]))));
  };
  expect(await spread(0.5, true)).toBeGreaterThan(1e-4);
  expect(await spread(0.5, false)).toBeLessThan(1e-5);
  expect(await spread(0, true)).toBeLessThan(1e-5);
});
