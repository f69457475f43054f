/**
 * Gemma 1 to 3. Gemma team 2024, arXiv:2403.08295: embeddings scaled by the square root of their width, norms with 1 +
 * weight, wide heads.
 *   gemma2       norms around both parts, bounded scores and logits, a window in every second layer. arXiv:2408.00118
 *   gemma3_text  normalised queries and keys, other angles in the layers with a window. arXiv:2503.19786
 */
import type { RandomKey } from "../../tensor/index.ts";
import { activation, type Fields, flag, optional, positive, size, tokenId, tokenIds, writtenWhole } from "../config.ts";
import type { Json } from "../labels.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, decoderFields, layerTypesField, type RopeDecoderConfig } from "./family.ts";
import type { LayerType } from "./rope.ts";
import { type RopeByLayer, ropeByLayer, ropeByLayerFromJson, rotaryFor, windowedLayers } from "./rope.ts";
import type { DecoderTraits } from "./traits.ts";

/**
 * The sizes of Gemma. Mirrors transformers' GemmaConfig; the defaults are those of Gemma 7B. arXiv:2403.08295, table 1.
 */
export interface GemmaConfig extends RopeDecoderConfig {
  /** Biases of all layers of the attention. */
  attentionBias: boolean;
}

/**
 * The sizes of Gemma 2, its windows and the bounds of its scores and logits. Mirrors transformers' Gemma2Config; the
 * defaults are those of Gemma 2 2B. arXiv:2408.00118, table 1.
 */
export interface Gemma2Config extends GemmaConfig {
  /** Attention scores are divided by its square root. */
  queryPreAttnScalar: number;
  /** Positions that a sliding layer sees. */
  slidingWindow: number;
  /** @default sliding in layers 0, 2, 4, ... */
  layerTypes: readonly LayerType[] | null;
  /** Bound c of logits, by c tanh(x / c); null for none. */
  finalLogitSoftcapping: number | null;
  /** Bound c of attention scores, by c tanh(x / c); null for none. */
  attnLogitSoftcapping: number | null;
}

/**
 * The sizes of Gemma 3's text model, with rotary parameters for each kind of layer. Mirrors transformers'
 * Gemma3TextConfig, whose defaults it has. arXiv:2503.19786.
 */
export interface Gemma3Config extends Omit<Gemma2Config, "rope" | "attnLogitSoftcapping"> {
  /** @default full in every sixth layer */
  layerTypes: readonly LayerType[] | null;
  /** Bases of the wavelengths: of full layers 1 million, of sliding ones 10 thousand by default. */
  rope: RopeByLayer;
}

const gemmaFields: Fields<GemmaConfig> = {
  ...decoderFields,
  vocabSize: size("vocab_size", 256000),
  hiddenSize: size("hidden_size", 3072),
  intermediateSize: size("intermediate_size", 24576),
  numLayers: size("num_hidden_layers", 28),
  numHeads: size("num_attention_heads", 16),
  numKeyHeads: size("num_key_value_heads", 16),
  headDim: size("head_dim", 256),
  activation: activation("hidden_act", "gelu_pytorch_tanh"),
  maxPositionEmbeddings: size("max_position_embeddings", 8192),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
  attentionBias: flag("attention_bias", false),
  padTokenId: tokenId("pad_token_id", 0),
  bosTokenId: tokenId("bos_token_id", 2),
  eosTokenId: tokenIds("eos_token_id", 1),
};

/** What all of them share. */
const gemmaTraits = ({ hiddenSize, attentionBias }: Pick<GemmaConfig, "hiddenSize" | "attentionBias">) => ({
  bias: { qkv: attentionBias, output: attentionBias },
  normOffset: 1,
  embeddingScale: Math.sqrt(hiddenSize),
});

/** Gemma with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Gemma team 2024, arXiv:2403.08295. */
export class GemmaForCausalLM extends DecoderForCausalLM<GemmaConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<GemmaConfig>, key: RandomKey) {
    super(gemma, options, key);
  }
}

const gemma = decoderFamily<GemmaConfig>({
  modelType: "gemma",
  classes: { GemmaForCausalLM },
  fields: gemmaFields,
  rope: { theta: 10000 },
  derivesHeadDim: false,
  derivesKeyHeads: false,
  // the first files say "gelu" and mean its approximation
  modernize: (json) => ({ ...json, hidden_act: json.hidden_act === "gelu" ? "gelu_pytorch_tanh" : json.hidden_act }),
  traits: (config) => ({ ...gemmaTraits(config), rotary: [rotaryFor(config)] }),
});

const gemma2Fields: Fields<Gemma2Config> = {
  ...gemmaFields,
  hiddenSize: size("hidden_size", 2304),
  intermediateSize: size("intermediate_size", 9216),
  numLayers: size("num_hidden_layers", 26),
  numHeads: size("num_attention_heads", 8),
  numKeyHeads: size("num_key_value_heads", 4),
  activation: activation("hidden_activation", "gelu_pytorch_tanh"),
  queryPreAttnScalar: writtenWhole(positive("query_pre_attn_scalar", 256)),
  slidingWindow: size("sliding_window", 4096),
  layerTypes: layerTypesField,
  finalLogitSoftcapping: { ...optional(positive("final_logit_softcapping", 30)), default: 30 },
  attnLogitSoftcapping: { ...optional(positive("attn_logit_softcapping", 50)), default: 50 },
};

const sandwich: DecoderTraits["norms"] = {
  beforeAttention: "input_layernorm",
  afterAttention: "post_attention_layernorm",
  beforeMlp: "pre_feedforward_layernorm",
  afterMlp: "post_feedforward_layernorm",
};

/** Gemma 2 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2408.00118. */
export class Gemma2ForCausalLM extends DecoderForCausalLM<Gemma2Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<Gemma2Config>, key: RandomKey) {
    super(gemma2, options, key);
  }
}

const gemma2 = decoderFamily<Gemma2Config>({
  modelType: "gemma2",
  classes: { Gemma2ForCausalLM },
  fields: gemma2Fields,
  rope: { theta: 10000 },
  derivesHeadDim: false,
  derivesKeyHeads: false,
  traits: (config) => ({
    ...gemmaTraits(config),
    rotary: [rotaryFor(config)],
    norms: sandwich,
    windowOf: (layer) =>
      (config.layerTypes?.[layer] ?? everySecond(layer)) === "sliding_attention" ? config.slidingWindow : undefined,
    attentionScale: 1 / Math.sqrt(config.queryPreAttnScalar),
    attentionSoftCap: config.attnLogitSoftcapping,
    logitSoftCap: config.finalLogitSoftcapping,
  }),
});

const everySecond = (layer: number): LayerType => (layer % 2 === 0 ? "sliding_attention" : "full_attention");

const FULL_THETA = 1_000_000;
const LOCAL_THETA = 10_000;
/** A layer in so many sees everything. */
const PATTERN = 6;

/** Each layer's type, where one in so many sees everything. */
const layerTypesBy = (pattern: number, count: number): LayerType[] =>
  Array.from({ length: count }, (_, layer) => ((layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention"));

/**
 * Before transformers 5 there were rope_theta and rope_scaling for the full layers, rope_local_base_freq for the
 * others, and a pattern.
 */
function modernizeGemma3(json: Json): Json {
  const count = (json.num_hidden_layers as number | undefined) ?? gemma2Fields.numLayers.default;
  const pattern = json.sliding_window_pattern as number | undefined;
  const types = pattern && layerTypesBy(pattern, count);
  const { rope_theta: full = FULL_THETA, rope_local_base_freq: sliding = LOCAL_THETA } = json;
  const rope = ropeByLayerFromJson(json, { full_attention: full, sliding_attention: sliding });
  return { ...json, layer_types: json.layer_types ?? types, rope };
}

/** The text model of Gemma 3 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2503.19786. */
export class Gemma3ForCausalLM extends DecoderForCausalLM<Gemma3Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<Gemma3Config>, key: RandomKey) {
    super(gemma3, options, key);
  }
}

const gemma3 = decoderFamily<Gemma3Config>({
  modelType: "gemma3_text",
  classes: { Gemma3ForCausalLM },
  fields: {
    ...(({ attnLogitSoftcapping: _, ...fields }) => fields)(gemma2Fields),
    vocabSize: size("vocab_size", 262208),
    maxPositionEmbeddings: size("max_position_embeddings", 131072),
    finalLogitSoftcapping: optional(positive("final_logit_softcapping", 30)),
    rope: ropeByLayer({ full_attention: FULL_THETA, sliding_attention: LOCAL_THETA }),
  },
  rope: { theta: FULL_THETA },
  derivesHeadDim: false,
  derivesKeyHeads: false,
  ignored: null,
  supported: { attn_logit_softcapping: [null] },
  modernize: modernizeGemma3,
  complete: (config) => ({ ...config, layerTypes: config.layerTypes ?? layerTypesBy(PATTERN, config.numLayers) }),
  traits: (config) => ({
    ...gemmaTraits(config),
    ...windowedLayers(config, PATTERN),
    norms: sandwich,
    queryKeyNorm: "head",
    attentionScale: 1 / Math.sqrt(config.queryPreAttnScalar),
    logitSoftCap: config.finalLogitSoftcapping,
  }),
});

/** How Gemma 1 to 3 are stored. */
export const gemmas = [gemma, gemma2, gemma3];
