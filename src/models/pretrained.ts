import { join } from "node:path";
import { exists, readJson, readSafetensorsHeader, type StoredTensor } from "../files/index.ts";
import { type HubOptions, isRepositoryId, pull } from "../hub/index.ts";
import { checkOptions, DataError, HalfArray, isFloat, OptionError } from "../ir/index.ts";
import { loadStateDict, type StateTensor } from "../nn/index.ts";
import { type RandomKey, randomKey } from "../tensor/index.ts";
import type { CausalLM } from "./decoders/causal-lm.ts";
import type { EncoderModel, MaskedLM, QuestionAnswerer, ReplacedTokenDetector, SequenceClassifier, TokenClassifier } from "./encoders/family.ts";
import { architectureFor, familyOf } from "./families.ts";
import { type GgufOptions, loadGguf } from "./formats/gguf.ts";
import type { Json } from "./labels.ts";
import type { PretrainedModel, Task } from "./model.ts";
import { CONFIG, GENERATION } from "./save-pretrained.ts";
import type { Seq2SeqLM } from "./seq2seq/seq2seq.ts";
import type { WhisperForConditionalGeneration } from "./seq2seq/whisper.ts";
import type { ClipForImageClassification, ClipModel } from "./vision/clip.ts";
import type { ObjectDetector } from "./vision/detection.ts";
import type { ImageClassifier, SemanticSegmenter } from "./vision/image.ts";
import { fromTimmConfig } from "./vision/resnet.ts";
import type { BlipForConditionalGeneration } from "./vision-language/blip.ts";
import type { ImageTextModel } from "./vision-language/vision-language.ts";
import { isOwnOnnx, tensorsIn, weightFiles } from "./weight-files.ts";

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
  /** With blocks, what the layers' inputs are rounded to on the CPU: 8 bits, as in llama.cpp, or not at all, at several times the cost. @default "int8" */
  activations?: GgufOptions["activations"];
  /** How a model is fetched that is named by the id of its repository. */
  hub?: HubOptions;
}

/**
 * Loads a model from a folder in Hugging Face layout, a repository such as "owner/name", or a .gguf file (Llama, Qwen2, Qwen3).
 * Weights, of safetensors, torch or ONNX, are widened to f32.
 * @throws DataError when a file is missing, damaged or of another architecture; CheckpointError or ShapeError when the
 *   weights do not fit the config.
 *
 * @example
 * const model = await fromPretrained("runs/sotu/model", { task: "causal-lm" });
 */
export async function fromPretrained<T extends keyof TaskModels>(path: string, options: LoadOptions<T> & { task: T }): Promise<TaskModels[T]>;
export async function fromPretrained(path: string, options?: LoadOptions): Promise<PretrainedModel>;
export async function fromPretrained(name: string, options: LoadOptions = {}): Promise<PretrainedModel> {
  checkOptions("fromPretrained", options, ["task", "head", "labels", "key", "weights", "hub"]);
  const path = await localPath(name, options.hub);
  if (path.endsWith(".gguf")) {
    const model = await loadGguf(path, { weights: options.weights, activations: options.activations });
    model.source = path;
    return model;
  }
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
  model.source = path;
  return model;
}

/**
 * A folder or file on this machine; what is none and could be the id of a repository is pulled.
 * @throws OptionError for what is no name
 */
export async function localPath(name: string, hub?: HubOptions): Promise<string> {
  if (typeof name !== "string" || name === "") {
    const received = name === undefined ? "nothing" : JSON.stringify(name);
    throw new OptionError({ where: "model", expected: 'a folder, a .gguf file or a repository such as "owner/name"', received, fix: "pass its name" });
  }
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
  for (const path of files) await addWeights(state, model, wanted.keys(), tensorsIn(path));
  untie(files[0], state, familyOf(folder, model.modelType).tied?.(model) ?? {});
  const { prefix, mayLack } = familyOf(folder, model.modelType);
  const isOnnx = files[0].endsWith(".onnx"); // has constants too, and, where we wrote it, not what the task has no use for
  const lacking = [...wanted.keys()].filter((key) => !state.has(key));
  const isOwn = isOnnx && lacking.length > 0 && (await isOwnOnnx(files[0]));
  for (const key of lacking) if (isOwn || mayLack?.test(key) || (leniency.mayLackHead && !key.startsWith(`${prefix}.`))) wanted.delete(key);
  if (leniency.mayHaveOther || isOnnx) for (const key of state.keys()) if (!wanted.has(key)) state.delete(key);
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
  const found = new Map<string, Uint8Array>();
  for (const path of await weightFiles(folder)) {
    const known = path.endsWith(".safetensors") ? (await readSafetensorsHeader(path)).tensors : undefined;
    const names = known && [tensor, source].filter((name) => known.has(name));
    for await (const [name, { data }] of tensorsIn(path, { names })) {
      if (name === tensor || name === source) found.set(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  const [own, repeated] = [found.get(source), found.get(tensor)];
  return own !== undefined && repeated !== undefined && Buffer.compare(own, repeated) !== 0;
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
    else if (!areEqual(repeated.data, own.data)) {
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

function areEqual(a: StateTensor["data"], b: StateTensor["data"]): boolean {
  if (a.length !== b.length) return false;
  const [first, second] = a instanceof HalfArray && b instanceof HalfArray && a.dtype === b.dtype ? [a.bits, b.bits] : [wide(a), wide(b)];
  return first.every((value, i) => value === second[i]);
}
const wide = (data: StateTensor["data"]) => (data instanceof HalfArray ? data.widened() : data);

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
    state.set(key, { dtype: "f32", shape, data: dtype === "f32" ? (data as Float32Array) : new HalfArray(dtype, data as Uint16Array) });
  }
}

/** "bert.pooler.x" for a model whose key is "pooler.x", or the other way round. */
function otherPrefix(name: string, prefix: string, own: ReadonlySet<string>): string {
  const without = name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : undefined;
  if (without !== undefined && own.has(without)) return without;
  return own.has(`${prefix}.${name}`) ? `${prefix}.${name}` : name;
}
