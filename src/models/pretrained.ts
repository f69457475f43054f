import { join } from "node:path";
import { eachSafetensor, exists, type ReadOptions, readJson, readSafetensorsHeader, readTorch, type StoredTensor } from "../files/index.ts";
import { type HubOptions, isRepositoryId, pull } from "../hub/index.ts";
import { DataError, isFloat, widenToF32 } from "../ir/index.ts";
import { loadStateDict, type StateTensor } from "../nn/index.ts";
import { type RandomKey, randomKey } from "../tensor/index.ts";
import type { CausalLM } from "./decoders/causal-lm.ts";
import type { EncoderModel, MaskedLM, QuestionAnswerer, ReplacedTokenDetector, SequenceClassifier, TokenClassifier } from "./encoders/family.ts";
import { architectureFor, familyOf } from "./families.ts";
import { type GgufOptions, loadGguf } from "./formats/gguf.ts";
import type { Json } from "./labels.ts";
import type { PretrainedModel, Task } from "./model.ts";
import { CONFIG, GENERATION, INDEX, WEIGHTS } from "./save-pretrained.ts";
import type { Seq2SeqLM } from "./seq2seq/seq2seq.ts";
import type { WhisperForConditionalGeneration } from "./seq2seq/whisper.ts";
import type { ClipForImageClassification, ClipModel } from "./vision/clip.ts";
import type { ObjectDetector } from "./vision/detection.ts";
import type { ImageClassifier, SemanticSegmenter } from "./vision/image.ts";
import { fromTimmConfig } from "./vision/resnet.ts";
import type { BlipForConditionalGeneration } from "./vision-language/blip.ts";
import type { ImageTextModel } from "./vision-language/vision-language.ts";

const TORCH_WEIGHTS = "pytorch_model.bin";
const TORCH_INDEX = "pytorch_model.bin.index.json";

/** The type of model that each task gives. */
export interface TaskModels {
  "causal-lm": CausalLM;
  "feature-extraction": EncoderModel;
  "masked-lm": MaskedLM;
  "replaced-token-detection": ReplacedTokenDetector;
  "sequence-classification": SequenceClassifier;
  "token-classification": TokenClassifier;
  "question-answering": QuestionAnswerer;
  "seq2seq-lm": Seq2SeqLM;
  "speech-seq2seq": WhisperForConditionalGeneration;
  "image-classification": ImageClassifier | ClipForImageClassification;
  "semantic-segmentation": SemanticSegmenter;
  "object-detection": ObjectDetector;
  "zero-shot-image-classification": ClipModel;
  "image-to-text": BlipForConditionalGeneration;
  "image-text-to-text": ImageTextModel;
}

export interface LoadOptions<T extends Task = Task> {
  /** What the model is for. @default what its config.json says */
  task?: T;
  /**
   * "new" to start a head that the checkpoint lacks from random weights, for fine-tuning; what the checkpoint has of another head is passed
   * over. @default "stored", which is strict
   */
  head?: "stored" | "new";
  /** Class names of a new head. @default those of config.json */
  labels?: readonly string[];
  /** For the weights of a new head. @default randomKey(0) */
  key?: RandomKey;
  /** Of a GGUF file: "blocks" runs quantized weights as they are stored, in 4 or 8 bits, and does not train them. @default "f32" */
  weights?: GgufOptions["weights"];
  /** How a model is fetched that is named by the id of its repository. */
  hub?: HubOptions;
}

/**
 * Loads a model from a folder in Hugging Face layout, a repository such as "owner/name", or a .gguf file (Llama, Qwen2, Qwen3).
 * Weights, of safetensors or of torch, are widened to f32.
 * @throws DataError when a file is missing, damaged or of another architecture; CheckpointError or ShapeError when the
 *   weights do not fit the config.
 *
 * @example
 * const model = await fromPretrained("runs/sotu/model", { task: "causal-lm" });
 */
export async function fromPretrained<T extends keyof TaskModels>(path: string, options: LoadOptions<T> & { task: T }): Promise<TaskModels[T]>;
export async function fromPretrained(path: string, options?: LoadOptions): Promise<PretrainedModel>;
export async function fromPretrained(name: string, options: LoadOptions = {}): Promise<PretrainedModel> {
  const path = await localPath(name, options.hub);
  if (path.endsWith(".gguf")) return loadGguf(path, { weights: options.weights });
  const configPath = join(path, CONFIG);
  const stored = fromTimmConfig(await readJson(configPath));
  const { head = "stored", labels, key = randomKey(0), task } = options;
  const named = labels && { id2label: Object.fromEntries(labels.map((label, i) => [i, label])) };
  const json: Json = { ...stored, ...named };
  const family = familyOf(configPath, json.model_type);
  const architecture = architectureFor(configPath, json, family, task);
  const { untiedBy } = family;
  if (untiedBy) json[untiedBy.key] = await isUntied(path, untiedBy);
  const model = family.create(architecture, configPath, json, key);
  const isOther = architecture !== [stored.architectures].flat()[0];
  await loadWeights(model, path, { mayLackHead: head === "new", mayHaveOther: isOther });
  const generation = join(path, GENERATION);
  model.generationConfig = (await exists(generation)) ? await readJson(generation) : generationPart(json);
  return model;
}

/** A folder or file on this machine; what is none and could be the id of a repository is pulled. */
export async function localPath(name: string, hub?: HubOptions): Promise<string> {
  return !isRepositoryId(name) || (await exists(name)) ? name : pull(name, hub);
}

/** Makes a model for a config in the form of config.json, with weights as at the start of training. */
export function fromConfig<T extends keyof TaskModels>(json: Json, options: { task: T; key?: RandomKey }): TaskModels[T] {
  const family = familyOf("config", json.model_type);
  const architecture = architectureFor("config", json, family, options.task);
  return family.create(architecture, "config", json, options.key ?? randomKey(0)) as TaskModels[T];
}

/** Loads the weights in a folder into a model that exists. Nothing changes unless everything fits. */
export async function loadPretrained(model: PretrainedModel, folder: string): Promise<void> {
  await loadWeights(model, folder, { mayLackHead: false, mayHaveOther: false });
}

interface Leniency {
  /** Weights of a head may be missing. */
  mayLackHead: boolean;
  /** There may be weights of another head. */
  mayHaveOther: boolean;
}

async function loadWeights(model: PretrainedModel, folder: string, leniency: Leniency): Promise<void> {
  const files = await weightFiles(folder);
  const state = new Map<string, StateTensor>();
  const wanted = model.namedState();
  for (const path of files) await addWeights(state, model, wanted.keys(), tensorsIn(path, { widen: true }));
  untie(files[0], state, familyOf(folder, model.modelType).tied?.(model) ?? {});
  const { prefix, mayLack } = familyOf(folder, model.modelType);
  if (mayLack) for (const key of wanted.keys()) if (!state.has(key) && mayLack.test(key)) wanted.delete(key);
  if (leniency.mayHaveOther) for (const key of state.keys()) if (!wanted.has(key)) state.delete(key);
  if (leniency.mayLackHead) for (const key of wanted.keys()) if (!state.has(key) && !key.startsWith(`${prefix}.`)) wanted.delete(key);
  loadStateDict(files[0], wanted, state);
}

const generationKeys = [
  "bad_words_ids",
  "begin_suppress_tokens",
  "bos_token_id",
  "decoder_start_token_id",
  "eos_token_id",
  "forced_bos_token_id",
  "forced_decoder_ids",
  "forced_eos_token_id",
  "max_length",
  "min_length",
  "no_repeat_ngram_size",
  "pad_token_id",
  "repetition_penalty",
  "suppress_tokens",
];
/** Before there was generation_config.json, config.json said how to generate. */
const generationPart = (json: Json): Json => Object.fromEntries(Object.entries(json).filter(([key]) => generationKeys.includes(key)));

/** Whether a checkpoint has a tensor with other numbers than its source. */
async function isUntied(folder: string, { tensor, source }: { tensor: string; source: string }): Promise<boolean> {
  const found: Uint8Array[] = [];
  for (const path of await weightFiles(folder)) {
    const isTorch = path.endsWith(".bin");
    const known = isTorch ? undefined : (await readSafetensorsHeader(path)).tensors;
    const names = known && [tensor, source].filter((name) => known.has(name));
    for await (const [name, { data }] of tensorsIn(path, { names })) {
      if (name === tensor || name === source) found.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  return found.length === 2 && Buffer.compare(found[0], found[1]) !== 0;
}

/**
 * Weights that a checkpoint repeats under another name: equal to their source they are passed over; without their source they are it.
 * @throws DataError when they differ from their source: the config says that they are one
 */
function untie(path: string, state: Map<string, StateTensor>, tied: Readonly<Record<string, string>>): void {
  for (const [name, source] of Object.entries(tied)) {
    const repeated = state.get(name);
    if (!repeated) continue;
    const own = state.get(source);
    if (!own) state.set(source, repeated);
    else if (repeated.data.length !== own.data.length || repeated.data.some((value, i) => value !== own.data[i])) {
      throw new DataError({
        where: `${path}, tensor ${name}`,
        expected: `the numbers of ${source}, since tie_word_embeddings is true`,
        received: "others",
        fix: "set tie_word_embeddings to false in config.json",
      });
    }
    state.delete(name);
  }
}

/**
 * The file with the weights, or the shards that an index names: safetensors, or else what torch.save wrote.
 * @throws DataError for an index that points elsewhere
 */
async function weightFiles(folder: string): Promise<string[]> {
  const candidates = [WEIGHTS, INDEX, TORCH_WEIGHTS, TORCH_INDEX].map((name) => join(folder, name));
  let index: string | undefined;
  for (const path of candidates) {
    if (!(await exists(path))) continue;
    if (!path.endsWith(".json")) return [path];
    index = path;
    break;
  }
  if (index === undefined) return [join(folder, WEIGHTS)];
  const { weight_map: map } = await readJson(index);
  const names = map !== null && typeof map === "object" ? [...new Set(Object.values(map))] : [];
  const wrong = names.find((name) => typeof name !== "string" || !/^[\w-][\w.-]*\.(safetensors|bin)$/.test(name));
  if (names.length === 0 || wrong !== undefined) {
    throw new DataError({
      where: index,
      expected: "a weight_map from tensors to files beside it",
      received: JSON.stringify(wrong) ?? "none",
      fix: "fetch the model again, from a source that you trust",
    });
  }
  return names.sort().map((name) => join(folder, name as string));
}

/** A torch file keeps no order by which parts could be read alone: it is read whole. */
async function* tensorsIn(path: string, options: ReadOptions): AsyncGenerator<[name: string, StoredTensor], void, void> {
  if (!path.endsWith(".bin")) return yield* eachSafetensor(path, options);
  const tensors = await readTorch(path);
  for (const [name, tensor] of tensors) {
    tensors.delete(name); // its memory may be needed
    yield [name, tensor];
  }
}

/** Adds weights under the names of our modules, as f32. A base model's names may have the prefix of models with a head, or lack it. */
async function addWeights(
  state: Map<string, StateTensor>,
  model: PretrainedModel,
  wanted: Iterable<string>,
  tensors: AsyncIterable<[name: string, StoredTensor]>,
): Promise<void> {
  const { tensorName, prefix } = familyOf(model.architecture, model.modelType);
  const own = new Set(wanted);
  for await (const [name, { dtype, shape, data }] of tensors) {
    const stored = tensorName(name, model);
    if (stored === undefined) continue;
    const key = own.has(stored) || prefix === undefined ? stored : otherPrefix(stored, prefix, own);
    if (!isFloat(dtype)) {
      if (!own.has(key)) continue; // a buffer that counts something
      throw new DataError({ where: `tensor ${name}`, expected: "float weights", received: dtype, fix: "convert the checkpoint to f32, f16 or bf16" });
    }
    state.set(key, { dtype: "f32", shape, data: widenToF32(dtype, data) });
  }
}

/** "bert.pooler.x" for a model whose key is "pooler.x", or the other way round. */
function otherPrefix(name: string, prefix: string, own: ReadonlySet<string>): string {
  const without = name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : undefined;
  if (without !== undefined && own.has(without)) return without;
  return own.has(`${prefix}.${name}`) ? `${prefix}.${name}` : name;
}
