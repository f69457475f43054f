import { known } from "../base/index.ts";
import {
  attentionScores,
  type RandomKey,
  scaledDotProductAttention,
  type Tensor,
  type TensorAttentionOptions,
} from "../tensor/index.ts";
import { dropout } from "./dropout.ts";
import { headWidth, mergeHeads, requireHeads, splitHeads } from "./heads.ts";
import type { LayerCache } from "./key-value-cache.ts";
import { Linear, type LinearConfig } from "./layers.ts";
import { Module } from "./module.ts";
import type { Projection } from "./projection.ts";
import { requireProbability, requireSizes } from "./sizes.ts";

/** How `multiHeadAttention` is divided into heads, which keys each query sees, and what happens to the weights. */
export interface MultiHeadOptions {
  /** Heads of queries, H. */
  numHeads: number;
  /** Heads of keys and values; each serves numHeads / numKeyHeads query heads. @default numHeads */
  numKeyHeads?: number;
  /** Each position sees only itself and those before. @default false */
  isCausal?: boolean;
  /** Factor on the scores. @default 1 / sqrt(Dh) */
  scale?: number;
  /** A position sees only those less than this far before it. @default no limit */
  slidingWindow?: number;
  /** bool, broadcasts to [B, H, T, S]; false hides a key. Not together with `cache`. */
  mask?: Tensor<"bool"> | undefined;
  /** Added to the scores, broadcasts to [B, H, T, S]; with a cache S is its `keyCount`. For relative positions. */
  bias?: Tensor<"f32">;
  /** Scores s become cap tanh(s / cap). @default none */
  softCap?: number;
  /** Probability of dropping an attention weight; needs `key`. @default 0 */
  dropoutProbability?: number;
  /** Random key of the dropout. @default none: nothing is dropped */
  key?: RandomKey;
  /** Sees the attention weights, [B, H, T, S]. Not together with `cache`. */
  onWeights?: (weights: Tensor<"f32">) => void;
  /**
   * Sees what the attention weights are the softmax of, [B, H, T, S]: HIDDEN_SCORE for hidden keys. They are computed
   * beside the attention, which stays as it is. Not together with `cache`.
   */
  onScores?: (scores: Tensor<"f32">) => void;
  /** Generation: attend to earlier positions too, and add the new ones. Implies isCausal. */
  cache?: LayerCache | undefined;
}

/**
 * Multi-head attention on projected queries, keys and values.
 * q: [B, T, H * Dh], k and v: [B, S, K * Dh] -> [B, T, H * Dh]. With a `cache` k and v are those of the T new tokens
 * alone, [B, T, K * Dh].
 * Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
 * @throws ShapeError when a width is no multiple of its number of heads, or H none of K
 */
export function multiHeadAttention(
  q: Tensor<"f32">,
  k: Tensor<"f32">,
  v: Tensor<"f32">,
  options: MultiHeadOptions,
): Tensor<"f32"> {
  const { numHeads, numKeyHeads = numHeads, isCausal = false, slidingWindow, mask, bias, softCap } = options;
  const { dropoutProbability = 0, key, cache, onWeights, onScores } = options;
  requireProbability("multiHeadAttention", dropoutProbability);
  const scale = options.scale ?? 1 / Math.sqrt(headWidth(q, numHeads));
  const drops = key !== undefined && dropoutProbability > 0;
  const onProbabilities: TensorAttentionOptions["onProbabilities"] = (weights) => {
    onWeights?.(weights as Tensor<"f32">);
    return drops ? dropout(weights, dropoutProbability, key) : weights;
  };
  if (cache) {
    const settings = { numHeads, numKeyHeads, scale, slidingWindow, bias, softCap };
    return cache.attend(q, k, v, drops ? { ...settings, onProbabilities } : settings);
  }
  const [queries, keys] = [splitHeads(q, numHeads), splitHeads(k, numKeyHeads)];
  const scored = { isCausal, scale, slidingWindow, mask, bias, softCap };
  onScores?.(attentionScores(queries, keys, scored));
  const output = scaledDotProductAttention(queries, keys, splitHeads(v, numKeyHeads), {
    ...scored,
    ...((drops || onWeights) && { onProbabilities, blocks: 1 }), // blocks would share one key, and each be seen
  });
  return mergeHeads(output);
}

/** Sizes of a `MultiHeadAttention`, its mask and its dropout. `init` makes the first weights of all projections. */
export interface MultiHeadAttentionConfig extends Pick<LinearConfig, "init"> {
  /** Width of input and output, D. */
  hiddenSize: number;
  /** Heads, H, each of width D / H. */
  numHeads: number;
  /** Each position sees only itself and those before. @default false */
  isCausal?: boolean;
  /** Probability of dropping an attention weight, in runs that have a key. @default 0 */
  dropoutProbability?: number;
}

/**
 * Self-attention with separate projections for queries, keys and values. Vaswani et al. 2017, arXiv:1706.03762, section
 * 3.2.2.
 */
export class MultiHeadAttention extends Module {
  readonly qProj: Projection; // [D, D]
  readonly kProj: Projection; // [D, D]
  readonly vProj: Projection; // [D, D]
  readonly oProj: Projection; // [D, D]
  private readonly config: MultiHeadAttentionConfig;

  /** @throws OptionError when hiddenSize is no multiple of numHeads */
  constructor(config: MultiHeadAttentionConfig, key: RandomKey) {
    super();
    const names = { hiddenSize: true, numHeads: true, isCausal: true, dropoutProbability: true, init: true } as const;
    const { hiddenSize, init } = known("MultiHeadAttention", config, names);
    requireSizes("MultiHeadAttention", { hiddenSize });
    requireHeads("MultiHeadAttention", config);
    const [q, k, v, o] = key
      .split(4)
      .map((part) => new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, part));
    this.qProj = q;
    this.kProj = k;
    this.vProj = v;
    this.oProj = o;
    this.config = config;
  }

  /**
   * x: [B, T, D] -> [B, T, D]. With a `key` attention weights are dropped. With a `cache` x are the new tokens, which
   * see those in the cache too; keys and values of x are added to it.
   */
  forward(x: Tensor<"f32">, { key, cache }: Pick<MultiHeadOptions, "key" | "cache"> = {}): Tensor<"f32"> {
    const [q, k, v] = [this.qProj, this.kProj, this.vProj].map((projection) => projection.forward(x));
    return this.oProj.forward(multiHeadAttention(q, k, v, { ...this.config, key, cache }));
  }
}
