import { DataError, nearest } from "../base/index.ts";
import type { RandomKey } from "../tensor/index.ts";
import type { FieldSpec } from "./config.ts";
import type { Json } from "./labels.ts";
import type { PretrainedModel, Task } from "./model.ts";
import type { RopeRules } from "./rope-review.ts";

/** Positions from 0 on, which older files hold. */
export const POSITION_IDS = /(^|\.)position_ids$/;
/** Of the rotary positions of a layer, which older files hold. */
export const FREQUENCIES = /rotary_emb\.inv_freq/;

/** What a family reads of config.json, or of an object in it. */
export interface ConfigKeys {
  fields: Readonly<Record<string, FieldSpec>>;
  /** Other names of keys; they count where a file has both. */
  aliases?: Readonly<Record<string, string>>;
  /**
   * Keys of which other values would change the result: those that are supported, the first of which is the default.
   */
  supported?: Readonly<Record<string, readonly unknown[]>>;
  /**
   * Keys that matter in training alone and are not followed: the values that change nothing there either, the first of
   * which is the default.
   */
  training?: Readonly<Record<string, readonly unknown[]>>;
  /** Where there are rotary parameters. @default nowhere */
  rope?: RopeRules;
}
/** The same of a whole file: its top, and the objects in it by their keys. */
export type ConfigFile = ConfigKeys & { parts?: Readonly<Record<string, ConfigKeys>> };

/** A class of models: made of a config, whose absent fields have defaults, with weights as at the start of training. */
export interface ModelClass {
  readonly task: Task;
  new (config: never, key: RandomKey): PretrainedModel;
}

/** How models are stored: the classes there are, their config.json, and the names of their weights. */
export interface Family {
  /** model_type of config.json. */
  readonly modelType: string;
  /**
   * The classes, by the names that `architectures` of config.json has. The last is the default of a config.json that
   * names none.
   */
  readonly classes: Readonly<Record<string, ModelClass>>;
  /** What checkpoints of models with a head put before the names of the base model, such as "bert". @default nothing */
  readonly prefix?: string;
  /** Whether a config.json is of this family. @default its model_type is the family's */
  matches?(json: Json): boolean;
  /** Brings config.json of another program into the form of transformers. @default as it is */
  translate?(json: Json): Json;
  /**
   * The config that a class is made of, from a config.json. @throws DataError naming the key, for a value that it
   * cannot be
   */
  configFromJson(path: string, json: Json, architecture: string): object;
  configToJson(model: PretrainedModel): Json;
  /** What is read of config.json, for one whose objects may be of several kinds by what it says. */
  readonly configKeys: ConfigFile | ((json: Json) => ConfigFile);
  /** The name that a stored tensor has here, where some files have others. @default the same */
  tensorName?(name: string, model: PretrainedModel): string;
  /** Stored tensors that are no weights, and that transformers passes over without a word. @default none */
  readonly ignored?: RegExp | ((model: PretrainedModel) => RegExp | undefined);
  /** Weights that a checkpoint may lack without a word; they keep their initial values. @default none */
  readonly mayLack?: RegExp;
  /** Names that a checkpoint may repeat a weight under, and the weight's own name. @default none */
  tied?(model: PretrainedModel): Readonly<Record<string, string>>;
  /**
   * The config.json of the same model with a weight for each name, for files where their numbers differ. @default there
   * is no such model
   */
  untie?(json: Json): Json;
}

/** `untie` of families where tie_word_embeddings says it. */
export const untiedWords = (json: Json): Json => ({ ...json, tie_word_embeddings: false });

/**
 * A model of a class for a config.json, with weights as at the start of training. @throws DataError or OptionError for
 * a config that is wrong
 */
export function createModel(
  family: Family,
  architecture: string,
  path: string,
  json: Json,
  key: RandomKey,
): PretrainedModel {
  const config = family.configFromJson(path, json, architecture);
  return new family.classes[architecture](config as never, key);
}

/**
 * The family of a config.json, one of several: of those that match the last. @throws DataError naming the nearest
 * family where none does
 */
export function findFamily(path: string, families: Iterable<Family>, json: Json): Family {
  const candidates = [...families];
  const family = candidates.findLast((each) => each.matches?.(json) ?? each.modelType === json.model_type);
  if (family) return family;
  const names = candidates.map((candidate) => candidate.modelType);
  const near = nearest(String(json.model_type), names);
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${names.join(", ")}`,
    received: JSON.stringify(json.model_type) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, use another, or register its family: registerFamily",
  });
}

/**
 * The class to make: the one for a task, or else the one that config.json names.
 * @throws DataError naming the nearest class, or the tasks of the family
 */
export function architectureFor(
  path: string,
  { architectures }: Json,
  { modelType, classes }: Family,
  task?: Task,
): string {
  const names = Object.keys(classes);
  if (task !== undefined) {
    const name = names.find((candidate) => classes[candidate].task === task);
    if (name) return name;
    const known = [...new Set(Object.values(classes).map((ModelClass) => ModelClass.task))].join(", ");
    throw new DataError({
      where: path,
      expected: `a task of ${modelType}: ${known}`,
      received: task,
      fix: "choose one of them, or another model",
    });
  }
  const [stated] = Array.isArray(architectures) ? architectures : [];
  if (stated === undefined) return names[names.length - 1];
  if (names.includes(stated)) return stated;
  const near = nearest(String(stated), names);
  throw new DataError({
    where: `${path}, architectures`,
    expected: `one of ${names.join(", ")}`,
    received: JSON.stringify(stated),
    fix: near
      ? `did you mean "${near}"?`
      : `name the task: fromPretrained(path, { task: "${classes[names[0]].task}" })`,
  });
}
