import { checkOptions, DataError, type OnWarning, OptionError, type Warning, warnOnConsole } from "../base/index.ts";
import { type Folder, folderAt, isFile, readJson, type StoredFile } from "../files/index.ts";
import { openPlace, type PlaceOptions } from "../hub/index.ts";
import { type RandomKey, randomKey } from "../tensor/index.ts";
import { requireSpelling, reviewConfig } from "./config-review.ts";
import type { CausalLM } from "./decoders/causal-lm.ts";
import type {
  EncoderModel,
  MaskedLM,
  QuestionAnswerer,
  ReplacedTokenDetector,
  SequenceClassifier,
  TokenClassifier,
} from "./encoders/family.ts";
import { families } from "./families.ts";
import { architectureFor, createModel } from "./family.ts";
import { type GgufOptions, loadGguf } from "./formats/gguf.ts";
import type { Json, LabelConfig } from "./labels.ts";
import { type Fit, fitWeights, namesByLayer, readWeights, setWeights } from "./load-weights.ts";
import type { Family, PretrainedModel, Task } from "./model.ts";
import { quantizeWeights, requireWideInputs } from "./quantize-weights.ts";
import { CONFIG, GENERATION } from "./save-pretrained.ts";
import type { Seq2SeqLM } from "./seq2seq/seq2seq.ts";
import type { WhisperForConditionalGeneration } from "./seq2seq/whisper.ts";
import type { ClipForImageClassification, ClipModel } from "./vision/clip.ts";
import type { ObjectDetector } from "./vision/detection.ts";
import type { ImageClassifier, SemanticSegmenter } from "./vision/image.ts";
import type { BlipForConditionalGeneration } from "./vision-language/blip.ts";
import type { ImageTextModel } from "./vision-language/vision-language.ts";
import { weightFiles } from "./weight-files.ts";

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

/**
 * How a model is opened: what for, with which head, and how its weights are kept. By default it is what its config.json
 * says, with all weights in f32, mapped from their file where they can be.
 */
export interface LoadOptions<T extends Task = Task> extends PlaceOptions {
  /** What the model is for. @default what its config.json says */
  task?: T;
  /**
   * "new" to start a head from random weights, for fine-tuning: what the checkpoint has not of it, or in another shape,
   * is not spoken of.
   * @default "stored"
   */
  head?: "stored" | "new";
  /** Class names of a new head. @default those of config.json */
  labels?: readonly string[];
  /** What the classes of a sequence classifier are to one another. @default that of config.json */
  problemType?: LabelConfig["problemType"];
  /** Fields of config.json that are otherwise than stored, such as `{ eos_coefficient: 0.2 }`. @default none */
  config?: Json;
  /** For weights that are not in the checkpoint. @default randomKey(0) */
  key?: RandomKey;
  /**
   * How weights are kept in memory: "f32" widens them once; "stored" keeps large ones as the file has them, in 16 bits
   * and, of a GGUF file, in blocks, and widens them as they are used, so that a step of few tokens takes longer;
   * "blocks", of a GGUF file, keeps those in blocks; "nf4", of any other checkpoint, brings linear layers into NF4, as
   * quantizeWeights does, and keeps all else as "stored" does. Blocks of 4 or 8 bits run and are not trained; what is
   * around them is, and an update of a weight in 16 bits is rounded to them. @default "f32"
   */
  weights?: GgufOptions["weights"] | "nf4";
  /**
   * With blocks, what the layers' inputs are rounded to on the CPU: 8 bits, as in llama.cpp, or not at all, at several
   * times the cost. @default "int8"
   */
  activations?: GgufOptions["activations"];
  /**
   * The checkpoint must have exactly the model's weights. @default false: what is left over or missing is warned of, as
   * transformers does
   */
  strict?: boolean;
  /** Weights of another shape in the checkpoint start anew. @default false, they are an error */
  ignoreMismatchedSizes?: boolean;
  /** A folder inside of the model's. @default none */
  subfolder?: string;
  /**
   * Large weights are pages of their file, read when they are used: it must not be cut or written over while the model
   * lives (replacing and removing it is safe). false reads all at once. @default true, where files can be mapped
   */
  mmap?: boolean;
  /**
   * Of several sets of weights, the one whose files have this in their names, such as "fp16" in model.fp16.safetensors.
   * @default the one without
   */
  variant?: string;
  /** Takes what is not followed, once. @default console.warn */
  onWarning?: OnWarning<LoadWarning>;
}

/** The names of the options of `fromPretrained`: any other is an error there. Pipelines pass most of them on. */
export const loadOptionNames: readonly (keyof LoadOptions)[] = [
  ...(["task", "head", "labels", "problemType", "config", "key", "weights", "activations", "hub", "cache"] as const),
  ...(["strict", "ignoreMismatchedSizes", "subfolder", "variant", "mmap", "onWarning"] as const),
];

/** What a model was loaded without. */
export interface LoadWarning extends Warning {
  /** Tensors of the checkpoint that the model has no place for. */
  unused: readonly string[];
  /** Weights that the checkpoint has not, or in another shape: they start as at the beginning of training. */
  initialized: readonly string[];
}

/**
 * Loads a model from a folder in Hugging Face layout, a repository such as "owner/name", or a .gguf file (of most
 * decoders); by its path, in a page by its address, or from files in memory (memoryFolder). Weights, of safetensors,
 * torch or ONNX, are widened to f32. As in transformers, tensors that the model has no place for are left, weights that
 * are not there start anew, and `onWarning` hears of both.
 * @throws DataError when a file is missing, damaged or of another architecture; ShapeError for a weight of another
 *   shape; CheckpointError when no weight fits, or one is missing or left over and the loading is strict
 *
 * @example
 * const model = await fromPretrained("runs/sotu/model", { task: "causal-lm" });
 */
export async function fromPretrained<T extends keyof TaskModels>(
  place: string | Folder | StoredFile,
  options: LoadOptions<T> & { task: T },
): Promise<TaskModels[T]>;
export async function fromPretrained(
  place: string | Folder | StoredFile,
  options?: LoadOptions,
): Promise<PretrainedModel>;
export async function fromPretrained(
  name: string | Folder | StoredFile,
  options: LoadOptions = {},
): Promise<PretrainedModel> {
  checkOptions("fromPretrained", options, loadOptionNames);
  requireWeightsOption(options);
  const place = await openPlace(name, options);
  if (isFile(place)) return loadFile(place, options);
  const folder = options.subfolder === undefined ? place : place.folder(options.subfolder);
  const files = await weightFiles(folder, options.variant);
  const configFile = folder.file(CONFIG);
  const { name: configPath } = configFile;
  const stored = await readJson(configFile);
  const { labels, problemType, config, task, onWarning = warnOnConsole } = options;
  const named = labels && {
    id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
    num_labels: labels.length,
  };
  const problem = problemType !== undefined && { problem_type: problemType };
  const notes: string[] = [];
  const description = openConfig(configPath, { ...stored, ...named, ...problem, ...config }, task, notes);
  const { model, unused, initialized } = await loadModel(files, configPath, description, options, notes);
  model.generationConfig = (await folder.has(GENERATION))
    ? await readJson(folder.file(GENERATION))
    : generationPart(description.json);
  model.source = folder;
  if (notes.length > 0) onWarning({ where: `fromPretrained, ${folder.name}`, notes, unused, initialized });
  return model;
}

/** @throws DataError for a file that is no model by itself */
function loadFile(file: StoredFile, { weights, activations, mmap, subfolder, config }: LoadOptions): Promise<CausalLM> {
  if (config !== undefined)
    throw new OptionError({
      where: `fromPretrained, ${file.name}`,
      expected: "no fields of config.json, which a file has not",
      received: `config with ${Object.keys(config).join(", ")}`,
      fix: "name a folder with a config.json",
    });
  if (weights === "nf4")
    throw new OptionError({
      where: `fromPretrained, ${file.name}`,
      expected: 'weights of "f32", "stored" or "blocks" for a file, whose blocks are integers',
      received: '"nf4"',
      fix: 'use "blocks", or quantizeWeights(model, { type: "nf4" }) for a model that was opened in f32',
    });
  if (file.base.endsWith(".gguf") && subfolder === undefined) return loadGguf(file, { weights, activations, mmap });
  throw new DataError({
    where: file.name,
    expected: "a model's folder, or a .gguf file",
    received: "another file",
    fix: "name the folder with its config.json",
  });
}

/** @throws OptionError for another way to keep weights */
function requireWeightsOption({ weights = "f32", activations }: LoadOptions): void {
  if (weights === "nf4") requireWideInputs("fromPretrained", activations);
  if (["f32", "stored", "blocks", "nf4"].includes(weights)) return;
  throw new OptionError({
    where: "fromPretrained",
    expected: 'weights to be "f32", "stored", "blocks" or "nf4"',
    received: JSON.stringify(weights),
    fix: 'use "stored" to keep weights as the file has them',
  });
}

interface Description {
  family: Family;
  architecture: string;
  /** config.json, with the usual names of its keys and without what nothing reads. */
  json: Json;
}

function openConfig(path: string, json: Json, task: Task | undefined, notes: string[]): Description {
  const family = families.find(path, json);
  const translated = family.translate?.(json) ?? json;
  return {
    family,
    architecture: architectureFor(path, translated, family, task),
    json: reviewConfig(path, translated, family, notes),
  };
}

/**
 * Looks whether a config.json that somebody wrote by hand is followed.
 * @throws DataError for a key that nothing reads and that is one that is read, and absent, but for a letter or two
 */
export const checkConfigKeys = (json: Json): void => requireSpelling("config", json, families.find("config", json));

/** Makes a model for a config in the form of config.json, with weights as at the start of training. */
export function fromConfig<T extends keyof TaskModels>(
  json: Json,
  { task, key = randomKey(0), onWarning = warnOnConsole }: { task: T; key?: RandomKey; onWarning?: OnWarning },
): TaskModels[T] {
  const notes: string[] = [];
  const { family, architecture, json: reviewed } = openConfig("config", json, task, notes);
  const model = createModel(family, architecture, "config", reviewed, key) as TaskModels[T];
  if (notes.length > 0) onWarning({ where: "fromConfig", notes });
  return model;
}

/**
 * Loads the weights in a folder into a model that exists, which must be exactly its own. Nothing changes unless
 * everything fits.
 */
export async function loadPretrained(model: PretrainedModel, place: string | Folder): Promise<void> {
  const weights = await readWeights(await weightFiles(folderAt(place)), model);
  setWeights(weights, fitWeights(weights, model), model, {
    strict: true,
    ignoreMismatchedSizes: false,
    isNew: () => false,
  });
}

/** Makes a model and sets its weights; notes what is left over and what is missing. */
async function loadModel(
  files: readonly StoredFile[],
  configPath: string,
  { family, architecture, json }: Description,
  {
    head = "stored",
    key = randomKey(0),
    weights: kept,
    strict = false,
    ignoreMismatchedSizes = false,
    mmap,
  }: LoadOptions,
  notes: string[],
): Promise<{ model: PretrainedModel } & Pick<LoadWarning, "unused" | "initialized">> {
  let model = createModel(family, architecture, configPath, json, key);
  const weights = await readWeights(files, model, mmap);
  let fit = fitWeights(weights, model);
  if (fit.untied.length > 0 && family.untie) {
    const [[name, source]] = fit.untied;
    if (json.tie_word_embeddings !== false)
      notes.push(
        `${name} and ${source} are stored with other numbers: they are not tied, though tie_word_embeddings is true`,
      );
    model = createModel(family, architecture, configPath, family.untie(json), key);
    fit = fitWeights(weights, model);
  }
  requireTied(files[0].name, fit.untied);
  const isNew = head === "new" ? isOfHead(model) : () => false;
  setWeights(weights, fit, model, { strict, ignoreMismatchedSizes, isNew }, kept === "stored" || kept === "nf4");
  if (kept === "nf4") await quantizeWeights(model, { type: "nf4" });
  const initialized = [...fit.missing, ...fit.misshapen];
  const unexpected = head === "new" ? fit.unused.filter((name) => !isNew(name)) : fit.unused;
  const lacking = initialized.filter((name) => !isNew(name));
  if (unexpected.length > 0)
    notes.push(`not used, since ${architecture} has no such weights: ${namesByLayer(unexpected)}`);
  if (lacking.length > 0)
    notes.push(
      `not in the checkpoint, or of another shape there; they start anew and want training: ${namesByLayer(lacking)}`,
    );
  return { model, unused: fit.unused, initialized };
}

/** Whether a name is not of the base model. */
function isOfHead(model: PretrainedModel): (name: string) => boolean {
  const { prefix } = model.family;
  const hasHead = prefix !== undefined && [...model.namedState().keys()].some((key) => key.startsWith(`${prefix}.`));
  return (name) => hasHead && !name.startsWith(`${prefix}.`);
}

/** @throws DataError for weights that differ and can only be one */
function requireTied(path: string, [untied]: Fit["untied"]): void {
  if (!untied) return;
  const [name, source] = untied;
  throw new DataError({
    where: `${path}, tensor ${name}`,
    expected: `the numbers of ${source}, with which it is one`,
    received: "others",
    fix: "use another model",
  });
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
const generationPart = (json: Json): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => generationKeys.includes(key)));
