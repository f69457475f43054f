/** What adapter_config.json of a LoRA adapter says, and what of it is not followed. */
import { DataError, OptionError } from "../base/index.ts";
import { configFields } from "../models/index.ts";

const { anything, choice, flag, list, number, optional, probability, size } = configFields;

type Json = Record<string, unknown>;

/**
 * A low-rank adapter: which layers it changes, and by how much. Hu et al. 2021, arXiv:2106.09685. Mirrors peft's
 * LoraConfig.
 */
export interface LoraConfig {
  /** Rows of A, and columns of B. */
  rank: number;
  /** The update is scaled by alpha / rank. */
  alpha: number;
  /** It is scaled by alpha / sqrt(rank). Kalajdzievski 2023, arXiv:2312.03732. */
  useRslora: boolean;
  /** Rows of the changed weight have learned lengths. Liu et al. 2024, arXiv:2402.09353. */
  useDora: boolean;
  /** B has a bias. */
  loraBias: boolean;
  /**
   * The layers, by their paths or what these end with; "all-linear"; or a regular expression for whole paths, in
   * Python's syntax as far as JavaScript's is the same.
   */
  targetModules: readonly string[] | string | null;
  /** Layers that are not changed, said in the same ways. */
  excludeModules: readonly string[] | string | null;
  /** Numbers of the layers of a stack in which targets that are listed are changed. */
  layersToTransform: readonly number[] | number | null;
  /** Names of the stack, such as "layers". */
  layersPattern: readonly string[] | string | null;
  /** Ranks of some layers, by regular expressions for the ends of their paths. */
  rankPattern: Readonly<Record<string, number>>;
  /** Alphas of some layers, in the same way. */
  alphaPattern: Readonly<Record<string, number>>;
  /** Modules that the adapter has anew, whole, by what their paths end with. */
  modulesToSave: readonly string[] | null;
  /** Which biases of the model the adapter has anew. */
  bias: "none" | "all" | "lora_only";
  /** Of training; see `lora_dropout` in peft. Nothing is dropped when the model runs. */
  dropout: number;
  /** The model that it was made for. */
  baseModel: string | null;
  /** What the model is for, in peft's words, such as "CAUSAL_LM". */
  taskType: string | null;
}

const isTexts = (value: unknown) => Array.isArray(value) && value.every((each) => typeof each === "string");
const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isObjectOf = (isFine: (value: unknown) => boolean) => (value: unknown) =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.values(value).every(isFine);
const custom = <T>(key: string, fallback: T, expected: string, isFine: (value: unknown) => boolean) => ({
  ...anything<T>(key, fallback),
  expected,
  isFine,
});
const names = (key: string) =>
  custom<readonly string[] | string | null>(
    key,
    null,
    "a text, a list of texts, or null",
    (value) => value === null || typeof value === "string" || isTexts(value),
  );
const text = (key: string) => custom<string>(key, "", "a text", (value) => typeof value === "string");
/** Ranks and alphas above this are no adapter's. */
const isSmall = (value: unknown) => typeof value === "number" && value > 0 && value <= 2 ** 20;

const fields: configFields.Fields<LoraConfig> = {
  rank: custom("r", 8, "a whole number from 1 to 2^20", (value) => size("r", 8).isFine(value) && isSmall(value)),
  alpha: number("lora_alpha", 8),
  useRslora: flag("use_rslora", false),
  useDora: flag("use_dora", false),
  loraBias: flag("lora_bias", false),
  targetModules: names("target_modules"),
  excludeModules: names("exclude_modules"),
  layersToTransform: custom(
    "layers_to_transform",
    null,
    "a layer's number, a list of them, or null",
    (value) => value === null || isWhole(value) || (Array.isArray(value) && value.every(isWhole)),
  ),
  layersPattern: names("layers_pattern"),
  rankPattern: custom(
    "rank_pattern",
    {},
    "an object of ranks",
    isObjectOf((value) => isWhole(value) && isSmall(value)),
  ),
  alphaPattern: custom(
    "alpha_pattern",
    {},
    "an object of numbers",
    isObjectOf((value) => number("", 0).isFine(value)),
  ),
  modulesToSave: optional(list(text("modules_to_save"), [])),
  bias: choice("bias", ["none", "all", "lora_only"], "none"),
  dropout: probability("lora_dropout", 0),
  baseModel: optional(text("base_model_name_or_path")),
  taskType: optional(text("task_type")),
};

/**
 * Keys that change nothing of what an adapter does: how it was started and saved, and what the layers themselves tell
 * (fan_in_fan_out: that a weight is [in, out], as those of GPT-2 are).
 */
const SILENT = new Set([
  ...["peft_type", "peft_version", "auto_mapping", "inference_mode", "revision", "runtime_config", "fan_in_fan_out"],
  ...["eva_config", "megatron_core", "qalora_group_size"],
]);
/** Ways to begin that leave the model's weights as they are; others, as PiSSA, take from them what the adapter adds. */
const BEGINNINGS = [null, true, false, "gaussian", "eva", "orthogonal"];

/** Whether a value says that its key asks for nothing. */
const isNothing = (value: unknown) =>
  value === null || value === false || value === undefined || (typeof value === "object" && isEmpty(value as object));
const isEmpty = (value: object) => Object.keys(value).length === 0;

/**
 * Reads adapter_config.json of a LoRA adapter.
 * @param path for messages
 * @throws DataError naming the key, for another kind of adapter, a value that it cannot be, or what is not followed
 */
export function loraConfigFromJson(path: string, json: Json): LoraConfig {
  const refuse = (key: string, expected: string, fix: string): never => {
    throw new DataError({ where: `${path}, ${key}`, expected, received: JSON.stringify(json[key]) ?? "none", fix });
  };
  if (json.peft_type !== "LORA") refuse("peft_type", '"LORA"', "use a LoRA adapter: no other kind is supported yet");
  if (!BEGINNINGS.includes((json.init_lora_weights ?? null) as null))
    refuse(
      "init_lora_weights",
      "a beginning that leaves the model's weights as they are",
      "save the adapter as a plain LoRA: peft's path_initial_model_for_weight_conversion",
    );
  const followed = new Set([...Object.values(fields).map(({ key }) => key), ...SILENT, "init_lora_weights"]);
  const other = Object.keys(json).find((key) => !followed.has(key) && !isNothing(json[key]));
  if (other !== undefined) refuse(other, "nothing there: it is not followed", "use an adapter without it");
  const config = configFields.makeConfig(path, fields, configFields.fromJson(path, json, fields));
  if (isNothing(config.targetModules))
    refuse("target_modules", "the layers that it changes", "name them: peft writes them into every adapter");
  return config;
}

/** A config from options, with peft's defaults. @throws OptionError for a wrong option, or without `targetModules` */
export function loraConfig(options: Partial<LoraConfig>): LoraConfig {
  const config = configFields.makeConfig("LoraConfig", fields, options);
  if (!isNothing(config.targetModules)) return config;
  const fix = 'name them, or use "all-linear"';
  throw new OptionError({ where: "LoraConfig", expected: "targetModules", received: "none", fix });
}

/** The adapter_config.json of a config. @param isTransposed whether weights that it changes are [in, out] */
export function loraConfigToJson(config: LoraConfig, isTransposed: boolean): Json {
  const written = {
    peft_type: "LORA",
    inference_mode: true,
    fan_in_fan_out: isTransposed,
    ...configFields.toJson(config, fields),
  };
  return configFields.withReals(written, { dropout: fields.dropout });
}

/** How far an update of a layer is scaled. */
export const scalingOf = ({ useRslora }: LoraConfig, rank: number, alpha: number): number =>
  alpha / (useRslora ? Math.sqrt(rank) : rank);
