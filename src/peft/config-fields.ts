/** What the configs of all kinds of adapters have in common, and what of a file is not followed. */
import { DataError } from "../base/index.ts";
import { configFields } from "../models/index.ts";

const { anything, list, optional } = configFields;

export type Json = Record<string, unknown>;

const isTexts = (value: unknown) => Array.isArray(value) && value.every((each) => typeof each === "string");

/** A field with its own rule. */
export const custom = <T>(key: string, fallback: T, expected: string, isFine: (value: unknown) => boolean) => ({
  ...anything<T>(key, fallback),
  expected,
  isFine,
});

/** Layers, by a text, several texts, or none. */
export const names = (key: string) =>
  custom<readonly string[] | string | null>(
    key,
    null,
    "a text, a list of texts, or null",
    (value) => value === null || typeof value === "string" || isTexts(value),
  );

/** A text. */
const text = (key: string) => custom<string>(key, "", "a text", (value) => typeof value === "string");

/** The model that an adapter was made for, and what for. */
export interface BaseFields {
  /** The model that it was made for. */
  baseModel: string | null;
  /** What the model is for, in peft's words, such as "CAUSAL_LM". */
  taskType: string | null;
}

export const baseFields: configFields.Fields<BaseFields> = {
  baseModel: optional(text("base_model_name_or_path")),
  taskType: optional(text("task_type")),
};

/** Which modules of a model an adapter changes, and which it has anew. */
export interface TargetFields {
  /**
   * The layers, by their paths or what these end with; "all-linear"; or a regular expression for whole paths, in
   * Python's syntax as far as JavaScript's is the same.
   */
  targetModules: readonly string[] | string | null;
  /** Layers that are not changed, said in the same ways. */
  excludeModules: readonly string[] | string | null;
  /** Modules that the adapter has anew, whole, by what their paths end with. */
  modulesToSave: readonly string[] | null;
}

export const targetFields: configFields.Fields<TargetFields> = {
  targetModules: names("target_modules"),
  excludeModules: names("exclude_modules"),
  modulesToSave: optional(list(text("modules_to_save"), [])),
};

/** Keys that say how an adapter was saved, and nothing of what it does. */
const SILENT = ["peft_version", "auto_mapping", "inference_mode", "revision", "runtime_config"];

/** Whether a value says that its key asks for nothing. */
export const isNothing = (value: unknown) =>
  value === null || value === false || value === undefined || (typeof value === "object" && isEmpty(value as object));
const isEmpty = (value: object) => Object.keys(value).length === 0;

/** @throws DataError about a key of adapter_config.json */
export function refuseKey(path: string, json: Json, key: string, expected: string, fix: string): never {
  throw new DataError({ where: `${path}, ${key}`, expected, received: JSON.stringify(json[key]) ?? "none", fix });
}

/**
 * Reads the fields of a config, with defaults.
 * @param silent other keys that change nothing of what an adapter does
 * @throws DataError naming the key, for a value that it cannot be, or for a key that is not followed
 */
export function readFields<C extends object>(
  path: string,
  json: Json,
  fields: configFields.Fields<C>,
  silent: readonly string[],
): C {
  const keys = Object.values<configFields.FieldSpec>(fields).map(({ key }) => key);
  const followed = new Set([...keys, ...SILENT, ...silent]);
  const other = Object.keys(json).find((key) => !followed.has(key) && !isNothing(json[key]));
  if (other !== undefined)
    refuseKey(path, json, other, "nothing there: it is not followed", "use an adapter without it");
  return configFields.makeConfig(path, fields, configFields.fromJson(path, json, fields));
}
