/** DETR, its convolutions, its mask of padding and its auxiliary loss with them, learns from nothing. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { drawingsOf, drawnCoco, writeDrawings } from "../testing/drawn-objects.ts";
import { methods, resolveConfig, runMethod } from "./index.ts";

const backbone = {
  model_type: "resnet",
  embedding_size: 12,
  hidden_sizes: [12, 24],
  depths: [1, 1],
  layer_type: "basic",
};
const detr = {
  ...{ model_type: "detr", num_queries: 4, encoder_layers: 1, decoder_layers: 2, d_model: 48, dropout: 0 },
  ...{ encoder_ffn_dim: 96, decoder_ffn_dim: 96, encoder_attention_heads: 4, decoder_attention_heads: 4 },
  ...{ use_timm_backbone: false, backbone: null, backbone_config: backbone },
};

test("a small DETR learns some pictures of two shapes: its loss falls to a half, and mAP rises", async () => {
  const root = await mkdtemp(join(tmpdir(), "kindling-detr-"));
  await writeDrawings(root, drawingsOf(5));
  const input = {
    method: { name: "object-detection", image: { size: 64 }, loss: { auxiliary: true, eosCoefficient: 0.2 } },
    model: { new: detr },
    data: { train: drawnCoco, validation: drawnCoco },
    optimizer: { learningRate: 2e-3 },
    training: { steps: 300, batchSize: 5, clipNorm: 1 },
    evaluation: { interval: 50 },
    output: join(root, "run"),
  };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name: "detr" });
  const losses: number[] = [];
  const maps: number[] = [];
  for await (const event of runMethod(resolved, { onWarning: () => {} })) {
    if (event.type === "step") losses.push(event.loss);
    if (event.type === "evaluation") maps.push(event.metrics.map);
  }
  expect(losses.at(-1)).toBeLessThan(losses[0] / 2);
  expect(Math.max(...maps)).toBeGreaterThan(0.3);
  expect(maps[0]).toBeLessThan(Math.max(...maps) / 2);
  await rm(root, { recursive: true });
}, 300_000);
