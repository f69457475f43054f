/** The configs of all kinds of adapters. */
import {
  type BottleneckConfig,
  bottleneckConfig,
  bottleneckConfigFromJson,
  bottleneckConfigToJson,
  isOfAdapterHub,
} from "./bottleneck-config.ts";
import { type Json, refuseKey } from "./config-fields.ts";
import { type Ia3Config, ia3Config, ia3ConfigFromJson, ia3ConfigToJson } from "./ia3-config.ts";
import { type LoraConfig, loraConfig, loraConfigFromJson, loraConfigToJson } from "./lora-config.ts";
import {
  type PromptConfig,
  promptConfig,
  promptConfigFromJson,
  promptConfigToJson,
  promptTypes,
} from "./prompt-config.ts";

/** What an adapter's config says, by its `type`. */
export type AdapterConfig = LoraConfig | Ia3Config | PromptConfig | BottleneckConfig;
/** Configs of adapters that change layers. */
export type LayerConfig = LoraConfig | Ia3Config;

/** What a new adapter is to be; without a `type` it is a LoRA. What is not given is as peft's defaults. */
export type AdapterOptions =
  | Partial<LoraConfig>
  | (Partial<Ia3Config> & Pick<Ia3Config, "type">)
  | (Partial<PromptConfig> & Pick<PromptConfig, "type">)
  | (Partial<BottleneckConfig> & Pick<BottleneckConfig, "type">);

/** Whether a config is of learned states before a text. */
export const isPrompt = (config: AdapterConfig): config is PromptConfig =>
  (promptTypes as readonly string[]).includes(config.type);

/** Reads adapter_config.json. @param path for messages @throws DataError naming the key that cannot be followed */
export function configFromJson(path: string, json: Json): AdapterConfig {
  if (isOfAdapterHub(json)) return bottleneckConfigFromJson(path, json);
  if (json.peft_type === "LORA") return loraConfigFromJson(path, json);
  if (json.peft_type === "IA3") return ia3ConfigFromJson(path, json);
  if ((promptTypes as readonly unknown[]).includes(json.peft_type)) return promptConfigFromJson(path, json);
  const kinds = ["LORA", "IA3", ...promptTypes].map((type) => `"${type}"`).join(", ");
  return refuseKey(path, json, "peft_type", `one of ${kinds}`, "use an adapter of one of these kinds");
}

/** A config from options. @throws OptionError for a wrong option */
export function configFromOptions(options: AdapterOptions): AdapterConfig {
  if (options.type === undefined || options.type === "LORA") return loraConfig(options as Partial<LoraConfig>);
  if (options.type === "IA3") return ia3Config(options);
  if (options.type === "BOTTLENECK") return bottleneckConfig(options as Partial<BottleneckConfig>);
  return promptConfig(options as Partial<PromptConfig>);
}

/** The adapter_config.json of a config. @param isTransposed whether weights that it changes are [in, out] */
export function configToJson(config: AdapterConfig, isTransposed: boolean): Json {
  if (config.type === "LORA") return loraConfigToJson(config, isTransposed);
  if (config.type === "BOTTLENECK") return bottleneckConfigToJson(config);
  return config.type === "IA3" ? ia3ConfigToJson(config, isTransposed) : promptConfigToJson(config);
}
