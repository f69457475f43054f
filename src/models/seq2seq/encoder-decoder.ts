/** What an encoder-decoder is to those who run it: generation, and files in ONNX. */
import type { CacheShape, KeysAndValues, KeyValueCache, Module } from "../../nn/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { RunOptions } from "../model.ts";

/** What every encoder-decoder's config has. */
export interface Seq2SeqConfig {
  vocabSize: number;
  hiddenSize: number;
  padTokenId: number | null;
  eosTokenId: number | readonly number[] | null;
  /** The token that a decoder's input begins with. */
  decoderStartTokenId: number | null;
}

/** What an encoder reads: a batch of texts, of sounds or of images, by the model's kind. */
export interface EncoderSideInputs {
  /** i32 [B, S] */
  inputIds?: Tensor<"i32">;
  /** Log-mel spectrogram, [B, mels, frames]: of speech models. */
  inputFeatures?: Tensor<"f32">;
  /** Images, [B, 3, H, W]: of captioning models. */
  pixelValues?: Tensor<"f32">;
  /** bool [B, S], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
}

/**
 * What a decoder takes besides its ids: what the encoder made of the source, as states or as their keys and values, and
 * which places of both sides are padding.
 */
export interface DecodeInputs extends RunOptions {
  /** [B, S, D] */
  encoderStates?: Tensor<"f32">;
  /** In place of encoderStates: their keys and values for each layer. */
  encoderKeysAndValues?: readonly KeysAndValues[];
  /** bool [B, S] */
  encoderMask?: Tensor<"bool">;
  /** bool [B, T] */
  decoderMask?: Tensor<"bool">;
  /** Generation: keys and values of the positions before, to which those of the tokens are added. */
  cache?: KeyValueCache;
  /** Sees the weights of each layer's cross attention, [B, H, T, S]. */
  onCrossWeights?: (weights: Tensor<"f32">, layer: number) => void;
}

/** What generation needs of a model with an encoder and a decoder. */
export interface EncoderDecoder extends Module {
  readonly config: Seq2SeqConfig;
  readonly generationConfig: Readonly<Record<string, unknown>>;
  /** Tokens that end a text, of models whose generation_config.json does not say it. */
  readonly endTokenIds?: readonly number[];
  /** What a cache has to have room for. */
  readonly cacheShape: CacheShape;
  /** -> [B, S, D] */
  encode(inputs: EncoderSideInputs & RunOptions): Tensor<"f32">;
  /** ids: i32 [B, T] -> states [B, T, D] */
  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32">;
  /** hidden: [..., D] -> [..., V] */
  logits(hidden: Tensor<"f32">): Tensor<"f32">;
  /** Keys and values of the encoder's states for each layer: [B, S, D] -> [B, S, H Dh] each. */
  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues[];
}
