/** What adapter_config.json of a LoRA adapter says, and what of it is not followed. */
import { OptionError } from "../base/index.ts";
import { configFields } from "../models/index.ts";
import {
  type BaseFields,
  baseFields,
  custom,
  isNothing,
  type Json,
  names,
  readFields,
  refuseKey,
  type TargetFields,
  targetFields,
} from "./config-fields.ts";

const { choice, flag, number, probability, size } = configFields;

/**
 * A low-rank adapter: which layers it changes, and by how much. Hu et al. 2021, arXiv:2106.09685. Mirrors peft's
 * LoraConfig.
 */
export interface LoraConfig extends TargetFields, BaseFields {
  /** The kind of adapter, in peft's words. */
  type: "LORA";
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
  /** Numbers of the layers of a stack in which targets that are listed are changed. */
  layersToTransform: readonly number[] | number | null;
  /** Names of the stack, such as "layers". */
  layersPattern: readonly string[] | string | null;
  /** Ranks of some layers, by regular expressions for the ends of their paths. */
  rankPattern: Readonly<Record<string, number>>;
  /** Alphas of some layers, in the same way. */
  alphaPattern: Readonly<Record<string, number>>;
  /** Which biases of the model the adapter has anew. */
  bias: "none" | "all" | "lora_only";
  /** Probability of dropping a number of the input of A, in training. */
  dropout: number;
}

const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isObjectOf = (isFine: (value: unknown) => boolean) => (value: unknown) =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.values(value).every(isFine);
/** Ranks and alphas above this are no adapter's. */
const isSmall = (value: unknown) => typeof value === "number" && value > 0 && value <= 2 ** 20;

const fields: configFields.Fields<LoraConfig> = {
  type: choice("peft_type", ["LORA"], "LORA"),
  ...targetFields,
  ...baseFields,
  rank: custom("r", 8, "a whole number from 1 to 2^20", (value) => size("r", 8).isFine(value) && isSmall(value)),
  alpha: number("lora_alpha", 8),
  useRslora: flag("use_rslora", false),
  useDora: flag("use_dora", false),
  loraBias: flag("lora_bias", false),
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
  bias: choice("bias", ["none", "all", "lora_only"], "none"),
  dropout: probability("lora_dropout", 0),
};

/**
 * Keys that change nothing of what an adapter does: how it was started, and what the layers themselves tell
 * (fan_in_fan_out: that a weight is [in, out], as those of GPT-2 are).
 */
const SILENT = ["init_lora_weights", "fan_in_fan_out", "eva_config", "megatron_core", "qalora_group_size"];
/** Ways to begin that leave the model's weights as they are; others, as PiSSA, take from them what the adapter adds. */
const BEGINNINGS = [null, true, false, "gaussian", "eva", "orthogonal"];

/**
 * Reads adapter_config.json of a LoRA adapter.
 * @param path for messages
 * @throws DataError naming the key, for another kind of adapter, a value that it cannot be, or what is not followed
 */
export function loraConfigFromJson(path: string, json: Json): LoraConfig {
  if (!BEGINNINGS.includes((json.init_lora_weights ?? null) as null)) {
    const fix = "save the adapter as a plain LoRA: peft's path_initial_model_for_weight_conversion";
    refuseKey(path, json, "init_lora_weights", "a beginning that leaves the model's weights as they are", fix);
  }
  const config = readFields(path, json, fields, SILENT);
  if (isNothing(config.targetModules))
    refuseKey(
      path,
      json,
      "target_modules",
      "the layers that it changes",
      "name them: peft writes them into each adapter",
    );
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
    inference_mode: true,
    fan_in_fan_out: isTransposed,
    ...configFields.toJson(config, fields),
  };
  return configFields.withReals(written, { dropout: fields.dropout });
}

/** How far an update of a layer is scaled. */
export const scalingOf = ({ useRslora }: LoraConfig, rank: number, alpha: number): number =>
  alpha / (useRslora ? Math.sqrt(rank) : rank);
