import type { RopeParameters } from "../../nn/index.ts";
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
import { FREQUENCIES, untiedWords } from "../family.ts";
import type { Json } from "../labels.ts";
import type { ConfigKeys, Family, ModelClass } from "../model.ts";
import type { RopeRules } from "../rope-review.ts";
import { type LayerType, type RopeDefaults, ropeFromJson, rotaryFor } from "./rope.ts";
import type { DecoderConfig, DecoderTraits } from "./traits.ts";

/** A decoder's config with one set of rotary parameters, for all layers: rope_parameters of transformers 5. */
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

const layerTypes: readonly LayerType[] = ["full_attention", "sliding_attention"];
/** "full_attention" or "sliding_attention" for each layer, or null for the family's rule. */
export const layerTypesField = optional({
  ...anything<readonly LayerType[]>("layer_types", []),
  expected: `a list of ${layerTypes.join(" and ")}`,
  isFine: (value: unknown) => Array.isArray(value) && value.every((type) => layerTypes.includes(type)),
});

/** What a family of decoders is made of: its class and fields, and the traits that follow from a config. */
export interface DecoderDescription<C extends RopeDecoderConfig> {
  modelType: string;
  /** The language model, by its name in transformers. */
  classes: Readonly<Record<string, ModelClass>>;
  fields: Fields<C>;
  rope: RopeDefaults & RopeRules;
  /** Where the decoder differs from Llama's. @default nowhere */
  traits?(config: C): DecoderTraits;
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
  /** Checks what single fields cannot tell. @throws OptionError for a config that contradicts itself */
  check?(config: C): void;
  /** Fills in what follows from the rest of a config and is written to config.json. @default nothing */
  complete?(config: C): C;
  /** Stored tensors that are no weights. @default FREQUENCIES */
  ignored?: RegExp | null;
}

/** A family of decoders, as a model of it needs it. */
export interface DecoderFamily<C extends RopeDecoderConfig> extends Family {
  readonly description: DecoderDescription<C>;
  readonly configKeys: ConfigKeys;
  /**
   * The fields that a config.json states, under the names here. @throws DataError naming the key, for a value that it
   * cannot be
   */
  configFromJson(path: string, json: Json): Partial<C>;
}

/** Where a family's decoder differs from Llama's. */
export const traitsOf = <C extends RopeDecoderConfig>(description: DecoderDescription<C>, config: C): DecoderTraits =>
  description.traits?.(config) ?? { rotary: [rotaryFor(config)] };

/** A config from options: defaults filled in, and checked. @throws OptionError naming the field */
export function decoderConfig<C extends RopeDecoderConfig>(
  description: DecoderDescription<C>,
  options: Partial<C> = {},
): C {
  const { fields, derivesHeadDim = true, derivesKeyHeads = true, classes } = description;
  const where = `${Object.keys(classes)[0].replace("ForCausalLM", "")}Config`;
  const numHeads = options.numHeads ?? fields.numHeads.default;
  const hiddenSize = options.hiddenSize ?? fields.hiddenSize.default;
  const derived: Partial<DecoderConfig> = {
    ...(derivesKeyHeads && { numKeyHeads: options.numKeyHeads ?? numHeads }),
    ...(derivesHeadDim && { headDim: options.headDim ?? hiddenSize / numHeads }),
  };
  // nested parameters, of several kinds of layers, have their defaults in the field
  const hasOneRope = Object.keys(fields.rope.default).length === 0;
  const rope = hasOneRope && {
    rope: { rope_type: "default" as const, ...ropeFromJson({ rope_parameters: options.rope }, description.rope) },
  };
  const config = makeConfig<C>(where, fields, { ...options, ...derived, ...rope });
  requireField(where, config.numHeads % config.numKeyHeads === 0, "numHeads to be a multiple of numKeyHeads", [
    config.numHeads,
    config.numKeyHeads,
  ]);
  const types = (config as { layerTypes?: readonly LayerType[] | null }).layerTypes;
  requireField(where, !types || types.length === config.numLayers, `layerTypes for ${config.numLayers} layers`, types);
  description.check?.(config);
  return description.complete?.(config) ?? config;
}

/** Reads the config of a family from config.json. */
function decoderOptions<C extends RopeDecoderConfig>(
  { modernize, rope: defaults, fields }: DecoderDescription<C>,
  path: string,
  json: Json,
): Partial<C> {
  const modern = modernize?.(json) ?? json;
  const rope = modernize && modern.rope ? (modern.rope as RopeParameters) : ropeFromJson(modern, defaults);
  return fromJson(path, { ...modern, rope_parameters: rope }, fields);
}

/** What a family reads of config.json. */
function decoderKeys<C extends RopeDecoderConfig>({
  fields,
  aliases,
  supported,
  training,
  rope,
}: DecoderDescription<C>): ConfigKeys {
  const { theta: _, partialFactor, ...rules } = rope;
  return {
    fields,
    aliases,
    supported: { use_bidirectional_attention: [false], ...supported },
    training,
    rope: { ...rules, turnsPart: partialFactor !== undefined },
  };
}

/** The family as its models and the registry take it. */
export function decoderFamily<C extends RopeDecoderConfig>(description: DecoderDescription<C>): DecoderFamily<C> {
  const { modelType, classes, fields, ignored = FREQUENCIES } = description;
  return {
    description,
    modelType,
    classes,
    prefix: "model",
    configFromJson: (path, json) => decoderOptions(description, path, json),
    configKeys: decoderKeys(description),
    configToJson: ({ config }) => {
      const json = toJson(config as C, fields);
      const rope = json.rope_parameters as RopeParameters;
      // nested parameters are those of several kinds of layers
      const isNested = Object.values(rope).some(
        (value) => value !== null && typeof value === "object" && !Array.isArray(value),
      );
      if (!isNested) json.rope_parameters = { rope_type: "default", ...rope };
      return description.writeJson?.(json) ?? json;
    },
    ignored: ignored ?? undefined,
    tied: ({ config }): Readonly<Record<string, string>> =>
      (config as C).tieWordEmbeddings ? { "lm_head.weight": "model.embed_tokens.weight" } : {},
    untie: untiedWords,
  };
}
