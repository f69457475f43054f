/** The model and the tokenizer that a config names. */
import { OptionError } from "../../base/index.ts";
import {
  checkConfigKeys,
  fromConfig,
  fromPretrained,
  type LabelConfig,
  type LoadOptions,
  type PretrainedModel,
  type TaskModels,
} from "../../models/index.ts";
import { type Module, matchesKey, type Parameter } from "../../nn/index.ts";
import { randomKey } from "../../tensor/index.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";

/** What a config's model is opened for. */
export interface OpenModelOptions<T extends keyof TaskModels> {
  task: T;
  /** Class names of a new head. @default the stored head */
  labels?: readonly string[];
  /** The head begins anew though no classes are named. @default false */
  hasNewHead?: boolean;
  /** Of a sequence classifier. @default that of its config.json */
  problemType?: LabelConfig["problemType"];
  /** What a new model's config.json says where the config does not. */
  defaults?: Readonly<Record<string, unknown>>;
  /** Fields of config.json, a new model's or a stored one's, that are otherwise. */
  fields?: Readonly<Record<string, unknown>>;
}

/**
 * The model of a config: loaded, with a new head where there are labels, or begun anew.
 * @throws DataError or OptionError for a model that cannot be opened for the task
 */
export async function openModel<T extends keyof TaskModels>(
  config: SharedConfig,
  { task, labels, hasNewHead = labels !== undefined, problemType, defaults, fields }: OpenModelOptions<T>,
  { onWarning }: MethodContext,
): Promise<TaskModels[T]> {
  const { model, training } = config;
  const key = randomKey(training.seed);
  if (typeof model === "object" && "new" in model) {
    const names = labels && { id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])) };
    const problem = problemType && { problem_type: problemType };
    checkConfigKeys(model.new);
    return fromConfig({ ...defaults, ...names, ...problem, ...model.new, ...fields }, { task, key, onWarning });
  }
  const { name, ...options } = typeof model === "string" ? { name: model } : model;
  const head = hasNewHead && { head: "new", ...(labels && { labels }) };
  const problem = problemType !== undefined && { problemType };
  const stated = fields && { config: fields };
  const all = { task, key, onWarning, ...head, ...problem, ...stated, ...options } as LoadOptions<T> & { task: T };
  return fromPretrained(name, all);
}

/** What a new model's config.json takes from its tokenizer: the size of the vocabulary, and the ids of roles. */
export function newModelDefaults(tokenizer: Tokenizer): Record<string, number> {
  const { pad, eos, bos, sep } = tokenizer.special;
  const idOf = (token: string | undefined) => (token === undefined ? null : tokenizer.tokenToId(token));
  const ids = { pad_token_id: idOf(pad), bos_token_id: idOf(bos), eos_token_id: idOf(eos) ?? idOf(sep) };
  const known = Object.entries(ids).filter((entry): entry is [string, number] => entry[1] !== null);
  return { vocab_size: tokenizer.vocabSize, ...Object.fromEntries(known) };
}

/** Where the model of a config comes from; undefined for a new one. */
export const modelName = ({ model }: Pick<SharedConfig, "model">): string | undefined =>
  typeof model === "string" ? model : "name" in model ? model.name : undefined;

/** What the model of a config was made of: one model, or the parts that it was put together of. */
export function baseModels({ model }: Pick<SharedConfig, "model">): string[] {
  if (typeof model === "string") return [model];
  const { name, vision, language } = model as Readonly<Partial<Record<"name" | "vision" | "language", string>>>;
  return [name, vision, language].filter((each) => each !== undefined);
}

/**
 * The tokenizer of a config, or that of its model.
 * @throws OptionError where there is none; DataError for files that cannot be read
 */
export async function openTokenizer(config: SharedConfig): Promise<Tokenizer> {
  const { tokenizer } = config;
  const place = typeof tokenizer === "string" ? tokenizer : tokenizer === undefined ? modelName(config) : undefined;
  if (place !== undefined) return Tokenizer.open(place);
  throw new OptionError({
    where: "config, tokenizer",
    expected: "a tokenizer for a new model",
    received: tokenizer === undefined ? "none" : "one that is to be trained, which pretraining does",
    fix: "name one: tokenizer: a folder, a repository or a tokenizer.json",
  });
}

/**
 * A tokenizer's ids must be rows of the model's table.
 * @throws OptionError naming both sizes
 */
export function requireVocabulary({ vocabSize }: Tokenizer, model: PretrainedModel): void {
  const { vocabSize: rows } = model.config as { vocabSize?: number };
  if (rows === undefined || vocabSize <= rows) return;
  throw new OptionError({
    where: "config, tokenizer",
    expected: `a tokenizer of at most ${rows} tokens, as the model has rows`,
    received: `one of ${vocabSize}`,
    fix: "use the model's own tokenizer, or a new model",
  });
}

/** @throws OptionError for rows that are longer than the model's context */
export function requireLength({ config }: PretrainedModel, maxLength: number): void {
  const { maxPositionEmbeddings } = config as { maxPositionEmbeddings?: number };
  if (maxPositionEmbeddings === undefined || maxLength <= maxPositionEmbeddings) return;
  throw new OptionError({
    where: "config, data.maxLength",
    expected: `at most ${maxPositionEmbeddings} tokens, the model's context`,
    received: String(maxLength),
    fix: `write maxLength: ${maxPositionEmbeddings}, or give a new model more positions`,
  });
}

/**
 * The parameters of a model that are trained: all but the frozen ones.
 * @throws OptionError for a pattern that no parameter fits, or when nothing is left
 */
export function trainedParameters(
  model: Module,
  { freeze = [] }: Pick<SharedConfig, "freeze">,
): ReadonlyMap<string, Parameter> {
  const all = model.namedParameters();
  for (const pattern of freeze) {
    if ([...all].some(([key, parameter]) => matchesKey(pattern, key, parameter))) continue;
    throw new OptionError({
      where: `config, freeze: ${pattern}`,
      expected: `a pattern for some of ${[...all.keys()].slice(0, 4).join(", ")}, ...`,
      received: "one that fits none",
      fix: 'write whole names, with * for any characters: "bert.embeddings.*"',
    });
  }
  const trained = new Map(
    [...all].filter(([key, parameter]) => !freeze.some((pattern) => matchesKey(pattern, key, parameter))),
  );
  if (trained.size > 0) return trained;
  throw new OptionError({
    where: "config, freeze",
    expected: "a parameter that is trained",
    received: "patterns that freeze them all",
    fix: "freeze less",
  });
}
