/** What a decoder-only language model is to those who run it: generation, and files in ONNX. */
import { type CacheShape, type KeyValueCache, Module } from "../../nn/index.ts";
import type { RandomKey, Tensor } from "../../tensor/index.ts";
import type { SeesAttentionScores } from "../attention-scores.ts";

/** What every decoder-only language model's config has. */
export interface CausalLMConfig {
  vocabSize: number;
  /** Longest context, in tokens. */
  maxPositionEmbeddings: number;
  hiddenSize: number;
  numLayers: number;
  tieWordEmbeddings: boolean;
  bosTokenId: number | null;
  /** Some models end with any of several tokens. */
  eosTokenId: number | readonly number[] | null;
}

/**
 * How the layers of a decoder-only language model run over a text. Without any of it: every token is real and stands at
 * its place from 0 on, there is no dropout, and nothing is kept for the tokens that follow.
 */
export interface ForwardOptions {
  /** Random key of this step; given, dropout is on. */
  key?: RandomKey;
  /** Position of each token, i32 [B, T]; of models that place tokens in space too [3, B, T]. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /**
   * What stands for the tokens in place of their own embeddings, [B, T, D]: images in a text. @default embed(inputIds)
   */
  embeddings?: Tensor<"f32">;
  /**
   * Which tokens there are, bool [B, T]: false for padding, at whichever side. Positions are then to be given too,
   * where it is at the left. @default all
   */
  attentionMask?: Tensor<"bool">;
  /**
   * Which document each token is of, i32 [B, T], where several share a row: tokens see those of their own document
   * alone. Positions are then to be given too. @default all are of one
   */
  segments?: Tensor<"i32">;
  /** Generation: keys and values of the positions before, to which those of the tokens are added. */
  cache?: KeyValueCache;
  /** Sees the attention scores of each layer, [B, H, T, T]. Not together with `cache`. @default none are computed */
  onAttentionScores?: SeesAttentionScores;
}

/** What generation and files need of a language model. */
export interface CausalDecoder {
  readonly config: CausalLMConfig;
  /** What a cache has to have room for. */
  readonly cacheShape: CacheShape;
  /** What the tokens are to the first layer, before learned positions: i32 [B, T] -> [B, T, D] */
  embed(inputIds: Tensor<"i32">): Tensor<"f32">;
  /** inputIds: i32 [B, T] -> final hidden states, normalised, [B, T, D] */
  hidden(inputIds: Tensor<"i32">, options?: ForwardOptions): Tensor<"f32">;
  /** hidden: [..., D] -> logits [..., V] */
  logits(hidden: Tensor<"f32">): Tensor<"f32">;
}

/** Learned states before every text of a language model, which all its tokens see; see SoftPrompt in kindling/peft. */
export abstract class TextPrefix extends Module {
  /** How many states of its own it has in front of those of a text's tokens: P. */
  abstract readonly stateCount: number;
  /** inputIds: i32 [B, T] -> final hidden states, [B, P + T, D] */
  abstract hidden(model: CausalDecoder, inputIds: Tensor<"i32">, options: ForwardOptions): Tensor<"f32">;
  /** How many positions of a cache it takes, in front of those of a text's tokens. */
  abstract readonly length: number;
  /**
   * The same over a cache whose first `length` positions it takes: tokens at these stand for it, whatever their ids.
   * inputIds: i32 [B, T], at `positions` i32 [B, T] -> [B, T, D]
   */
  abstract cached(
    model: CausalDecoder,
    inputIds: Tensor<"i32">,
    options: ForwardOptions & { cache: KeyValueCache; positions: Tensor<"i32"> },
  ): Tensor<"f32">;
}
