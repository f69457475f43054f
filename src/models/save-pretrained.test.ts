import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson, readSafetensorsHeader } from "../files/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import {
  AlbertModel,
  BertForQuestionAnswering,
  ConvNextModel,
  DebertaV2Model,
  fromPretrained,
  ModernBertModel,
  type PretrainedModel,
  SegformerModel,
  savePretrained,
} from "./index.ts";
import { saveConfigs } from "./save-pretrained.ts";

const source = fileURLToPath(new URL("../../golden/decoders/llama", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("weights in shards are read again, and one file takes their place", async () => {
  const model = await fromPretrained(source, { task: "causal-lm" });
  const ids = tensor(Int32Array.of(1, 2, 3), { shape: [1, 3] });
  const logits = await model.forward({ inputIds: ids }).logits.read();
  await savePretrained(model, folder, { maxShardBytes: 4000 });
  const files = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
  expect(files.length).toBeGreaterThan(3);
  expect(files[0]).toBe(`model-00001-of-${String(files.length).padStart(5, "0")}.safetensors`);
  const { weight_map: map, metadata } = await readJson(join(folder, "model.safetensors.index.json"));
  expect(metadata).toEqual({ total_size: 4 * model.parameterCount(), total_parameters: model.parameterCount() });
  expect([...new Set(Object.values(map as object))]).toEqual(files);
  for (const file of files) {
    const { tensors } = await readSafetensorsHeader(join(folder, file));
    const bytes = [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
    expect(tensors.size === 1 || bytes <= 4000).toBe(true);
  }
  expect(await (await fromPretrained(folder, { task: "causal-lm" })).forward({ inputIds: ids }).logits.read()).toEqual(
    logits,
  );
  await savePretrained(model, folder);
  expect((await readdir(folder)).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
});

test.each([
  ["f16", 2 ** -11],
  ["bf16", 2 ** -8],
] as const)("weights in %s, rounded", async (dtype, step) => {
  const model = await fromPretrained(source, { task: "causal-lm" });
  await savePretrained(model, folder, { dtype });
  const { tensors } = await readSafetensorsHeader(join(folder, "model.safetensors"));
  expect(new Set([...tensors.values()].map((info) => info.dtype))).toEqual(new Set([dtype]));
  expect((await readJson(join(folder, "config.json"))).dtype).toBe(dtype === "f16" ? "float16" : "bfloat16");
  const again = (await fromPretrained(folder, { task: "causal-lm" })).namedParameters();
  for (const [key, parameter] of model.namedParameters()) {
    const [before, after] = await Promise.all([parameter.read(), again.get(key)?.read() as Promise<Float32Array>]);
    expect([key, before.every((x, i) => Math.abs(x - after[i]) <= step * Math.abs(x) + 1e-7)]).toEqual([key, true]);
  }
  await expect(savePretrained(model, folder, { dtype: "f8" as never })).rejects.toThrow(/a dtype of f32, f16, bf16/);
});

test("a generation_config.json that was read is written as it was, and transformers reads all of it", async () => {
  const whisper = fileURLToPath(new URL("../../golden/pipelines/models/whisper", import.meta.url));
  const stored = await readJson(join(whisper, "generation_config.json"));
  await savePretrained(await fromPretrained(whisper, { task: "speech-seq2seq" }), folder);
  const saved = await readJson(join(folder, "generation_config.json"));
  expect(saved).toEqual(stored);
  expect(saved).not.toHaveProperty("_from_model_config"); // with it transformers passes over lang_to_id and the like
  expect(saved).toHaveProperty("lang_to_id");
});

/** "real", "whole" or "null" of each key of a JSON text with one key a line. */
function numbersOf(text: string): Map<string, string> {
  const kindOf = (value: string) => (value === "null" ? "null" : /[.e]/.test(value) ? "real" : "whole");
  return new Map(
    [...text.matchAll(/^( *"\w+"): (null|-?\d[\d.e+-]*),?$/gm)].map(([, key, value]) => [key, kindOf(value)]),
  );
}

const golden = ["models", "decoders"].flatMap((group) => {
  const root = fileURLToPath(new URL(`../../golden/${group}`, import.meta.url));
  return readdirSync(root).map((name) => join(root, name));
});
test("numbers of config.json are written as transformers wrote them: it refuses 1 for 1.0, and 1.0 for 1", async () => {
  const wrong: string[] = [];
  for (const path of golden) {
    if (!existsSync(join(path, "model.safetensors"))) continue;
    const model = await fromPretrained(path, { onWarning: () => {} });
    await saveConfigs(model, folder);
    const [before, after] = await Promise.all(
      [path, folder].map(async (at) => numbersOf(await readFile(join(at, "config.json"), "utf8"))),
    );
    for (const [key, kind] of after)
      if (![undefined, "null", kind].includes(before.get(key)))
        wrong.push(`${path}, ${key}: ${kind} for ${before.get(key)}`);
    model.dispose();
  }
  expect(wrong).toEqual([]);
});

test("transformers finds how many stages there are, and no null where it has none", async () => {
  const key = randomKey(0);
  const written = async (model: PretrainedModel) => {
    await saveConfigs(model, folder);
    return readJson(join(folder, "config.json"));
  };
  const small = { hiddenSizes: [8, 16], depths: [1, 1] };
  expect((await written(new ConvNextModel(small, key))).num_stages).toBe(2);
  const lists = { srRatios: [2, 1], patchSizes: [3, 3], strides: [2, 2], mlpRatios: [2, 2], numHeads: [1, 2] };
  expect((await written(new SegformerModel({ ...small, ...lists }, key))).num_encoder_blocks).toBe(2);
  const encoder = { vocabSize: 32, hiddenSize: 16, numLayers: 1, numHeads: 2, intermediateSize: 24, padTokenId: 1 };
  expect(await written(new DebertaV2Model(encoder, key))).not.toHaveProperty("embedding_size");
  expect((await written(new AlbertModel({ ...encoder, embeddingSize: 8 }, key))).classifier_dropout_prob).toBe(0.1);
  expect((await written(new ModernBertModel(encoder, key))).classifier_dropout).toBe(0);
  const questions = await written(new BertForQuestionAnswering({ ...encoder, labels: ["a", "b", "c"] }, key));
  expect(Object.keys(questions.id2label as object)).toHaveLength(2); // it makes as many outputs as there are labels
});
