/** Sentence models in folders of sentence-transformers: opened for training, and saved so that it loads them. */
import { join } from "node:path";
import {
  type Folder,
  makeFolder,
  readBytes,
  readJson,
  readJsonList,
  readSafetensors,
  type StoredTensor,
  writeFileAtomic,
  writeJson,
  writeSafetensors,
} from "../../files/index.ts";
import { openFolder } from "../../hub/index.ts";
import { type EncoderModel, loadPretrained, savePretrained } from "../../models/index.ts";
import { loadStateDict, type StateDict } from "../../nn/index.ts";
import { poolingOf, readModules, type SentenceModule } from "../../pipelines/index.ts";
import type { Variable } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { type TextForm, textForm } from "./encoded-texts.ts";
import { openModel, openTokenizer, requireVocabulary } from "./models.ts";
import { SentenceModel } from "./sentence-model.ts";
import { withLayers } from "./student.ts";

/** The poolings that a config can name, and their keys in sentence-transformers' files. */
const poolingKeys = {
  mean: "mean_tokens",
  cls: "cls_token",
  max: "max_tokens",
  lasttoken: "lasttoken",
} as const;
/** Names of the poolings that a config can have. */
export const poolings = Object.keys(poolingKeys) as (keyof typeof poolingKeys)[];

/** Where a sentence model comes from: its folder, the transformer's in it, and what comes after that. */
interface Origin {
  folder: Folder | undefined;
  transformer: Folder | undefined;
  modules: readonly SentenceModule[];
}

/** A sentence model with all that belongs to it. */
export interface OpenedSentences {
  model: SentenceModel;
  tokenizer: Tokenizer;
  form: TextForm;
  /** Writes a checkpoint: files without folders. */
  save(folder: string): Promise<void>;
  /** Reads a checkpoint. */
  load(folder: string): Promise<void>;
  /** Writes the folder of sentence-transformers. */
  saveResult(folder: string): Promise<void>;
}

/** How a sentence model is opened. */
export interface OpenSentencesOptions {
  /** Of a folder without modules.json. @default "mean" */
  pooling?: string;
  /** The encoder's layers that are taken. @default all */
  layers?: readonly number[];
  /** What a new model's config.json says where the config does not. */
  defaults?: Readonly<Record<string, unknown>>;
}

/**
 * The sentence model of a config. A folder without modules.json gets `pooling`, and sentence-transformers' files when
 * it is saved.
 * @throws DataError for a module or a pooling that is not known, or a tokenizer that does not fit
 */
export async function openSentences(
  config: SharedConfig,
  { pooling = "mean", layers, defaults }: OpenSentencesOptions,
  context: MethodContext,
): Promise<OpenedSentences> {
  const origin = await originOf(config, pooling);
  const { transformer, modules } = origin;
  const place = transformer && transformer !== origin.folder ? withName(config, transformer.name) : config;
  const whole = (await openModel(place, { task: "feature-extraction", defaults }, context)) as EncoderModel;
  const encoder = layers ? await withLayers(whole, layers, "feature-extraction") : whole;
  const model = new SentenceModel(encoder, modules);
  const tokenizer = await openTokenizer(place);
  requireVocabulary(tokenizer, encoder);
  const limits = await settingsIn(transformer, "sentence_bert_config.json");
  const further = typeof limits.max_seq_length === "number" ? limits.max_seq_length : undefined;
  const lowercases = limits.do_lower_case === true;
  const form = { ...textForm(config, { tokenizer, model: encoder, further }), lowercases };
  const inside = origin.folder && transformer !== origin.folder ? await placeOf(origin.folder) : "";
  return {
    model,
    tokenizer,
    form,
    save: (folder) => saveCheckpoint(folder, model, tokenizer),
    load: (folder) => loadCheckpoint(folder, model),
    saveResult: (folder) => saveSentences(folder, { model, tokenizer, origin, inside, pooling, form }),
  };
}

const withName = (config: SharedConfig, name: string): SharedConfig => ({
  ...config,
  model: typeof config.model === "object" && "name" in config.model ? { ...config.model, name } : name,
  tokenizer: config.tokenizer ?? name,
});

async function originOf({ model }: SharedConfig, pooling: string): Promise<Origin> {
  const name = typeof model === "string" ? model : "name" in model ? model.name : undefined;
  const usual = [poolingOf("config, pooling", { pooling_mode: pooling })];
  if (name === undefined) return { folder: undefined, transformer: undefined, modules: usual };
  const folder = await openFolder(name, {});
  if (!(await folder.has(MODULES))) return { folder: undefined, transformer: folder, modules: usual };
  return { folder, ...(await readModules(folder)) };
}

const MODULES = "modules.json";
const POOLING = "1_Pooling";

/** Where in a folder of sentence-transformers the transformer is. */
async function placeOf(folder: Folder): Promise<string> {
  const list = (await readJsonList(folder.file(MODULES))) as { path: string; type: string }[];
  return list.find(({ type }) => type.endsWith("Transformer"))?.path ?? "";
}

const settingsIn = async (folder: Folder | undefined, name: string): Promise<Record<string, unknown>> =>
  folder && (await folder.has(name)) ? readJson(folder.file(name)) : {};

interface Saved {
  model: SentenceModel;
  tokenizer: Tokenizer;
  origin: Origin;
  /** Folder of the transformer. */
  inside: string;
  pooling: string;
  form: TextForm;
}

async function saveSentences(
  folder: string,
  { model, tokenizer, origin, inside, pooling, form }: Saved,
): Promise<void> {
  await savePretrained(model.encoder, join(folder, inside), { tokenizer });
  if (!origin.folder) return writeLayout(folder, { pooling, form, width: model.encoder.config.hiddenSize });
  await copyFile(origin.folder, folder, MODULES);
  await copyFile(origin.folder, folder, "config_sentence_transformers.json");
  if (origin.transformer) await copyFile(origin.transformer, join(folder, inside), "sentence_bert_config.json");
  const list = (await readJsonList(origin.folder.file(MODULES))) as { path: string }[];
  for (const { path } of list)
    if (path !== inside && path !== "") await copyFile(origin.folder.folder(path), join(folder, path), "config.json");
  for (const { place, linear } of model.dense)
    await writeState(join(folder, place, "model.safetensors"), linear.namedState("linear."));
}

async function writeState(path: string, state: ReadonlyMap<string, Variable>): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, variable] of state)
    tensors.set(name, { dtype: "f32", shape: variable.shape, data: (await variable.read()) as Float32Array });
  await writeSafetensors(path, tensors);
}

async function copyFile(from: Folder, to: string, name: string): Promise<void> {
  if (!(await from.has(name))) return;
  await makeFolder(to);
  await writeFileAtomic(join(to, name), await readBytes(from.file(name)));
}

/** The files of sentence-transformers for a model that had none. */
async function writeLayout(
  folder: string,
  { pooling, form, width }: { pooling: string; form: TextForm; width: number },
): Promise<void> {
  await makeFolder(join(folder, POOLING));
  const module = (idx: number, path: string, name: string) => ({
    ...{ idx, name: String(idx), path },
    type: `sentence_transformers.models.${name}`,
  });
  const list = [module(0, "", "Transformer"), module(1, POOLING, "Pooling")];
  await writeFileAtomic(join(folder, MODULES), `${JSON.stringify(list, null, 2)}\n`);
  const modes = Object.entries(poolingKeys).map(([mode, key]) => [`pooling_mode_${key}`, mode === pooling]);
  await writeJson(join(folder, POOLING, "config.json"), {
    word_embedding_dimension: width,
    ...Object.fromEntries(modes),
  });
  await writeJson(join(folder, "sentence_bert_config.json"), {
    max_seq_length: form.maxLength,
    do_lower_case: false,
  });
}

/** The layers behind the pooling, in checkpoints. */
const DENSE = "dense.safetensors";

async function saveCheckpoint(folder: string, model: SentenceModel, tokenizer: Tokenizer): Promise<void> {
  await savePretrained(model.encoder, folder, { tokenizer });
  if (model.dense.length > 0) await writeState(join(folder, DENSE), model.denseState());
}

async function loadCheckpoint(folder: string, model: SentenceModel): Promise<void> {
  await loadPretrained(model.encoder, folder);
  if (model.dense.length === 0) return;
  const path = join(folder, DENSE);
  loadStateDict(path, model.denseState(), (await readSafetensors(path)).tensors as StateDict);
}
