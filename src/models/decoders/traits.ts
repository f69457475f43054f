/** How the decoders of Llama's relatives differ: what every one has, and what a family says of its own. */
import type { Activation, Module, RotaryEmbedding } from "../../nn/index.ts";
import type { RandomKey, Tensor } from "../../tensor/index.ts";
import type { CausalLMConfig } from "./causal-decoder.ts";
import type { BlockOptions } from "./causal-lm.ts";

/**
 * The sizes of a decoder with Llama's parts, as transformers' LlamaConfig has them. Defaults are each family's; those
 * of Llama, which most families change a few of, are `decoderFields`.
 */
export interface DecoderConfig extends CausalLMConfig {
  numHeads: number;
  /** Heads of keys and values; each serves numHeads / numKeyHeads query heads. */
  numKeyHeads: number;
  headDim: number;
  intermediateSize: number;
  activation: Activation;
  rmsNormEpsilon: number;
  attentionDropout: number;
  padTokenId: number | null;
  /** Standard deviation of initial weights. */
  initializerRange: number;
}

/**
 * Cosines and sines of the tokens' rotary positions, [T, 1, R / 2] or [B, T, 1, R / 2] each; R features of a head turn.
 */
export type Angles = ReturnType<RotaryEmbedding["angles"]>;
/**
 * What a block of this decoder takes besides its states: the angles of the tokens' positions, and what every block
 * takes.
 */
export type DecoderBlockOptions = BlockOptions & {
  /** Angles of each of the family's rotary embeddings. */
  angles: readonly Angles[];
};

/** Attention of a layer: x [B, T, D] -> [B, T, D]. */
export interface DecoderAttention extends Module {
  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options: DecoderBlockOptions): Tensor<"f32">;
}
/**
 * Feed-forward part of a layer: x [B, T, D] -> [B, T, D]. `isGenerating` where it runs on few tokens at a time, without
 * gradients.
 */
export interface DecoderMlp extends Module {
  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options?: { isGenerating: boolean }): Tensor<"f32">;
}

/** How a family's decoder differs from the plainest one, Llama's. */
export interface DecoderTraits {
  /** The rotary embeddings; most families have one. */
  rotary: readonly RotaryEmbedding[];
  /** Which of them a layer uses; null for none. @default the first */
  rotaryOf?: (layer: number) => number | null;
  /** Pairs of features are neighbours. @default false */
  isInterleaved?: boolean;
  /** How far back a layer sees. @default everything */
  windowOf?: (layer: number) => number | undefined;
  /** @default none of them */
  bias?: { qkv?: boolean; output?: boolean; mlp?: boolean };
  /** Queries and keys are normalised: each head by itself, or all heads together. @default no */
  queryKeyNorm?: "head" | "all";
  /** Added to the weights of norms: 1 in Gemma. @default 0 */
  normOffset?: number;
  /**
   * Checkpoint names of the norms around attention and feed-forward layer; those not named are not there. @default
   * Llama's two, in front of both
   */
  norms?: { beforeAttention?: string; afterAttention?: string; beforeMlp?: string; afterMlp?: string };
  /** One weight for queries, keys and values; one for gate and up. @default false */
  isFused?: { qkv?: boolean; gateUp?: boolean };
  /** Factor on scores. @default 1 / sqrt(headDim) */
  attentionScale?: number;
  /** Bound of attention scores, by cap tanh(x / cap). @default none */
  attentionSoftCap?: number | null;
  /** Bound of logits, by cap tanh(x / cap). @default none */
  logitSoftCap?: number | null;
  /** Factor on embeddings. @default 1 */
  embeddingScale?: number;
  /** Attention of another kind in a layer; undefined for grouped attention as Llama's. @default undefined everywhere */
  attentionOf?: (layer: number, key: RandomKey) => DecoderAttention | undefined;
  /**
   * A feed-forward part of another kind in a layer, such as a mixture of experts, and its name in checkpoints where it
   * is not "mlp"; undefined for Llama's gated one. @default undefined everywhere
   */
  mlpOf?: (layer: number, key: RandomKey) => (DecoderMlp & { name?: string }) | undefined;
  /** Width of a head in the cache, where it is not headDim; and the heads. */
  cache?: { numKeyHeads: number; headDim: number };
}
