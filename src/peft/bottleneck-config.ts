/** What adapter_config.json of a bottleneck adapter says, as Python's adapters writes it (AdapterHub). */
import { OptionError } from "../base/index.ts";
import { configFields } from "../models/index.ts";
import type { Activation } from "../nn/index.ts";
import { custom, type Json, readFields, refuseKey } from "./config-fields.ts";

const { activation, choice, count, flag, list, number, optional, probability, requireJson } = configFields;

/**
 * Small layers where a branch of a Transformer layer is added to its residual: after the attention, after the
 * feed-forward part, or both. Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2020, arXiv:2005.00247. Mirrors
 * BnConfig of Python's adapters; the defaults are those of its "seq_bn", Pfeiffer's. Houlsby's, "double_seq_bn", is
 * `{ mhAdapter: true, originalLnBefore: false, nonLinearity: "swish" }`.
 */
export interface BottleneckConfig {
  /** The kind of adapter. */
  type: "BOTTLENECK";
  /** Its name in its file. */
  name: string;
  /** The model that it was made for. */
  baseModel: string | null;
  /** The model_type of that model. */
  modelType: string | null;
  /** The class of that model. */
  modelClass: string | null;
  /** Width of that model's states. */
  hiddenSize: number | null;
  /** After the attention. */
  mhAdapter: boolean;
  /** After the feed-forward part. */
  outputAdapter: boolean;
  /** Width of states over width of the bottleneck; or of each layer by its number, counted from 0, and "default". */
  reductionFactor: number | Readonly<Record<string, number>>;
  /** Inside of the bottleneck. */
  nonLinearity: Activation;
  /** It reads the sum of branch and residual, with the layer's norm where that follows; otherwise the branch. */
  originalLnBefore: boolean;
  /** Its output is added to the branch; otherwise to what it reads. */
  residualBeforeLn: boolean;
  /** How it begins: normal of deviation 0.02, a small truncated normal, or zero above the bottleneck. */
  initWeights: "bert" | "houlsby" | "mam_adapter";
  /** Factor of its output. */
  scaling: number;
  /** Numbers of layers without it. */
  leaveOut: readonly number[];
  /** Probability of dropping a number of its output, in training. */
  dropout: number;
}

const isFactor = (value: unknown) => typeof value === "number" && Number.isFinite(value) && value > 0;
const isFactors = (value: unknown) =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.values(value).every(isFactor);
const text = (key: string) => optional(custom<string>(key, "", "a text", (value) => typeof value === "string"));

/** Of the model, which stand beside `config` in the file. */
const outerFields = {
  name: custom<string>("name", "default", "a name without dots", (value) => /^[^.\s]+$/.test(String(value))),
  baseModel: text("model_name"),
  modelType: text("model_type"),
  modelClass: text("model_class"),
  hiddenSize: optional(configFields.size("hidden_size", 1)),
};
/** Of the adapter, in `config`. */
const innerFields = {
  mhAdapter: flag("mh_adapter", false),
  outputAdapter: flag("output_adapter", true),
  reductionFactor: custom<BottleneckConfig["reductionFactor"]>(
    "reduction_factor",
    16,
    "a number above 0, or such numbers by the numbers of layers",
    (value) => isFactor(value) || isFactors(value),
  ),
  nonLinearity: activation("non_linearity", "relu"),
  originalLnBefore: flag("original_ln_before", true),
  residualBeforeLn: flag("residual_before_ln", true),
  initWeights: choice("init_weights", ["bert", "houlsby", "mam_adapter"], "bert"),
  scaling: number("scaling", 1),
  leaveOut: list(count("leave_out", 0), []),
  dropout: probability("dropout", 0),
};
const fields: configFields.Fields<BottleneckConfig> = {
  type: choice("peft_type", ["BOTTLENECK"], "BOTTLENECK"),
  ...outerFields,
  ...innerFields,
};

/** What else a config may ask for, by the only values that are followed. */
const FOLLOWED = {
  original_ln_after: [true],
  ln_before: [false],
  ln_after: [false],
  is_parallel: [false],
  use_gating: [false],
  cross_adapter: [false],
  phm_layer: [false],
  stochastic_depth: [0],
};
/** How it began, and details of what is not asked for. */
const SILENT = [
  ...["init_weights_seed", "adapter_residual_before_ln", "inv_adapter_reduction_factor", "architecture"],
  ...["phm_dim", "phm_rank", "phm_bias", "phm_c_init", "phm_init_range", "learn_phm", "hypercomplex_nonlinearity"],
  ...["factorized_phm_W", "factorized_phm_rule", "shared_W_phm", "shared_phm_rule", ...Object.keys(FOLLOWED)],
];

/** Whether a file is one of Python's adapters, and not of peft. */
export const isOfAdapterHub = (json: Json): boolean =>
  json.peft_type === undefined && typeof json.config === "object" && json.config !== null;

/** Reads adapter_config.json. @throws DataError naming the key, for a value that it cannot be or is not followed */
export function bottleneckConfigFromJson(path: string, json: Json): BottleneckConfig {
  const inner = json.config as Json;
  if (inner.architecture !== undefined && inner.architecture !== null)
    refuseKey(path, inner, "architecture", "none: a bottleneck adapter", "use a bottleneck adapter, or one of peft");
  requireJson(path, inner, FOLLOWED);
  const place = `${path}, config`;
  const config = readFields(place, inner, innerFields, SILENT) as Partial<BottleneckConfig>;
  return requirePlaces(configFields.makeConfig(path, fields, { ...config, ...outerOf(path, json) }));
}

const outerOf = (path: string, json: Json): Partial<BottleneckConfig> => {
  const named = json.model_name === "" ? { ...json, model_name: null } : json;
  return configFields.fromJson(path, named, outerFields) as Partial<BottleneckConfig>;
};

/** A config from options, with the defaults of "seq_bn". @throws OptionError for a wrong option */
export const bottleneckConfig = (options: Partial<BottleneckConfig>): BottleneckConfig =>
  requirePlaces(configFields.makeConfig("BottleneckConfig", fields, options));

function requirePlaces(config: BottleneckConfig): BottleneckConfig {
  if (config.mhAdapter || config.outputAdapter) return config;
  const fix = "set one of them";
  throw new OptionError({
    where: "BottleneckConfig",
    expected: "mhAdapter or outputAdapter",
    received: "neither",
    fix,
  });
}

/** The adapter_config.json of a config. */
export function bottleneckConfigToJson(config: BottleneckConfig): Json {
  const outer = configFields.toJson(pick(config, outerFields), outerFields as never);
  const inner = configFields.toJson(pick(config, innerFields), innerFields as never);
  const fixed = Object.fromEntries(Object.entries(FOLLOWED).map(([key, [value]]) => [key, value]));
  const written = { ...fixed, adapter_residual_before_ln: false, inv_adapter: null, ...inner };
  return {
    ...outer,
    model_name: config.baseModel ?? "",
    config: configFields.withReals(written, { scaling: innerFields.scaling, dropout: innerFields.dropout }),
    version: "adapters.1.3.0", // whose layout this is
  };
}

const pick = (config: BottleneckConfig, { ...names }: object): object =>
  Object.fromEntries(Object.keys(names).map((name) => [name, config[name as keyof BottleneckConfig]]));
