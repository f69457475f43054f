import { stat } from "node:fs/promises";
import { join } from "node:path";
import { readJson, readSafetensors, type StoredTensor, writeJson, writeSafetensors } from "../files/index.ts";
import { DataError, decodeElement, isFloat } from "../ir/index.ts";
import { loadStateDict, type StateTensor } from "../nn/index.ts";
import type { CausalLM } from "./causal-lm.ts";
import { families, familyOf } from "./families.ts";
import { loadGguf } from "./gguf.ts";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const GENERATION = "generation_config.json";
const HEAD = "lm_head.weight";

/** Writes config.json, generation_config.json and model.safetensors, as transformers' save_pretrained does. */
export async function savePretrained(model: CausalLM, folder: string): Promise<void> {
  const { modelType } = model;
  const { bosTokenId, eosTokenId } = model.config;
  const { architecture, configToJson } = families[modelType];
  const tensors = new Map<string, StoredTensor>();
  for (const [key, parameter] of model.namedParameters()) {
    tensors.set(key, { dtype: parameter.dtype, shape: parameter.shape, data: await parameter.read() });
  }
  await writeSafetensors(join(folder, WEIGHTS), tensors);
  await writeJson(join(folder, CONFIG), { architectures: [architecture], model_type: modelType, dtype: "float32", ...configToJson(model) });
  await writeJson(join(folder, GENERATION), { _from_model_config: true, bos_token_id: bosTokenId, eos_token_id: eosTokenId });
}

/**
 * Loads a model from a folder in Hugging Face layout (GPT-2, Llama, Mistral, Qwen2 or Qwen3), or from a .gguf file (the same
 * without GPT-2 and Mistral). Weights are widened to f32.
 * @throws DataError when a file is missing, damaged or of another architecture; CheckpointError or ShapeError when the
 *   weights do not fit the config.
 *
 * @example
 * const model = await fromPretrained("runs/sotu/model");
 */
export async function fromPretrained(folder: string): Promise<CausalLM> {
  if (folder.endsWith(".gguf")) return loadGguf(folder);
  const configPath = join(folder, CONFIG);
  const json = await readJson(configPath);
  const model = familyOf(configPath, json.model_type).create(configPath, json);
  await loadPretrained(model, folder);
  return model;
}

/** Loads the weights in a folder into a model that exists. Nothing changes unless everything fits. */
export async function loadPretrained(model: CausalLM, folder: string): Promise<void> {
  const files = await weightFiles(folder);
  const state = new Map<string, StateTensor>();
  for (const path of files) addWeights(state, model, (await readSafetensors(path)).tensors);
  loadStateDict(files[0], model.namedParameters(), state);
}

/** The file with the weights, or the shards that an index names. @throws DataError for an index that points elsewhere */
async function weightFiles(folder: string): Promise<string[]> {
  const index = join(folder, INDEX);
  const isSharded = !(await exists(join(folder, WEIGHTS))) && (await exists(index));
  if (!isSharded) return [join(folder, WEIGHTS)];
  const { weight_map: map } = await readJson(index);
  const names = map !== null && typeof map === "object" ? [...new Set(Object.values(map))] : [];
  const wrong = names.find((name) => typeof name !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(name));
  if (names.length === 0 || wrong !== undefined) {
    throw new DataError({
      where: index,
      expected: "a weight_map from tensors to .safetensors files beside it",
      received: JSON.stringify(wrong) ?? "none",
      fix: "fetch the model again, from a source that you trust",
    });
  }
  return names.sort().map((name) => join(folder, name as string));
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Adds weights under the names of our modules, as f32, without a repeated tied head. */
function addWeights(state: Map<string, StateTensor>, model: CausalLM, tensors: ReadonlyMap<string, StoredTensor>): void {
  const { tensorName } = families[model.modelType];
  for (const [name, { dtype, shape, data }] of tensors) {
    const key = tensorName(name);
    if (key === undefined || (key === HEAD && model.config.tieWordEmbeddings)) continue;
    if (!isFloat(dtype))
      throw new DataError({ where: `tensor ${name}`, expected: "float weights", received: dtype, fix: "convert the checkpoint to f32, f16 or bf16" });
    const numbers = data instanceof Float32Array ? data : Float32Array.from({ length: data.length }, (_, i) => decodeElement(dtype, data, i));
    state.set(key, { dtype: "f32", shape, data: numbers });
  }
}
