import { IGNORED_LABEL, OptionError } from "../../base/index.ts";
import {
  type CacheShape,
  type KeysAndValues,
  type KeyValueCache,
  layerOfCache,
  type TransformerLayer,
} from "../../nn/index.ts";
import {
  arange,
  concat,
  equal,
  full,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  where,
  withScope,
} from "../../tensor/index.ts";
import { keyMask } from "../encoders/encoder.ts";
import { type EncoderDecoderLayout, encoderDecoderParts, sourceTexts } from "../formats/onnx-parts/encoder-decoder.ts";
import type { OnnxPart } from "../formats/onnx-parts/part.ts";
import { classLoss } from "../losses.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";
import type { DecodeInputs, EncoderDecoder, EncoderSideInputs, Seq2SeqConfig } from "./encoder-decoder.ts";

/** Names that config.json may have for the encoder's sizes. */
export const seq2seqAliases = {
  num_attention_heads: "encoder_attention_heads",
  hidden_size: "d_model",
  num_hidden_layers: "encoder_layers",
};

/** Layers are never left out in training. */
export const layerDrop = { encoder_layerdrop: [0], decoder_layerdrop: [0] };

/** A batch of sources, and what is written of their targets. For `loss`, decoderInputIds may be left to the labels. */
export interface Seq2SeqInputs extends EncoderSideInputs {
  /** i32 [B, T] */
  decoderInputIds?: Tensor<"i32">;
  /** bool [B, T] @default all true */
  decoderAttentionMask?: Tensor<"bool">;
}

/** What an encoder-decoder says of each next token, and what its encoder made of the source. */
export interface Seq2SeqOutput {
  /** [B, T, V] */
  logits: Tensor<"f32">;
  /** [B, S, D] */
  encoderLastHiddenState: Tensor<"f32">;
}

/**
 * A model that reads a text or a sound and writes a text: an encoder, a decoder that attends to its states, and logits
 * for the next token. It mirrors transformers' ForConditionalGeneration classes.
 */
export abstract class Seq2SeqLM
  extends TaskModel<Seq2SeqInputs, Seq2SeqOutput>
  implements EncoderDecoder, Trainable<Seq2SeqInputs & { labels: Tensor<"i32"> }>
{
  abstract override readonly config: Seq2SeqConfig;
  /** What a cache has to have room for: the decoder's layers and heads. */
  abstract readonly cacheShape: CacheShape;
  onnxParts(): OnnxPart[] {
    return encoderDecoderParts(this, this.onnxLayout());
  }

  /** What the encoder reads, and the width of its states. @default texts, and hiddenSize */
  protected onnxLayout(): EncoderDecoderLayout {
    return { encoderInputs: sourceTexts, encoderWidth: this.config.hiddenSize };
  }

  /** The decoder's layers. */
  protected abstract readonly decoderLayers: readonly TransformerLayer[];

  /** inputIds: i32 [B, S], or of speech models inputFeatures -> states [B, S, D] */
  abstract encode(inputs: EncoderSideInputs & RunOptions): Tensor<"f32">;
  /** ids: i32 [B, T] -> states of the decoder, [B, T, D] */
  abstract decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32">;
  /** hidden: [..., D] -> logits of the next token, [..., V] */
  abstract logits(hidden: Tensor<"f32">): Tensor<"f32">;

  /**
   * The encoder's states as keys and values of each layer's cross attention, which generation computes once: [B, S, D]
   * -> [B, S, H Dh] each.
   */
  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues[] {
    return this.decoderLayers.map((layer, i) => withScope(`layers.${i}.cross`, () => layer.crossKeysAndValues(states)));
  }

  /**
   * inputIds: i32 [B, S], decoderInputIds: i32 [B, T] -> logits [B, T, V], and the encoder's states [B, S, D].
   * @throws OptionError without decoderInputIds
   */
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
    const states = withScope("decoder", () =>
      this.decode(decoderInputIds, {
        encoderStates,
        encoderMask,
        decoderMask: decoderAttentionMask,
        key: key?.fold(1),
      }),
    );
    return { logits: this.logits(states), encoderLastHiddenState: encoderStates };
  }

  /**
   * Mean cross-entropy of the labels, i32 [B, T], in nats; -100 does not count. The decoder's input is the labels one
   * place later, unless it is given. -> []
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
  return where(equal(shifted, IGNORED_LABEL), padding, shifted) as Tensor<"i32">;
}

/**
 * Runs decoder layers one after another, each with its key, its part of the cache, and the encoder's keys and values.
 * x: [B, T, D] -> [B, T, D]
 */
export function runDecoderLayers(
  layers: readonly TransformerLayer[],
  x: Tensor<"f32">,
  { encoderStates, encoderKeysAndValues, encoderMask, decoderMask, cache, onCrossWeights, key }: DecodeInputs,
  bias?: Tensor<"f32">,
): Tensor<"f32"> {
  const shared = { encoderStates, encoderMask: keyMask(encoderMask), mask: keyMask(decoderMask), isCausal: true, bias };
  return layers.reduce((states, layer, i) => {
    const inputs = {
      ...shared,
      encoderKeysAndValues: encoderKeysAndValues?.[i],
      cache: layerOfCache(cache, i),
      onCrossWeights: onCrossWeights && ((weights: Tensor<"f32">) => onCrossWeights(weights, i)),
      key: key?.fold(i),
    };
    return withScope(`layers.${i}`, () => layer.forward(states, inputs));
  }, x);
}

/** Runs encoder layers one after another, each with its key. x: [B, S, D] -> [B, S, D] */
export function runEncoderLayers(
  layers: readonly TransformerLayer[],
  x: Tensor<"f32">,
  { mask, bias, key }: { mask?: Tensor<"bool">; bias?: Tensor<"f32">; key?: RandomKey },
): Tensor<"f32"> {
  const visible = keyMask(mask);
  return layers.reduce(
    (states, layer, i) =>
      withScope(`layers.${i}`, () => layer.forward(states, { mask: visible, bias, key: key?.fold(i) })),
    x,
  );
}

/** Positions of new tokens, i32 [B, T]: those after what is in the cache, or from 0 on, i32 [1, T]. */
export function newPositions(ids: Tensor<"i32">, cache: KeyValueCache | undefined): Tensor<"i32"> {
  const length = ids.shape[1];
  return cache ? cache.positions(length) : reshape(arange(length), [1, length]);
}
