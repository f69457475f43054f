import type { RopeParameters } from "../../nn/index.ts";
import type { RandomKey } from "../../tensor/index.ts";
import type { Fields } from "../config.ts";
import {
  activation,
  anything,
  flag,
  fromJson,
  makeConfig,
  number,
  optional,
  positive,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import { type ConfigKeys, type Family, FREQUENCIES, untiedWords } from "../family.ts";
import type { Json } from "../labels.ts";
import type { RopeRules } from "../rope-review.ts";
import { type DecoderConfig, DecoderForCausalLM, type DecoderTraits } from "./decoder.ts";
import { type RopeDefaults, ropeFromJson } from "./rope.ts";

/** A decoder's config with one set of rotary parameters. */
export interface RopeDecoderConfig extends DecoderConfig {
  rope: RopeParameters;
}

/** The fields of a decoder's config; those of Llama in transformers are the defaults. */
export const decoderFields: Fields<RopeDecoderConfig> = {
  vocabSize: size("vocab_size", 32000),
  hiddenSize: size("hidden_size", 4096),
  intermediateSize: size("intermediate_size", 11008),
  numLayers: size("num_hidden_layers", 32),
  numHeads: size("num_attention_heads", 32),
  numKeyHeads: size("num_key_value_heads", 32),
  headDim: size("head_dim", 128),
  activation: activation("hidden_act", "silu"),
  maxPositionEmbeddings: size("max_position_embeddings", 2048),
  initializerRange: number("initializer_range", 0.02),
  rmsNormEpsilon: positive("rms_norm_eps", 1e-6),
  tieWordEmbeddings: flag("tie_word_embeddings", false),
  attentionDropout: probability("attention_dropout", 0),
  padTokenId: tokenId("pad_token_id"),
  bosTokenId: tokenId("bos_token_id"),
  eosTokenId: tokenIds("eos_token_id"),
  rope: anything<RopeParameters>("rope_parameters", {}),
};

export type LayerType = "full_attention" | "sliding_attention";
const layerTypes: readonly LayerType[] = ["full_attention", "sliding_attention"];
/** "full_attention" or "sliding_attention" for each layer, or null for the family's rule. */
export const layerTypesField = optional({
  ...anything<readonly LayerType[]>("layer_types", []),
  expected: `a list of ${layerTypes.join(" and ")}`,
  isFine: (value: unknown) => Array.isArray(value) && value.every((type) => layerTypes.includes(type)),
});

/** A family of decoders: its fields, and the traits that follow from a config. */
export interface DecoderFamily<C extends RopeDecoderConfig> {
  modelType: string;
  /** The class of transformers. */
  architecture: string;
  fields: Fields<C>;
  rope: RopeDefaults & RopeRules;
  traits(config: C): DecoderTraits;
  /** Brings older forms of config.json into the present one. */
  modernize?(json: Json): Json;
  /** Brings what the fields give into the form of config.json, where it is another. */
  writeJson?(json: Json): Json;
  aliases?: ConfigKeys["aliases"];
  supported?: ConfigKeys["supported"];
  training?: ConfigKeys["training"];
  /**
   * Whether a head's width is hiddenSize / numHeads where it is not given; otherwise the field's default. @default true
   */
  derivesHeadDim?: boolean;
  /**
   * Whether there are as many key heads as heads where they are not given; otherwise the field's default. @default true
   */
  derivesKeyHeads?: boolean;
  check?(config: C): void;
  /** Stored tensors that are no weights. @default FREQUENCIES */
  ignored?: RegExp | null;
}

/** A config from options: defaults filled in, and checked. @throws OptionError naming the field */
export function decoderConfig<C extends RopeDecoderConfig>(family: DecoderFamily<C>, options: Partial<C> = {}): C {
  const { fields, derivesHeadDim = true, derivesKeyHeads = true, architecture } = family;
  const where = `${architecture.replace("ForCausalLM", "")}Config`;
  const numHeads = options.numHeads ?? fields.numHeads.default;
  const hiddenSize = options.hiddenSize ?? fields.hiddenSize.default;
  const derived: Partial<DecoderConfig> = {
    ...(derivesKeyHeads && { numKeyHeads: options.numKeyHeads ?? numHeads }),
    ...(derivesHeadDim && { headDim: options.headDim ?? hiddenSize / numHeads }),
  };
  const config = makeConfig<C>(where, fields, { ...options, ...derived });
  requireField(where, config.numHeads % config.numKeyHeads === 0, "numHeads to be a multiple of numKeyHeads", [
    config.numHeads,
    config.numKeyHeads,
  ]);
  const types = (config as { layerTypes?: readonly LayerType[] | null }).layerTypes;
  requireField(where, !types || types.length === config.numLayers, `layerTypes for ${config.numLayers} layers`, types);
  family.check?.(config);
  return config;
}

/** A model of a family, with weights as at the start of training. */
function makeDecoder<C extends RopeDecoderConfig>(
  family: DecoderFamily<C>,
  options: Partial<C>,
  key: RandomKey,
): DecoderForCausalLM<C> {
  const { modelType, architecture } = family;
  const config = decoderConfig(family, options);
  return new DecoderForCausalLM({ modelType, architecture, config, traits: family.traits(config) }, key);
}

/** Reads the config of a family from config.json. */
function decoderOptions<C extends RopeDecoderConfig>(family: DecoderFamily<C>, path: string, json: Json): Partial<C> {
  const modern = family.modernize?.(json) ?? json;
  const rope = family.modernize && modern.rope ? (modern.rope as RopeParameters) : ropeFromJson(modern, family.rope);
  return fromJson(path, { ...modern, rope_parameters: rope }, family.fields);
}

/** What a family reads of config.json. */
export function decoderKeys<C extends RopeDecoderConfig>({
  fields,
  aliases,
  supported,
  training,
  rope,
}: DecoderFamily<C>): ConfigKeys {
  const { theta: _, partialFactor, ...rules } = rope;
  return {
    fields,
    aliases,
    supported: { use_bidirectional_attention: [false], ...supported },
    training,
    rope: { ...rules, turnsPart: partialFactor !== undefined },
  };
}

/** The family as the registry takes it. */
export function decoderFamily<C extends RopeDecoderConfig>(family: DecoderFamily<C>): Family {
  const { modelType, architecture, fields } = family;
  return {
    modelType,
    prefix: "model",
    tasks: { [architecture]: "causal-lm" },
    create: (_, path, json, key) => makeDecoder(family, decoderOptions(family, path, json), key),
    configKeys: decoderKeys(family),
    configToJson: ({ config }) => {
      const json = toJson(config as C, fields);
      const rope = json.rope_parameters as RopeParameters;
      // nested parameters are those of several kinds of layers
      const isNested = Object.values(rope).some(
        (value) => value !== null && typeof value === "object" && !Array.isArray(value),
      );
      if (!isNested) json.rope_parameters = { rope_type: "default", ...rope };
      return family.writeJson?.(json) ?? json;
    },
    ignored: family.ignored === null ? undefined : (family.ignored ?? FREQUENCIES),
    tied: ({ config }): Readonly<Record<string, string>> =>
      (config as C).tieWordEmbeddings ? { "lm_head.weight": "model.embed_tokens.weight" } : {},
    untie: untiedWords,
  };
}
