import { join, readdir, rm } from "#system";
import { bytesPerElement, checkOptions, hostArrayFrom, OptionError } from "../base/index.ts";
import { type StoredTensor, writeJson, writeSafetensors } from "../files/index.ts";
import { hasBlocks } from "../nn/index.ts";
import type { Variable } from "../tensor/index.ts";
import { type CompanionOptions, saveCompanions } from "./companions.ts";
import { withReals } from "./config.ts";
import type { CausalLM } from "./decoders/causal-lm.ts";
import type { Json } from "./labels.ts";
import type { Family, PretrainedModel, Task } from "./model.ts";
import { ImageTextModel } from "./vision-language/vision-language.ts";

/** What the model is: its class, and the config that it is made of. */
export const CONFIG = "config.json";
/** All weights in one file. */
export const WEIGHTS = "model.safetensors";
/** Which of several files each weight is in. */
export const INDEX = "model.safetensors.index.json";
/** How a model that writes is to write, where a call does not say. */
export const GENERATION = "generation_config.json";
const SHARD = /^model-\d+-of-\d+\.safetensors$/;

const dtypeNames = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;
/** The dtypes that weights may have in a file. */
export type SavedDType = keyof typeof dtypeNames;

/** How `savePretrained` writes weights, and whose tokenizer goes along. */
export interface SaveOptions {
  /** Of the weights in the file. @default that in which each is kept, f32 for most models */
  dtype?: SavedDType;
  /** Weights of more bytes than this go into several files. @default 5e9, as in transformers */
  maxShardBytes?: number;
  /**
   * The tokenizer that is written beside the model. @default that of the folder or file that the model was loaded from,
   * if it was
   */
  tokenizer?: CompanionOptions["tokenizer"];
}

/** Names of the parameters of adapters. */
const ADAPTED = /\.lora_|\.ia3_l$|^text_prefix\./;

/** Tasks of models that write, and have a generation_config.json. */
const writing: readonly Task[] = ["causal-lm", "seq2seq-lm", "speech-seq2seq", "image-to-text", "image-text-to-text"];

/**
 * Writes config.json, generation_config.json for what generates, and model.safetensors or shards with an index, as
 * transformers' save_pretrained does; and beside them the tokenizer, processors and licence of where the model was
 * loaded from. Weights of an earlier save that would be read in place of these are removed.
 * @throws OptionError for a model with weights in blocks, or with an adapter beside them, and for wrong options
 */
export async function savePretrained(model: PretrainedModel, folder: string, options: SaveOptions = {}): Promise<void> {
  checkOptions("savePretrained", options, ["dtype", "maxShardBytes", "tokenizer"]);
  const { dtype, maxShardBytes = 5e9, tokenizer } = options;
  if (hasBlocks(model)) {
    const fix = 'open it with { weights: "f32" }, or keep the GGUF file';
    throw new OptionError({ where: "savePretrained", expected: "weights in f32", received: "weights in blocks", fix });
  }
  const adapted = [...model.namedState().keys()].find((key) => ADAPTED.test(key));
  if (adapted !== undefined) {
    const fix = "merge the adapter first, or save it alone: applied.merge(), applied.save(folder)";
    throw new OptionError({ where: "savePretrained", expected: "the model's weights alone", received: adapted, fix });
  }
  if ((dtype !== undefined && !Object.hasOwn(dtypeNames, dtype)) || !(maxShardBytes > 0)) {
    const received = JSON.stringify({ dtype, maxShardBytes });
    throw new OptionError({
      where: "savePretrained",
      expected: "a dtype of f32, f16, bf16, and maxShardBytes above 0",
      received,
      fix: "choose others",
    });
  }
  await writeWeights(folder, shardsOf(model.namedState(), dtype, maxShardBytes), dtype);
  await saveConfigs(model, folder, dtype ?? storageOf(model), tokenizer?.endOfTextId);
  await saveCompanions(model.source, folder, { tokenizer });
}

/**
 * Writes config.json, and generation_config.json for what generates. With `endOfTextId` a model that was made, and not
 * loaded, ends there: the default of its config is of another tokenizer.
 */
export async function saveConfigs(
  model: PretrainedModel,
  folder: string,
  dtype: SavedDType = "f32",
  endOfTextId?: number | null,
): Promise<void> {
  const { family, modelType, architecture, task } = model;
  await writeJson(join(folder, CONFIG), {
    architectures: [architecture],
    model_type: modelType,
    dtype: dtypeNames[dtype],
    ...withRealsOf(family, family.configToJson(model)),
  });
  if (!writing.includes(task)) return;
  const { config } = model instanceof ImageTextModel ? model.languageModel : model;
  const { bosTokenId, eosTokenId } = config as Partial<CausalLM["config"]>;
  const isMade = model.source === undefined && Object.keys(model.generationConfig).length === 0;
  const ends = [eosTokenId ?? []].flat();
  const end = isMade && typeof endOfTextId === "number" && !ends.includes(endOfTextId) ? endOfTextId : undefined;
  const isFromConfig = Object.keys(model.generationConfig).length === 0 && end === undefined;
  await writeJson(join(folder, GENERATION), {
    // of a file with this, transformers reads no fields of a model's own, such as Whisper's languages
    ...(isFromConfig && { _from_model_config: true }),
    bos_token_id: bosTokenId,
    eos_token_id: end ?? eosTokenId,
    ...model.generationConfig,
  });
}

/** The objects of a config.json as they are written. */
function withRealsOf({ configKeys }: Family, json: Json): Json {
  const { parts = {}, fields } = typeof configKeys === "function" ? configKeys(json) : configKeys;
  const written = withReals(json, fields);
  for (const [name, part] of Object.entries(parts)) {
    const object = json[name];
    if (object !== null && typeof object === "object") written[name] = withReals(object as Json, part.fields);
  }
  return written;
}

/** The dtype that most of a model's weights are kept in, by the largest. */
function storageOf(model: PretrainedModel): SavedDType {
  const sizeOf = ({ shape }: Variable) => shape.reduce((a, b) => a * b, 1);
  const [largest] = model.parameters().sort((a, b) => sizeOf(b) - sizeOf(a));
  return largest?.stored ?? "f32";
}

type State = ReadonlyMap<string, Variable>;
const savedDType = (variable: Variable, dtype: SavedDType = variable.stored as SavedDType) =>
  variable.dtype === "f32" ? dtype : variable.dtype;
const storedBytes = (variable: Variable, dtype: SavedDType | undefined) =>
  variable.shape.reduce((a, b) => a * b, bytesPerElement[savedDType(variable, dtype)]);

/** Weights in their order, as many to a file as fit; a larger one has a file of its own. */
function shardsOf(state: State, dtype: SavedDType | undefined, maxShardBytes: number): Map<string, Variable>[] {
  const shards: Map<string, Variable>[] = [new Map()];
  let filled = 0;
  for (const [key, variable] of state) {
    const bytes = storedBytes(variable, dtype);
    if (filled > 0 && filled + bytes > maxShardBytes) {
      shards.push(new Map());
      filled = 0;
    }
    shards[shards.length - 1].set(key, variable);
    filled += bytes;
  }
  return shards;
}

async function writeWeights(folder: string, shards: readonly State[], dtype: SavedDType | undefined): Promise<void> {
  const number = (n: number) => String(n).padStart(5, "0");
  const names =
    shards.length === 1
      ? [WEIGHTS]
      : shards.map((_, i) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  const weightMap: Record<string, string> = {};
  let [totalBytes, totalParameters] = [0, 0];
  for (const [i, shard] of shards.entries()) {
    // one file after another, so that no more than one is in memory twice
    const tensors = new Map<string, StoredTensor>();
    for (const [key, variable] of shard) {
      tensors.set(key, await stored(variable, dtype));
      weightMap[key] = names[i];
      totalBytes += storedBytes(variable, dtype);
      totalParameters += variable.shape.reduce((a, b) => a * b, 1);
    }
    await writeSafetensors(join(folder, names[i]), tensors);
  }
  const kept = [...names];
  if (shards.length > 1) {
    await writeJson(join(folder, INDEX), {
      metadata: { total_size: totalBytes, total_parameters: totalParameters },
      weight_map: weightMap,
    });
    kept.push(INDEX);
  }
  const old = (await readdir(folder)).filter(
    (name) => (name === WEIGHTS || name === INDEX || SHARD.test(name)) && !kept.includes(name),
  );
  for (const name of old) await rm(join(folder, name));
}

async function stored(variable: Variable, wanted: SavedDType | undefined): Promise<StoredTensor> {
  const { shape } = variable;
  const dtype = savedDType(variable, wanted);
  const data = await variable.read();
  if (dtype === variable.dtype) return { dtype, shape, data } as StoredTensor;
  return { dtype, shape, data: hostArrayFrom(dtype, data as Float32Array) } as StoredTensor;
}
