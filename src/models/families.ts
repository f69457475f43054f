import { DataError, nearest } from "../ir/index.ts";
import type { RopeParameters } from "../nn/index.ts";
import { randomKey } from "../tensor/index.ts";
import type { CausalLM } from "./causal-lm.ts";
import { fromJson, toJson } from "./config.ts";
import { type GPT2Config, GPT2LMHeadModel, gpt2Fields } from "./gpt2.ts";
import { type LlamaConfig, LlamaForCausalLM, llamaFields } from "./llama.ts";

type Json = Record<string, unknown>;

/** How a family is stored: its config.json, and the names of its weights. */
export interface Family {
  /** The class of transformers, in `architectures`. */
  architecture: string;
  /** A model for a config.json. @throws DataError or OptionError for a config that is wrong */
  create(path: string, json: Json): CausalLM;
  configToJson(model: CausalLM): Json;
  /** The name that a stored tensor has here; undefined for what is no weight. */
  tensorName(name: string): string | undefined;
}

const gpt2: Family = {
  architecture: "GPT2LMHeadModel",
  create: (path, json) => new GPT2LMHeadModel(fromJson(path, json, gpt2Fields), randomKey(0)),
  configToJson: ({ config }) => toJson(config as GPT2Config, gpt2Fields),
  // older files lack the prefix, and carry the causal mask and its fill value
  tensorName: (name) => {
    if (/\.attn\.(bias|masked_bias)$/.test(name)) return undefined;
    return name === "lm_head.weight" || name.startsWith("transformer.") ? name : `transformer.${name}`;
  },
};

const llama = (architecture: string): Family => ({
  architecture,
  create: (path, json) => {
    if (json.quantization_config) {
      throw new DataError({
        where: path,
        expected: "weights that are not quantized",
        received: "quantization_config",
        fix: "use the model's original weights, or a GGUF file",
      });
    }
    return new LlamaForCausalLM({ ...fromJson(path, json, llamaFields), rope: ropeOf(json) }, randomKey(0));
  },
  configToJson: ({ config }) => ({ ...toJson(config as LlamaConfig, llamaFields), rope_parameters: { rope_type: "default", ...(config as LlamaConfig).rope } }),
  tensorName: (name) => (name.endsWith("rotary_emb.inv_freq") ? undefined : name),
});

/** transformers 5 has rope_parameters; before, there were rope_theta and rope_scaling, whose type was once called "type". */
function ropeOf(json: Json): RopeParameters {
  const { type, ...scaling } = (json.rope_parameters ?? json.rope_scaling ?? {}) as RopeParameters & { type?: RopeParameters["rope_type"] };
  const given = { rope_type: type, rope_theta: json.rope_theta, partial_rotary_factor: json.partial_rotary_factor, ...scaling };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
}

/** The families, by the model_type of config.json. */
export const families: Readonly<Record<string, Family>> = {
  gpt2,
  llama: llama("LlamaForCausalLM"),
  mistral: llama("MistralForCausalLM"),
  qwen2: llama("Qwen2ForCausalLM"),
  qwen3: llama("Qwen3ForCausalLM"),
};

/** @throws DataError naming the nearest family for one that is not known */
export function familyOf(path: string, modelType: unknown): Family {
  const family = Object.hasOwn(families, String(modelType)) ? families[String(modelType)] : undefined;
  if (family) return family;
  const near = nearest(String(modelType), Object.keys(families));
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${Object.keys(families).join(", ")}`,
    received: JSON.stringify(modelType) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, or use another",
  });
}
