/** Estimates agree with what is counted by hand and with the models themselves. */
import { expect, test } from "vitest";
import { memoryFolder } from "../files/index.ts";
import {
  baseModels,
  describeModel,
  estimateServing,
  estimateTraining,
  gpus,
  modelTasks,
  recommend,
  servingCost,
  trainingCost,
} from "./index.ts";

const smollm = {
  ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], hidden_size: 576, intermediate_size: 1536 },
  ...{ num_hidden_layers: 30, num_attention_heads: 9, num_key_value_heads: 3, vocab_size: 49152 },
  ...{ max_position_embeddings: 8192, rms_norm_eps: 1e-5, tie_word_embeddings: true },
};
const tiny = { ...smollm, hidden_size: 72, intermediate_size: 192, num_hidden_layers: 4, vocab_size: 512 };
const described = (json: object, name = "m") =>
  describeModel(memoryFolder({ "config.json": JSON.stringify(json) }, name));

test("serving: weights, and keys and values by heads, layers and tokens", async () => {
  const model = await described(smollm);
  const estimate = estimateServing(model, { weights: "f16", context: 1000, concurrency: 3 });
  expect(estimate.parameters).toBe(134_515_008); // HuggingFaceTB/SmolLM2-135M
  expect(estimate.weightBytes).toBe(2 * 134_515_008);
  expect(estimate.cacheBytes).toBe(2 * 2 * 30 * 3 * 64 * 1000 * 3);
  expect(() => estimateServing(model, { context: 0 })).toThrow("context");
  expect(() => estimateServing(model, { weights: "q5" as never })).toThrow("f32, f16, q8, q4");
  const h100 = gpus.find(({ name }) => name === "H100 80GB");
  const cost = h100 && servingCost(estimate, h100, 1e6);
  expect(cost).toMatchObject({ cards: 1 });
  expect(cost?.dollars).toBeGreaterThan(0);
});

test("training: arithmetic is 6 for each weight and token, LoRA's 4, and memory falls from way to way", async () => {
  const model = await described(tiny);
  const size = { batchSize: 2, length: 64 };
  const full = await estimateTraining(model, { ...size, way: "full" });
  const lora = await estimateTraining(model, { ...size, way: "lora", rank: 4 });
  const qlora = await estimateTraining(model, { ...size, way: "qlora", rank: 4 });
  const tokens = 2 * 64;
  // the table of tokens is the output layer too, so each weight multiplies; attention comes on top
  const products = 6 * full.parameters * tokens;
  expect(full.flops / products).toBeGreaterThan(1);
  expect(full.flops / products).toBeLessThan(1.2);
  expect(lora.flops / full.flops).toBeGreaterThan(0.6);
  expect(lora.flops / full.flops).toBeLessThan(0.95);
  expect(full.trainedParameters).toBe(full.parameters);
  // rank x (inputs + outputs) of q, k, v, o, gate, up and down: 72 -> 72, 24, 24, 72; 72 -> 192 twice; 192 -> 72
  expect(lora.trainedParameters).toBe(4 * 4 * (144 + 96 + 96 + 144 + 3 * 264));
  expect(full.optimizerBytes).toBe(8 * full.parameters);
  expect(qlora.weightBytes).toBeLessThan(lora.weightBytes / 4);
  expect([lora, qlora].map(({ checkpointActivations }) => checkpointActivations)).toEqual([false, true]);
  expect(lora.totalBytes).toBeLessThan(full.totalBytes);
  const again = await estimateTraining(model, { ...size, way: "full", checkpointActivations: true });
  expect(again.stepBytes).toBeLessThan(full.stepBytes);
  expect(again.flops).toBeGreaterThan(1.15 * full.flops);
  const costs = gpus.map((gpu) => trainingCost(full, gpu, 1e6));
  expect(costs.every(({ cards }) => cards === 1)).toBe(true);
  await expect(estimateTraining(model, { way: "half" as never })).rejects.toThrow("full, lora, qlora");
});

test("models of more layers than are traced: memory grows by the same number with each", async () => {
  const deep = async (layers: number) =>
    estimateTraining(await described({ ...tiny, num_hidden_layers: layers }), {
      batchSize: 2,
      length: 64,
      way: "full",
    });
  const [at40, at41] = [await deep(40), await deep(41)];
  const layer = at41.parameters - at40.parameters;
  expect(at41.trainedParameters).toBe(at41.parameters);
  expect(at41.stepBytes - at40.stepBytes).toBeGreaterThan(0);
  expect(at41.stepBytes / at40.stepBytes).toBeLessThan(1.1);
  expect(layer).toBe(72 * (72 + 24 + 24 + 72) + 3 * 72 * 192 + 2 * 72);
}, 60_000);

const others: [string, object][] = [
  ["encoder", { model_type: "bert", architectures: ["BertForSequenceClassification"], hidden_size: 48 }],
  ["embedding model", { model_type: "bert", architectures: ["BertModel"], hidden_size: 48 }],
  ["translator", { model_type: "t5", architectures: ["T5ForConditionalGeneration"], d_model: 48, num_layers: 2 }],
  ["image model", { model_type: "vit", architectures: ["ViTForImageClassification"], hidden_size: 48 }],
  [
    "object detector",
    { model_type: "yolos", architectures: ["YolosForObjectDetection"], hidden_size: 48, image_size: [64, 96] },
  ],
  ["image model without a head", { model_type: "vit", architectures: ["ViTModel"], hidden_size: 48 }],
  ["convolutions", { model_type: "resnet", architectures: ["ResNetForImageClassification"] }],
];
test.each(others)("training of an %s", async (_, json) => {
  const heads = { num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96, vocab_size: 200 };
  const estimate = await estimateTraining(await described({ ...heads, ...json }), { batchSize: 2, length: 16 });
  expect(estimate.flops).toBeGreaterThan(0);
  expect(estimate.stepBytes).toBeGreaterThan(4 * estimate.trainedParameters);
});

test("a file that is no model", async () => {
  const folder = memoryFolder({ "notes.txt": "none" }, "m");
  await expect(describeModel(folder.file("notes.txt"))).rejects.toThrow(
    "a model's folder, its config.json, a GGUF file",
  );
});

test("models are recommended by task, language, licence and memory", () => {
  const names = (options: Parameters<typeof recommend>[0]) => recommend(options).map(({ name }) => name);
  expect(names({ task: "chat", maxMemory: 8, licence: "permissive" }).slice(0, 2)).toEqual([
    "zai-org/GLM-4-9B-0414",
    "Qwen/Qwen3-8B",
  ]);
  expect(recommend({ task: "chat", maxMemory: 8, licence: "permissive" })[0].weights).toBe("q4");
  expect(names({ task: "chat", maxMemory: 8, licence: "permissive" })).not.toContain("google/gemma-3-1b-it");
  for (const model of recommend({ task: "classification", language: "zh", maxMemory: 8 }))
    expect(model.languages.some((language) => language === "zh" || language === "multi")).toBe(true);
  const [most] = recommend({ task: "chat", maxMemory: 5, use: "train" });
  expect(most.name).toBe("HuggingFaceTB/SmolLM2-135M-Instruct");
  expect(most.memory).toBeLessThanOrEqual(5);
  expect(names({ task: "chat", maxMemory: 0.01 })).toEqual([]);
  expect(() => recommend({ task: "chatt" as never, maxMemory: 1 })).toThrow('did you mean "chat"?');
  for (const task of modelTasks) expect(recommend({ task, maxMemory: 64 }).length).toBeGreaterThan(2);
  expect(new Set(baseModels.map(({ name }) => name)).size).toBe(baseModels.length);
});
