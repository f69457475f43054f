/** Adapters beside weights that are kept in 16 bits or in blocks: the numbers are those of the same weights in f32. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type CausalLM,
  fromPretrained,
  LlamaForCausalLM,
  llamaConfig,
  saveGguf,
  savePretrained,
} from "../models/index.ts";
import { normal, randomKey, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { type Adapter, applyAdapter, newAdapter } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-peft-"));
  const sizes = { vocabSize: 64, hiddenSize: 256, intermediateSize: 320, numLayers: 1, numHeads: 4, numKeyHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig({ ...sizes, maxPositionEmbeddings: 32 }), randomKey(3));
  await savePretrained(model, join(folder, "bf16"), { dtype: "bf16" });
  await saveGguf(model, join(folder, "model.gguf"), { type: "q8_0" });
  model.dispose();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const logitsOf = (model: CausalLM) =>
  model.forward({ inputIds: tensor(Int32Array.of(1, 5, 2, 9), { shape: [1, 4] }) }).logits.read();

async function adapterOf(model: CausalLM, useDora: boolean): Promise<Adapter> {
  const adapter = await newAdapter(model, { rank: 4, alpha: 8, targetModules: "all-linear", useDora }, randomKey(4));
  const layers = new Map(adapter.layers);
  for (const [path, parts] of layers) {
    const { shape } = parts.b as { shape: readonly number[] };
    const data = await normal(randomKey(path.length), shape, { standardDeviation: 0.1 }).read();
    layers.set(path, { ...parts, b: { dtype: "f32", shape, data } });
  }
  return { ...adapter, layers };
}

test.each([
  ["bf16", "LoRA"],
  ["bf16", "DoRA"],
  ["model.gguf", "LoRA"],
  ["model.gguf", "DoRA"],
])("%s, %s", async (name, kind) => {
  const [plain, kept] = await Promise.all([
    fromPretrained(join(folder, name), { task: "causal-lm" }),
    fromPretrained(join(folder, name), {
      task: "causal-lm",
      weights: name === "bf16" ? "stored" : "blocks",
      activations: "f32",
    }),
  ]);
  const adapter = await adapterOf(plain, kind === "DoRA");
  const before = await logitsOf(kept);
  applyAdapter(plain, adapter);
  const applied = applyAdapter(kept, adapter);
  const during = await logitsOf(kept);
  expectClose(name, during, await logitsOf(plain), 5 * (tolerances.f32 as number));
  if (name === "bf16") {
    await applied.merge();
    expect(kept.namedParameters().get("model.layers.0.mlp.gate_proj.weight")?.stored).toBe("bf16");
    expectClose("merged", await logitsOf(kept), during, tolerances.bf16 as number);
    applied.unmerge();
    expect(await logitsOf(kept)).toEqual(during);
  } else await expect(applied.merge()).rejects.toThrow('open the model with { weights: "f32" }');
  applied.remove();
  expect(await logitsOf(kept)).toEqual(before);
  for (const model of [plain, kept]) model.dispose();
});
