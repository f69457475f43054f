/** What adapter_config.json of an IA3 adapter says. */
import { OptionError } from "../base/index.ts";
import { configFields } from "../models/index.ts";
import {
  type BaseFields,
  baseFields,
  isNothing,
  type Json,
  names,
  readFields,
  refuseKey,
  type TargetFields,
  targetFields,
} from "./config-fields.ts";

/**
 * Learned factors on the outputs of some layers and on the inputs of others. Liu et al. 2022, arXiv:2205.05638. Mirrors
 * peft's IA3Config.
 */
export interface Ia3Config extends TargetFields, BaseFields {
  /** The kind of adapter, in peft's words. */
  type: "IA3";
  /** Targets whose inputs are scaled, and not their outputs: what their paths end with, or a regular expression. */
  feedforwardModules: readonly string[] | string | null;
}

const fields: configFields.Fields<Ia3Config> = {
  type: configFields.choice("peft_type", ["IA3"], "IA3"),
  ...targetFields,
  ...baseFields,
  feedforwardModules: names("feedforward_modules"),
};

/** How factors began, and what the layers themselves tell: see lora-config.ts. */
const SILENT = ["init_ia3_weights", "fan_in_fan_out"];

/** Reads adapter_config.json. @throws DataError naming the key, for a value that it cannot be or is not followed */
export function ia3ConfigFromJson(path: string, json: Json): Ia3Config {
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
export function ia3Config(options: Partial<Ia3Config>): Ia3Config {
  const config = configFields.makeConfig("Ia3Config", fields, options);
  if (!isNothing(config.targetModules)) return config;
  const fix = "name them, for example those of keys, values and the second layer of the feed-forward part";
  throw new OptionError({ where: "Ia3Config", expected: "targetModules", received: "none", fix });
}

/** The adapter_config.json of a config. @param isTransposed whether weights that it changes are [in, out] */
export const ia3ConfigToJson = (config: Ia3Config, isTransposed: boolean): Json => ({
  inference_mode: true,
  fan_in_fan_out: isTransposed,
  ...configFields.toJson(config, fields),
});
