/** What adapter_config.json of prompt tuning, p-tuning and prefix tuning says. */
import { configFields } from "../models/index.ts";
import { type BaseFields, baseFields, custom, type Json, readFields, refuseKey } from "./config-fields.ts";

const { choice, size } = configFields;

/** Kinds of adapters that are learned states before a text, in peft's words. */
export const promptTypes = ["PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"] as const;

/**
 * Learned states before every text: embeddings of tokens that no tokenizer has (prompt tuning, Lester et al. 2021,
 * arXiv:2104.08691; p-tuning, Liu et al. 2021, arXiv:2103.10385, of which peft saves what its encoder makes), or keys
 * and values of each layer (prefix tuning, Li and Liang 2021, arXiv:2101.00190). Mirrors peft's PromptLearningConfig.
 */
export interface PromptConfig extends BaseFields {
  type: (typeof promptTypes)[number];
  /** How many tokens they take the place of. */
  numVirtualTokens: number;
  /** Width of an embedding; of a prefix that of all keys of a layer. 0 takes that of the model. */
  tokenDim: number;
  /** Layers of the model. 0 takes those of the model. */
  numLayers: number;
  /** Heads; of a prefix those of keys. 0 takes those of the model. */
  numAttentionHeads: number;
}

/** peft writes null where it reads the number from the model. */
const ofModel = (key: string) =>
  custom<number>(key, 0, "a positive integer", (value) => value === 0 || size(key, 1).isFine(value));

const fields: configFields.Fields<PromptConfig> = {
  type: choice("peft_type", promptTypes, "PROMPT_TUNING"),
  ...baseFields,
  numVirtualTokens: size("num_virtual_tokens", 20),
  tokenDim: ofModel("token_dim"),
  numLayers: ofModel("num_layers"),
  numAttentionHeads: ofModel("num_attention_heads"),
};

/** How the numbers began, and the encoder of training, of which peft saves the results. */
const SILENT = [
  ...["prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs", "init_weights"],
  ...["encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"],
  ...["prefix_projection", "num_transformer_submodules"],
];

/** Reads adapter_config.json. @throws DataError naming the key, for a value that it cannot be or is not followed */
export function promptConfigFromJson(path: string, json: Json): PromptConfig {
  const parts = json.num_transformer_submodules ?? 1;
  if (parts !== 1)
    refuseKey(
      path,
      json,
      "num_transformer_submodules",
      "1: a decoder alone",
      "use an adapter of a causal language model",
    );
  if (json.num_virtual_tokens === undefined)
    refuseKey(path, json, "num_virtual_tokens", "how many there are", "save the adapter with peft's save_pretrained");
  return readFields(path, json, fields, SILENT);
}

/** A config from options, with peft's defaults. @throws OptionError for a wrong option */
export const promptConfig = (options: Partial<PromptConfig>): PromptConfig =>
  configFields.makeConfig("PromptConfig", fields, options);

/**
 * The adapter_config.json of a config. A prefix is written as one without a projection, which its numbers need not any
 * more.
 */
export const promptConfigToJson = (config: PromptConfig): Json => ({
  inference_mode: true,
  num_transformer_submodules: 1,
  ...(config.type === "PREFIX_TUNING" && { prefix_projection: false, encoder_hidden_size: config.tokenDim }),
  ...(config.type === "P_TUNING" && { encoder_hidden_size: config.tokenDim }),
  ...configFields.toJson(config, fields),
});
