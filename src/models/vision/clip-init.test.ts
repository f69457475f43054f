import { expect, test } from "vitest";
import { randomKey } from "../../tensor/index.ts";
import { fromConfig } from "../index.ts";

/** Standard deviations of weights, by their keys. */
async function deviationsOf(config: Record<string, unknown>, keys: readonly string[]): Promise<number[]> {
  const model = fromConfig(config, { task: "zero-shot-image-classification", key: randomKey(1), onWarning: () => {} });
  const parameters = model.namedParameters();
  const all = await Promise.all(
    keys.map(async (key) => {
      const numbers = await parameters.get(key)?.read();
      if (!numbers) throw new Error(`no ${key} among ${[...parameters.keys()].join(", ")}`);
      return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
    }),
  );
  model.dispose();
  return all;
}

const sizes = { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2 };
const text = { ...sizes, vocab_size: 500, max_position_embeddings: 16 };
const vision = { ...sizes, image_size: 32, patch_size: 8 };
const layer = (name: string) => [
  `text_model.encoder.layers.1.${name}.weight`,
  `vision_model.encoder.layers.0.${name}.weight`,
];
const names = ["self_attn.q_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"];
const keys = ["text_model.embeddings.token_embedding.weight", ...names.flatMap(layer)];

/** Each within a tenth of what transformers' _init_weights says. */
function expectNear(deviations: readonly number[], expected: readonly number[]): void {
  for (const [i, deviation] of deviations.entries())
    expect(Math.abs(deviation / expected[i] - 1), keys[i]).toBeLessThan(0.1);
}

test("CLIP begins with weights as large as transformers'", async () => {
  const config = { model_type: "clip", projection_dim: 32, text_config: text, vision_config: vision };
  const [small, wide, up] = [1 / Math.sqrt(64 * 4), 1 / Math.sqrt(64), 1 / Math.sqrt(128)];
  expectNear(await deviationsOf(config, keys), [0.02, small, small, wide, wide, up, up, small, small]);
});

test("SigLIP begins with weights as large as transformers'", async () => {
  const config = { model_type: "siglip", text_config: text, vision_config: vision };
  const [square, long] = [Math.sqrt(2 / 128), Math.sqrt(2 / 192)];
  expectNear(await deviationsOf(config, keys), [1 / 8, ...Array(4).fill(square), ...Array(4).fill(long)]);
});
