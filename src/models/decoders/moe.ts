/**
 * Decoders whose feed-forward layers are mixtures of experts.
 *   mixtral    eight experts, two for each token. Jiang et al. 2024, arXiv:2401.04088
 *   qwen3_moe  many small experts, on Qwen3's attention. arXiv:2505.09388
 */
import type { RandomKey } from "../../tensor/index.ts";
import { div, softmax, sum, type Tensor, topk } from "../../tensor/index.ts";
import { anything, type Fields, flag, optional, positive, size, tokenId, tokenIds } from "../config.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, decoderFields } from "./family.ts";
import type { LlamaConfig } from "./llama.ts";
import type { WindowConfig } from "./llama-relatives.ts";
import { MixtureOfExperts, type Routing } from "./mixture.ts";
import { rotaryFor } from "./rope.ts";

/** The k most probable experts, by the softmax over all; `normalizes` makes their weights add up to 1. */
const bySoftmax =
  (k: number, normalizes: boolean): Routing =>
  (logits) => {
    const { values, indices } = topk(softmax(logits), k);
    return {
      indices,
      weights: normalizes ? (div(values, sum(values, { axes: -1, keepDims: true })) as Tensor<"f32">) : values,
    };
  };

/**
 * The sizes of Mixtral. Mirrors transformers' MixtralConfig; the defaults are those of Mixtral 8x7B. arXiv:2401.04088,
 * table 1.
 */
export interface MixtralConfig extends WindowConfig {
  numExperts: number;
  /** Experts that each token goes to. */
  numExpertsPerToken: number;
}

/** What training balances the experts by. */
const supported = { output_router_logits: [false], router_jitter_noise: [0] };

/** Mixtral with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Jiang et al. 2024, arXiv:2401.04088. */
export class MixtralForCausalLM extends DecoderForCausalLM<MixtralConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<MixtralConfig>, key: RandomKey) {
    super(mixtral, options, key);
  }
}

const mixtral = decoderFamily<MixtralConfig>({
  modelType: "mixtral",
  classes: { MixtralForCausalLM },
  fields: {
    ...decoderFields,
    intermediateSize: size("intermediate_size", 14336),
    numKeyHeads: size("num_key_value_heads", 8),
    maxPositionEmbeddings: size("max_position_embeddings", 131072),
    rmsNormEpsilon: positive("rms_norm_eps", 1e-5),
    slidingWindow: optional(size("sliding_window", 4096)),
    numExpertsPerToken: size("num_experts_per_tok", 2),
    numExperts: size("num_local_experts", 8),
    bosTokenId: tokenId("bos_token_id", 1),
    eosTokenId: tokenIds("eos_token_id", 2),
  },
  rope: { theta: 1_000_000 },
  aliases: { num_experts: "num_local_experts" },
  supported,
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    windowOf: () => config.slidingWindow ?? undefined,
    mlpOf: (_, key) =>
      new MixtureOfExperts(
        { ...config, keys: { gateProj: "w1", upProj: "w3", downProj: "w2" } },
        { routing: bySoftmax(config.numExpertsPerToken, true), name: "block_sparse_moe" },
        key,
      ),
  }),
});

/**
 * The sizes of Qwen3 with experts, and which layers have them. Mirrors transformers' Qwen3MoeConfig, whose defaults it
 * has: 128 experts in every layer, 8 for each token. arXiv:2505.09388, table 2.
 */
export interface Qwen3MoeConfig extends Omit<LlamaConfig, "mlpBias">, WindowConfig {
  /** Whether layers have the window of slidingWindow. */
  useSlidingWindow: boolean;
  /** Width of an expert; intermediateSize is that of layers without experts. */
  moeIntermediateSize: number;
  numExperts: number;
  numExpertsPerToken: number;
  /** The weights of a token's experts are divided by their sum. */
  normTopkProb: boolean;
  /** Every so many-th layer has experts, but for those of mlpOnlyLayers. */
  decoderSparseStep: number;
  /** Layers without experts, counted from 0. */
  mlpOnlyLayers: readonly number[];
}

const qwen3MoeFields: Fields<Qwen3MoeConfig> = {
  ...decoderFields,
  vocabSize: size("vocab_size", 151936),
  hiddenSize: size("hidden_size", 2048),
  intermediateSize: size("intermediate_size", 6144),
  numLayers: size("num_hidden_layers", 24),
  numKeyHeads: size("num_key_value_heads", 4),
  maxPositionEmbeddings: size("max_position_embeddings", 32768),
  attentionBias: flag("attention_bias", false),
  useSlidingWindow: flag("use_sliding_window", false),
  slidingWindow: { ...optional(size("sliding_window", 4096)), default: 4096 },
  moeIntermediateSize: size("moe_intermediate_size", 768),
  numExperts: size("num_experts", 128),
  numExpertsPerToken: size("num_experts_per_tok", 8),
  normTopkProb: flag("norm_topk_prob", false),
  decoderSparseStep: size("decoder_sparse_step", 1),
  mlpOnlyLayers: anything<readonly number[]>("mlp_only_layers", []),
};

/** Qwen3 with experts, and its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2505.09388. */
export class Qwen3MoeForCausalLM extends DecoderForCausalLM<Qwen3MoeConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<Qwen3MoeConfig>, key: RandomKey) {
    super(qwen3Moe, options, key);
  }
}

const qwen3Moe = decoderFamily<Qwen3MoeConfig>({
  modelType: "qwen3_moe",
  classes: { Qwen3MoeForCausalLM },
  fields: qwen3MoeFields,
  rope: { theta: 10000 },
  derivesKeyHeads: false,
  aliases: { num_local_experts: "num_experts" },
  supported,
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    windowOf: () => (config.useSlidingWindow ? (config.slidingWindow ?? undefined) : undefined),
    bias: { qkv: config.attentionBias, output: config.attentionBias },
    queryKeyNorm: "head",
    mlpOf: (layer, key) => {
      const { mlpOnlyLayers, decoderSparseStep, numExpertsPerToken, normTopkProb, moeIntermediateSize } = config;
      if (mlpOnlyLayers.includes(layer) || (layer + 1) % decoderSparseStep !== 0) return undefined;
      return new MixtureOfExperts(
        { ...config, intermediateSize: moeIntermediateSize },
        { routing: bySoftmax(numExpertsPerToken, normTopkProb) },
        key,
      );
    },
  }),
});

/** How Mixtral and Qwen3 with experts are stored. */
export const mixtures = [mixtral, qwen3Moe];
