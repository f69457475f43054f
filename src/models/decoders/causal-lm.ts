import { IGNORED_LABEL, OptionError, ShapeError } from "../../base/index.ts";
import {
  type CacheShape,
  type EmbeddingTable,
  type KeyValueCache,
  type LayerCache,
  layerOfCache,
  type Projection,
} from "../../nn/index.ts";
import {
  concat,
  equal,
  full,
  logicalAnd,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  tensor,
  withScope,
} from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import { causalLMPart } from "../formats/onnx-parts/causal-lm.ts";
import type { OnnxPart } from "../formats/onnx-parts/part.ts";
import { type NextTokenLabels, nextTokenLoss } from "../losses.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";
import type { CausalDecoder, CausalLMConfig, ForwardOptions, TextPrefix } from "./causal-decoder.ts";

/** What a language model reads. */
export interface CausalLMInputs {
  /** i32 [B, T] */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding at either side; at the left, positionIds are to be given too. @default all true */
  attentionMask?: Tensor<"bool">;
  /**
   * Which document each token is of, i32 [B, T], where several share a row: tokens see those of their own document
   * alone. Of padding any number that no document has. positionIds are then to be given too. @default all are of one
   */
  segmentIds?: Tensor<"i32">;
  /** Position of each token, i32 [B, T]; of models that place tokens in space too [3, B, T]. @default 0, 1, ... */
  positionIds?: Tensor<"i32">;
  /** What stands for the tokens in place of their own embeddings, [B, T, D]. @default embed(inputIds) */
  inputsEmbeds?: Tensor<"f32">;
  /** Generation: see ForwardOptions. */
  cache?: ForwardOptions["cache"];
  /** Sees the attention scores of each layer, [B, H, T, T]: see ForwardOptions. */
  onAttentionScores?: ForwardOptions["onAttentionScores"];
}

/** What a language model says. */
export interface CausalLMOutput {
  /** [B, T, V] */
  logits: Tensor<"f32">;
  /** After the last norm. [B, T, D] */
  lastHiddenState: Tensor<"f32">;
}

/** What logits are made by: one product with a matrix, a bias perhaps, and a bound. */
export interface OutputLayer {
  /** A layer, or the table of the tokens where they are tied. */
  layer: Projection | EmbeddingTable;
  /** Logits are softCap tanh(x / softCap). @default no bound */
  softCap?: number;
}

/**
 * A decoder-only language model: a stack of blocks, and logits for the next token. Families extend it with their layers
 * (`hidden`) and their head (`logits`); `forward`, `loss` and the ONNX files follow from these. It mirrors the
 * ForCausalLM classes of transformers.
 */
export abstract class CausalLM
  extends TaskModel<CausalLMInputs, CausalLMOutput>
  implements CausalDecoder, Trainable<CausalLMInputs & NextTokenLabels>
{
  static readonly task = "causal-lm";
  abstract override readonly config: CausalLMConfig;
  readonly task = CausalLM.task;
  /** What a cache has to have room for. */
  abstract readonly cacheShape: CacheShape;
  /** What stands before every text. Set by applyAdapter of kindling/peft. @default nothing */
  textPrefix?: TextPrefix;

  /** A length that keys cached in a run up to it do not fit beyond: the cache is made anew there. @default none */
  get cacheLimit(): number | undefined {
    return undefined;
  }

  /** What the tokens are to the first layer, before learned positions: i32 [B, T] -> [B, T, D] */
  abstract embed(inputIds: Tensor<"i32">): Tensor<"f32">;
  /**
   * inputIds: i32 [B, T] -> final hidden states, normalised, [B, T, D].
   * @throws ShapeError when T exceeds the context length
   */
  abstract hidden(inputIds: Tensor<"i32">, options?: ForwardOptions): Tensor<"f32">;
  /** hidden: [..., D] -> logits [..., V] */
  abstract logits(hidden: Tensor<"f32">): Tensor<"f32">;

  /**
   * What `logits` does to hidden states, for losses that do not make all logits at once. @default undefined: more than
   * one layer
   */
  get outputLayer(): OutputLayer | undefined {
    return undefined;
  }

  /**
   * inputIds: i32 [B, T] -> logits of the next token at each place [B, T, V], and the states that they are made of
   * [B, T, D].
   * @throws ShapeError when T exceeds the context length
   */
  forward(inputs: CausalLMInputs & RunOptions): CausalLMOutput {
    const states = this.states(inputs); // [B, P + T, D]
    const { stateCount = 0 } = this.textPrefix ?? {};
    const lastHiddenState = stateCount === 0 ? states : slice(states, { axis: 1, start: stateCount });
    return { logits: this.logits(lastHiddenState), lastHiddenState };
  }

  /**
   * Final hidden states, also of what stands before the texts: [B, P + T, D].
   * @throws OptionError for documents in one row behind a prefix, which each of them would need, and for attention
   *   scores of a model with a prefix
   */
  private states(inputs: CausalLMInputs & RunOptions): Tensor<"f32"> {
    const { inputIds, attentionMask, segmentIds: segments, positionIds: positions, inputsEmbeds: embeddings } = inputs;
    const { cache, key, onAttentionScores } = inputs;
    const options = { attentionMask, segments, positions, embeddings, cache, key };
    if (!this.textPrefix) return this.hidden(inputIds, { ...options, onAttentionScores });
    if (onAttentionScores) requireNoPrefix("attention scores", this);
    if (!segments) return this.textPrefix.hidden(this, inputIds, options);
    throw new OptionError({
      where: this.architecture,
      expected: "one text in each row, behind prompt or prefix tuning",
      received: "segmentIds",
      fix: "do not pack several texts into a row",
    });
  }

  /**
   * Mean cross-entropy of the next tokens, in nats. labels or shiftLabels: i32 [B, T]; -100 does not count. Behind
   * states of a prefix the first of `labels` counts too: the last of these states tells it. -> []
   * @throws OptionError for labels and shiftLabels, or none of them
   */
  loss({ labels, shiftLabels, ...inputs }: CausalLMInputs & NextTokenLabels & RunOptions): Tensor<"f32"> {
    const { stateCount = 0 } = this.textPrefix ?? {};
    if (stateCount > 0 && labels && !shiftLabels) {
      const states = slice(this.states(inputs), { axis: 1, start: stateCount - 1 }); // [B, 1 + T, D]
      const all = concat([full([labels.shape[0], 1], IGNORED_LABEL, "i32"), labels], 1);
      return nextTokenLoss(this.architecture, this.logits(states), { labels: all });
    }
    const { logits } = this.forward(inputs);
    return nextTokenLoss(this.architecture, logits, { labels, shiftLabels } as NextTokenLabels);
  }

  onnxParts(): OnnxPart[] {
    requireNoPrefix("onnxParts", this);
    return [causalLMPart(this)];
  }

  /** The positions of the tokens. @throws ShapeError when there are more than the context holds */
  protected positionsOf(inputIds: Tensor<"i32">, { positions, cache }: ForwardOptions): Tensor<"i32"> {
    const length = inputIds.shape[1];
    const { maxPositionEmbeddings } = this.config;
    if (typeof length === "number" && length > maxPositionEmbeddings) {
      throw new ShapeError({
        where: this.constructor.name,
        expected: `at most ${maxPositionEmbeddings} tokens`,
        received: `${length}`,
        fix: "shorten the input, or use a model with a longer context",
      });
    }
    if (positions || cache) return positions ?? (cache as KeyValueCache).positions(length);
    return tensor(Int32Array.from({ length: length as number }, (_, i) => i)); // [T]
  }
}

/** @throws OptionError for a model with states before its texts: caches of keys and values begin without them */
export function requireNoPrefix(where: string, { architecture, textPrefix }: CausalLM): void {
  if (!textPrefix) return;
  throw new OptionError({
    where: `${where}, ${architecture}`,
    expected: "a model with nothing before its texts",
    received: "one with prompt or prefix tuning",
    fix: "use forward, which has it, or remove the adapter",
  });
}

/**
 * What each block of a decoder takes besides its states x [B, T, D]: the random key of its dropout, its layer's part of
 * the cache, and which keys are padding. Without any: no dropout, no cache, every key is seen.
 */
export interface BlockOptions {
  key?: RandomKey;
  cache?: LayerCache;
  /** bool [B, 1, 1, S], or of documents that share a row [B, 1, T, S]; false hides a key. */
  mask?: Tensor<"bool">;
  /** Sees the attention scores, [B, H, T, T]. */
  onScores?: (scores: Tensor<"f32">) => void;
}

/**
 * Runs blocks one after another, each with its key and its part of the cache; `extra` is what a family's blocks take
 * besides. x: [B, T, D] -> [B, T, D]
 */
export function runBlocks<Extra extends object>(
  scope: string,
  blocks: readonly { forward(x: Tensor<"f32">, options: BlockOptions & Extra): Tensor<"f32"> }[],
  x: Tensor<"f32">,
  { key, cache, onAttentionScores, ...visible }: ForwardOptions,
  extra: Extra,
): Tensor<"f32"> {
  const mask = maskOf(visible);
  return blocks.reduce((states, block, i) => {
    const onScores = ofLayer(onAttentionScores, i);
    const options = { ...extra, key: key?.fold(i), cache: layerOfCache(cache, i), mask, onScores };
    return withScope(`${scope}.${i}`, () => block.forward(states, options));
  }, x);
}

/** Which keys a token may see besides those before it; undefined where it may see all. */
function maskOf({ attentionMask, segments }: Pick<ForwardOptions, "attentionMask" | "segments">) {
  const real = attentionMask && reshape(attentionMask, [attentionMask.shape[0], 1, 1, attentionMask.shape[1]]);
  if (!segments) return real;
  const [batch, length] = segments.shape;
  const ofOne = equal(reshape(segments, [batch, 1, length, 1]), reshape(segments, [batch, 1, 1, length]));
  return real ? logicalAnd(ofOne, real) : ofOne; // [B, 1, T, T]
}
