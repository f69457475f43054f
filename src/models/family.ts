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

/** How a family is stored: its classes, its config.json, and the names of its weights. */
export interface Family {
  /** model_type of config.json. */
  modelType: string;
  /**
   * The classes of transformers that can be made, and what each is for. The last is the default of a config.json that
   * names none.
   */
  tasks: Readonly<Record<string, Task>>;
  /** What checkpoints of models with a head put before the names of the base model, such as "bert". @default nothing */
  prefix?: string;
  /**
   * A model of a class for a config.json, with weights as at the start of training. @throws DataError or OptionError
   * for a config that is wrong
   */
  create(architecture: string, path: string, json: Json, key: RandomKey): PretrainedModel;
  configToJson(model: PretrainedModel): Json;
  /** What is read of config.json, for one whose objects may be of several kinds by what it says. */
  configKeys: ConfigFile | ((json: Json) => ConfigFile);
  /** The name that a stored tensor has here, where some files have others. @default the same */
  tensorName?(name: string, model: PretrainedModel): string;
  /** Stored tensors that are no weights, and that transformers passes over without a word. @default none */
  ignored?: RegExp | ((model: PretrainedModel) => RegExp | undefined);
  /** Weights that a checkpoint may lack without a word; they keep their initial values. @default none */
  mayLack?: RegExp;
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
 * The family of a config.json, one of several. @throws DataError naming the nearest family for one that is not among
 * them
 */
export function findFamily(path: string, families: readonly Family[], modelType: unknown): Family {
  const family = families.find((candidate) => candidate.modelType === modelType);
  if (family) return family;
  const names = families.map((candidate) => candidate.modelType);
  const near = nearest(String(modelType), names);
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${names.join(", ")}`,
    received: JSON.stringify(modelType) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, or use another",
  });
}
