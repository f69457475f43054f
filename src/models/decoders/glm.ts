/**
 * GLM and GLM-4 (0414): half of each head turns, in neighbouring pairs; GLM-4 has norms behind both parts too. GLM team
 * 2024, arXiv:2406.12793.
 */
import type { RandomKey } from "../../tensor/index.ts";
import { flag, positive, size, tokenId, tokenIds } from "../config.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, decoderFields, type RopeDecoderConfig, traitsOf } from "./family.ts";
import { rotaryFor } from "./rope.ts";

/**
 * The sizes of GLM and GLM-4. Mirrors transformers' GlmConfig; the defaults are those of GLM-4 9B. arXiv:2406.12793.
 */
export interface GlmConfig extends RopeDecoderConfig {
  /** Biases of queries, keys and values. */
  attentionBias: boolean;
}

/** GLM with its language-modelling head: i32 [B, T] -> logits [B, T, V]. GLM team 2024, arXiv:2406.12793. */
export class GlmForCausalLM extends DecoderForCausalLM<GlmConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<GlmConfig>, key: RandomKey) {
    super(glm, options, key);
  }
}

/**
 * GLM-4 (0414) with its language-modelling head: i32 [B, T] -> logits [B, T, V]. It is GLM with norms behind both parts
 * too.
 */
export class Glm4ForCausalLM extends DecoderForCausalLM<GlmConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<GlmConfig>, key: RandomKey) {
    super(glm4, options, key);
  }
}

const glm = decoderFamily<GlmConfig>({
  modelType: "glm",
  classes: { GlmForCausalLM },
  fields: {
    ...decoderFields,
    vocabSize: size("vocab_size", 151552),
    intermediateSize: size("intermediate_size", 13696),
    numLayers: size("num_hidden_layers", 40),
    numKeyHeads: size("num_key_value_heads", 2),
    maxPositionEmbeddings: size("max_position_embeddings", 131072),
    rmsNormEpsilon: positive("rms_norm_eps", 1.5625e-7),
    attentionBias: flag("attention_bias", true),
    padTokenId: tokenId("pad_token_id", 151329),
    eosTokenId: { ...tokenIds("eos_token_id"), default: [151329, 151336, 151338] },
  },
  rope: { theta: 10000, partialFactor: 0.5 },
  derivesHeadDim: false,
  derivesKeyHeads: false,
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    isInterleaved: true,
    bias: { qkv: config.attentionBias },
    isFused: { gateUp: true },
  }),
});

const glm4 = decoderFamily<GlmConfig>({
  ...glm.description,
  modelType: "glm4",
  classes: { Glm4ForCausalLM },
  traits: (config) => ({
    ...traitsOf(glm.description, config),
    norms: {
      beforeAttention: "input_layernorm",
      afterAttention: "post_self_attn_layernorm",
      beforeMlp: "post_attention_layernorm",
      afterMlp: "post_mlp_layernorm",
    },
  }),
});

/** How GLM and GLM-4 are stored. */
export const glms = [glm, glm4];
