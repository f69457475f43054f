// @ts-check
/** What is fine-tuned in benchmarks: models by their configs, with random weights, and batches that PyTorch has too. */
import { readFileSync } from "node:fs";
import { fromConfig, quantizeWeights } from "../dist/models/index.js";
import { applyAdapter, newAdapter } from "../dist/peft/index.js";
import { randomKey, tensor } from "../dist/tensor/index.js";
import { supervised } from "../dist/train/index.js";

/**
 * @typedef {{ task: import("../dist/models/index.js").Task, json: Record<string, unknown> }} ModelConfig
 * @typedef {{ config: string, way: "full" | "lora" | "qlora", batchSize: number, length: number }} Case
 */
const file = JSON.parse(readFileSync(new URL("./finetune-cases.json", import.meta.url), "utf8"));
/** @type {Record<string, ModelConfig>} */
export const configs = file.configs;
/**
 * The cases by their names, at their usual and at their least sizes.
 * @type {Record<"cases" | "smallest", Record<string, Case>>}
 */
export const { cases, smallest } = file;

export const RANK = 16;
/** Numbers that are the same in Python: i-th of batch number `step`. @param {number} i @param {number} step */
const numberAt = (i, step) => (i * 7919 + step * 104729) % 1000003;

/**
 * Batch number `step` of a case. @param {Case} of @param {ModelConfig} config @param {number} step
 */
function batchOf({ batchSize, length }, { task, json }, step) {
  if (task === "image-classification") {
    const size = batchSize * 3 * length * length;
    const pixels = Float32Array.from({ length: size }, (_, i) => numberAt(i, step) / 1000003 - 0.5);
    const labels = Int32Array.from({ length: batchSize }, (_, i) => (i + step) % 10);
    return { pixelValues: tensor(pixels, { shape: [batchSize, 3, length, length] }), labels: tensor(labels) };
  }
  const vocabSize = Number(json.vocab_size);
  const ids = Int32Array.from({ length: batchSize * length }, (_, i) => numberAt(i, step) % vocabSize);
  const inputIds = tensor(ids, { shape: [batchSize, length] });
  if (task === "causal-lm") return { inputIds, labels: inputIds };
  const attentionMask = tensor(new Uint8Array(ids.length).fill(1), { dtype: "bool", shape: [batchSize, length] });
  return { inputIds, attentionMask, labels: tensor(Int32Array.from({ length: batchSize }, (_, i) => (i + step) % 2)) };
}

/**
 * The objective of a case, what of it is trained, and its batches. @param {Case} of
 */
export async function openCase(of) {
  const config = configs[of.config];
  const model = fromConfig(config.json, { task: /** @type {"causal-lm"} */ (config.task), onWarning: () => {} });
  if (of.way === "qlora") await quantizeWeights(model);
  const adapter =
    of.way === "full" ? undefined : await newAdapter(model, { rank: RANK, targetModules: "all-linear" }, randomKey(0));
  const trained = adapter && applyAdapter(model, adapter, { onWarning: () => {} }).parameters;
  const objective = supervised(model, trained && { trained });
  return { objective, batch: (/** @type {number} */ step) => /** @type {never} */ (batchOf(of, config, step)) };
}
