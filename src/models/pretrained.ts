import { join } from "node:path";
import { readJson, readSafetensors, type StoredTensor, writeJson, writeSafetensors } from "../files/index.ts";
import { DataError, decodeElement, isFloat, nearest } from "../ir/index.ts";
import { loadStateDict, type StateDict } from "../nn/index.ts";
import { randomKey } from "../tensor/index.ts";
import { fromJson, toJson } from "./config.ts";
import { GPT2LMHeadModel, gpt2Fields } from "./gpt2.ts";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const GENERATION = "generation_config.json";

/** Buffers that older checkpoints carry and that are not weights: the causal mask and its fill value. */
const ignoredTensors = /\.attn\.(bias|masked_bias)$/;
const PREFIX = "transformer.";

/** Writes config.json, generation_config.json and model.safetensors, as transformers' save_pretrained does. */
export async function savePretrained(model: GPT2LMHeadModel, folder: string): Promise<void> {
  const { config } = model;
  const tensors = new Map<string, StoredTensor>();
  for (const [key, parameter] of model.namedParameters()) {
    tensors.set(key, { dtype: parameter.dtype, shape: parameter.shape, data: await parameter.read() });
  }
  await writeSafetensors(join(folder, WEIGHTS), tensors);
  await writeJson(join(folder, CONFIG), { architectures: ["GPT2LMHeadModel"], model_type: "gpt2", dtype: "float32", ...toJson(config, gpt2Fields) });
  await writeJson(join(folder, GENERATION), { _from_model_config: true, bos_token_id: config.bosTokenId, eos_token_id: config.eosTokenId });
}

/**
 * Loads a model from a folder in Hugging Face layout. f16 and bf16 weights are widened to f32.
 * @throws DataError when a file is missing, damaged or of another architecture; CheckpointError or ShapeError when the
 *   weights do not fit the config.
 *
 * @example
 * const model = await fromPretrained("runs/sotu/model");
 */
export async function fromPretrained(folder: string): Promise<GPT2LMHeadModel> {
  const configPath = join(folder, CONFIG);
  const json = await readJson(configPath);
  if (json.model_type !== "gpt2") {
    const near = nearest(String(json.model_type), ["gpt2"]);
    throw new DataError({
      where: `${configPath}, model_type`,
      expected: "a supported architecture: gpt2",
      received: JSON.stringify(json.model_type) ?? "none",
      fix: near ? `did you mean "${near}"?` : "convert the model, or use another",
    });
  }
  const model = new GPT2LMHeadModel(fromJson(configPath, json, gpt2Fields), randomKey(0));
  await loadPretrained(model, folder);
  return model;
}

/** Loads the weights in a folder into a model that exists. Nothing changes unless everything fits. */
export async function loadPretrained(model: GPT2LMHeadModel, folder: string): Promise<void> {
  const path = join(folder, WEIGHTS);
  const { tensors } = await readSafetensors(path);
  loadStateDict(path, model.namedParameters(), toStateDict(tensors, model.config.tieWordEmbeddings));
}

/** Weights under the names of our modules, as f32: older files lack the prefix, and may repeat a tied head. */
function toStateDict(tensors: ReadonlyMap<string, StoredTensor>, isTied: boolean): StateDict {
  const state = new Map<string, { dtype: "f32"; shape: readonly number[]; data: Float32Array }>();
  for (const [name, { dtype, shape, data }] of tensors) {
    const isHead = name === "lm_head.weight";
    const key = isHead || name.startsWith(PREFIX) ? name : `${PREFIX}${name}`;
    if (ignoredTensors.test(key) || (isHead && isTied)) continue;
    if (!isFloat(dtype))
      throw new DataError({ where: `tensor ${name}`, expected: "float weights", received: dtype, fix: "convert the checkpoint to f32, f16 or bf16" });
    const numbers = data instanceof Float32Array ? data : Float32Array.from({ length: data.length }, (_, i) => decodeElement(dtype, data, i));
    state.set(key, { dtype: "f32", shape, data: numbers });
  }
  return state;
}
