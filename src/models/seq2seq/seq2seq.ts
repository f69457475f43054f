import { OptionError } from "../../base/index.ts";
import {
  type CacheLengths,
  cacheOfLayer,
  type KeysAndValues,
  type LayerCache,
  type TransformerLayer,
} from "../../nn/index.ts";
import {
  arange,
  concat,
  equal,
  flip,
  full,
  type RandomKey,
  reshape,
  slice,
  sub,
  type Tensor,
  where,
  withScope,
} from "../../tensor/index.ts";
import { keyMask } from "../encoders/encoder.ts";
import { classLoss } from "../losses.ts";
import { type RunOptions, TaskModel } from "../model.ts";

/** What every encoder-decoder's config has. */
export interface Seq2SeqConfig {
  vocabSize: number;
  hiddenSize: number;
  padTokenId: number | null;
  eosTokenId: number | readonly number[] | null;
  /** The token that a decoder's input begins with. */
  decoderStartTokenId: number | null;
}

/** Names that config.json may have for the encoder's sizes. */
export const seq2seqAliases = {
  num_attention_heads: "encoder_attention_heads",
  hidden_size: "d_model",
  num_hidden_layers: "encoder_layers",
};

/** Layers are never left out in training. */
export const layerDrop = { encoder_layerdrop: [0], decoder_layerdrop: [0] };

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

export interface Seq2SeqInputs extends EncoderSideInputs {
  /** i32 [B, T] */
  decoderInputIds?: Tensor<"i32">;
  /** bool [B, T] @default all true */
  decoderAttentionMask?: Tensor<"bool">;
}

export interface Seq2SeqOutput {
  /** [B, T, V] */
  logits: Tensor<"f32">;
  /** [B, S, D] */
  encoderLastHiddenState: Tensor<"f32">;
}

export interface DecodeInputs extends RunOptions {
  encoderStates?: Tensor<"f32">;
  /** In place of encoderStates: their keys and values for each layer. */
  encoderKeysAndValues?: readonly KeysAndValues[];
  /** bool [B, S] */
  encoderMask?: Tensor<"bool">;
  /** bool [B, T] */
  decoderMask?: Tensor<"bool">;
  /** Generation: caches of all layers. */
  cache?: { layers: readonly LayerCache[] } & CacheLengths;
  /** Positions of the tokens, i32 [B, T]; with a cache. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /** Sees the weights of each layer's cross attention, [B, H, T, S]. */
  onCrossWeights?: (weights: Tensor<"f32">, layer: number) => void;
}

/** What generation needs of a model with an encoder and a decoder. */
export interface EncoderDecoder {
  readonly config: Seq2SeqConfig;
  readonly generationConfig: Readonly<Record<string, unknown>>;
  /** Tokens that end a text, of models whose generation_config.json does not say it. */
  readonly endTokenIds?: readonly number[];
  /**
   * Room that a cache needs: layers, heads, width of a head; and the longest text that can be written, if there is a
   * limit.
   */
  readonly cacheShape: { numLayers: number; numHeads: number; headDim: number; maxLength?: number };
  /** -> [B, S, D] */
  encode(inputs: EncoderSideInputs & RunOptions): Tensor<"f32">;
  /** ids: i32 [B, T] -> states [B, T, D], and the caches with the new positions added */
  decode(ids: Tensor<"i32">, inputs: DecodeInputs): { hidden: Tensor<"f32">; layers: LayerCache[] };
  /** hidden: [..., D] -> [..., V] */
  logits(hidden: Tensor<"f32">): Tensor<"f32">;
  /** Keys and values of the encoder's states for each layer: [B, S, D] -> [B, S, H Dh] each. */
  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues[];
}

/** A model that reads a text or a sound and writes a text. */
export abstract class Seq2SeqLM
  extends TaskModel<Seq2SeqInputs, Seq2SeqOutput, { labels: Tensor<"i32"> }>
  implements EncoderDecoder
{
  abstract override readonly config: Seq2SeqConfig;
  abstract readonly cacheShape: EncoderDecoder["cacheShape"];
  /** The decoder's layers. */
  protected abstract readonly decoderLayers: readonly TransformerLayer[];

  abstract encode(inputs: EncoderSideInputs & RunOptions): Tensor<"f32">;
  abstract decode(ids: Tensor<"i32">, inputs: DecodeInputs): { hidden: Tensor<"f32">; layers: LayerCache[] };
  abstract logits(hidden: Tensor<"f32">): Tensor<"f32">;

  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues[] {
    return this.decoderLayers.map((layer, i) => withScope(`layers.${i}.cross`, () => layer.crossKeysAndValues(states)));
  }

  /** @throws OptionError without decoderInputIds */
  forward({ decoderInputIds, decoderAttentionMask, key, ...encoderInputs }: Seq2SeqInputs & RunOptions): Seq2SeqOutput {
    if (!decoderInputIds) {
      const expected = "decoderInputIds, the text written so far";
      throw new OptionError({
        where: this.architecture,
        expected,
        received: "none",
        fix: "start with config.decoderStartTokenId",
      });
    }
    const encoderStates = withScope("encoder", () => this.encode({ ...encoderInputs, key: key?.fold(0) }));
    const encoderMask = encoderInputs.inputFeatures ? undefined : encoderInputs.attentionMask;
    const decoded = withScope("decoder", () =>
      this.decode(decoderInputIds, {
        encoderStates,
        encoderMask,
        decoderMask: decoderAttentionMask,
        key: key?.fold(1),
      }),
    );
    return { logits: this.logits(decoded.hidden), encoderLastHiddenState: encoderStates };
  }

  /**
   * Mean cross-entropy of the labels, i32 [B, T]; -100 does not count. The decoder's input is the labels one place
   * later, unless it is given.
   */
  loss({ labels, ...inputs }: Seq2SeqInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    const { decoderStartTokenId, padTokenId } = this.config;
    const decoderInputIds = inputs.decoderInputIds ?? shiftRight(labels, decoderStartTokenId ?? 0, padTokenId ?? 0);
    return classLoss(this.forward({ ...inputs, decoderInputIds }).logits, labels);
  }
}

/** The start token, then all labels but the last; what does not count becomes padding. i32 [B, T] */
export function shiftRight(labels: Tensor<"i32">, start: number, padding: number): Tensor<"i32"> {
  const [batch] = labels.shape;
  const first = full([batch, 1], start, "i32");
  const shifted = concat([first, slice(labels, { axis: 1, end: -1 })], 1);
  return where(equal(shifted, -100), padding, shifted) as Tensor<"i32">;
}

/** Runs decoder layers one after another, each with a key, a cache, and the encoder's keys and values. */
export function runDecoderLayers(
  layers: readonly TransformerLayer[],
  x: Tensor<"f32">,
  { encoderStates, encoderKeysAndValues, encoderMask, decoderMask, cache, onCrossWeights, key }: DecodeInputs,
  bias?: Tensor<"f32">,
): { hidden: Tensor<"f32">; layers: LayerCache[] } {
  const caches: LayerCache[] = [];
  const shared = { encoderStates, encoderMask: keyMask(encoderMask), mask: keyMask(decoderMask), isCausal: true, bias };
  let hidden = x;
  for (const [i, layer] of layers.entries()) {
    const own = cache && cacheOfLayer(cache, i);
    const seen = onCrossWeights && ((weights: Tensor<"f32">) => onCrossWeights(weights, i));
    const inputs = {
      ...shared,
      encoderKeysAndValues: encoderKeysAndValues?.[i],
      cache: own,
      onCrossWeights: seen,
      key: key?.fold(i),
    };
    const result = withScope(`layers.${i}`, () => layer.forward(hidden, inputs));
    hidden = result.output;
    if (result.cache) caches.push(result.cache);
  }
  return { hidden, layers: caches };
}

/** Runs encoder layers one after another. */
export function runEncoderLayers(
  layers: readonly TransformerLayer[],
  x: Tensor<"f32">,
  { mask, bias, key }: { mask?: Tensor<"bool">; bias?: Tensor<"f32">; key?: RandomKey },
): Tensor<"f32"> {
  const visible = keyMask(mask);
  return layers.reduce(
    (states, layer, i) =>
      withScope(`layers.${i}`, () => layer.forward(states, { mask: visible, bias, key: key?.fold(i) }).output),
    x,
  );
}

/** Positions of new tokens, i32 [B, T]: those after what is in the cache, or from 0 on, i32 [1, T]. */
export function newPositions(ids: Tensor<"i32">, cache: CacheLengths | undefined): Tensor<"i32"> {
  if (cache?.growth) return cache.growth.queryPositions;
  const [batch, length] = ids.shape;
  return cache ? sub(reshape(cache.lengths, [batch, 1]), flip(arange(length))) : reshape(arange(length), [1, length]);
}
