import { known } from "../base/index.ts";
import {
  add,
  arange,
  cachedAttention,
  cast,
  concat,
  equal,
  flip,
  greater,
  lessEqual,
  logicalAnd,
  matmul,
  max,
  mul,
  pad,
  type RandomKey,
  reshape,
  scaledDotProductAttention,
  slice,
  sub,
  type Tensor,
  type TensorAttentionOptions,
  transpose,
} from "../tensor/index.ts";
import { dropout, Linear, type LinearConfig } from "./layers.ts";
import { Module } from "./module.ts";

/** What keys and values are kept in: f16 halves the memory of a cache, and keeps 11 bits of each number. */
export type CacheDType = "f32" | "f16";

/** Keys and values of the positions seen so far, for one layer, with room for S positions. */
export interface LayerCache {
  /** [B, K, S, cachedHeadDim(Dh)] */
  k: Tensor<CacheDType>;
  v: Tensor<CacheDType>;
}

/** How far the caches of all layers are filled. */
export interface CacheLengths {
  /** Positions filled after this step, minus 1, for each row. i32 [B] */
  lengths: Tensor<"i32">;
  /** The largest number of positions filled after this step. i32 [1] */
  total: Tensor<"i32">;
  /**
   * In place of filling the room of the caches, they grow by the new positions: for models in files, whose caches the
   * caller keeps.
   */
  growth?: CacheGrowth;
}

/** What layer `i` takes of the caches of all. */
export function cacheOfLayer(
  { layers, ...filled }: { layers: readonly LayerCache[] } & CacheLengths,
  i: number,
): LayerCache & CacheLengths {
  return { ...layers[i], ...filled };
}

/** Where the queries and the keys are, those in the cache and the new ones. */
export interface CacheGrowth {
  /** i32 [B, T] */
  queryPositions: Tensor<"i32">;
  /** i32 [B, P + T] */
  keyPositions: Tensor<"i32">;
  /** bool [B, P + T], false for padding. */
  keyMask: Tensor<"bool">;
}

export interface MultiHeadOptions {
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
  mask?: Tensor<"bool">;
  /** Added to the scores, broadcasts to [B, H, T, S]; with a cache S is its whole room. For relative positions. */
  bias?: Tensor<"f32">;
  /** Scores s become cap tanh(s / cap). @default none */
  softCap?: number;
  /** Probability of dropping an attention weight; needs `key`. @default 0 */
  dropoutProbability?: number;
  key?: RandomKey;
  /** Sees the attention weights, [B, H, T, S]. Not together with `cache`. */
  onWeights?: (weights: Tensor<"f32">) => void;
  /** Generation: attend to these earlier positions too, and add the new ones. Implies isCausal. */
  cache?: LayerCache & CacheLengths;
}

/** Width of a head in a cache: the kernel takes multiples of 8; what is added is 0. */
export const cachedHeadDim = (headDim: number): number => Math.ceil(headDim / 8) * 8;

/** Heads widened by zeros, or cut to their width again: [B, T, H * from] -> [B, T, H * to]. */
function resizeHeads(x: Tensor<"f32">, from: number, to: number): Tensor<"f32"> {
  if (from === to) return x;
  const [batch, length, width] = x.shape;
  const heads = (width as number) / from;
  return reshape(resizeLast(reshape(x, [batch, length, heads, from]), to), [batch, length, heads * to]);
}

/** [B, T, H * Dh] -> [B, H, T, Dh] */
export function splitHeads(x: Tensor<"f32">, numHeads: number): Tensor<"f32"> {
  const [batch, length, width] = x.shape;
  return transpose(reshape(x, [batch, length, numHeads, (width as number) / numHeads]), [0, 2, 1, 3]);
}

/** [B, H, T, Dh] -> [B, T, H * Dh] */
export function mergeHeads(x: Tensor<"f32">): Tensor<"f32"> {
  const [batch, heads, length, headDim] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, length, (heads as number) * (headDim as number)]);
}

/**
 * Multi-head attention on projected queries [B, T, H * Dh], keys and values [B, T, K * Dh] -> output [B, T, H * Dh].
 * With a cache it also gives the cache with the new positions added. Vaswani et al. 2017, arXiv:1706.03762, section
 * 3.2.2.
 */
export function multiHeadAttention(
  q: Tensor<"f32">,
  k: Tensor<"f32">,
  v: Tensor<"f32">,
  options: MultiHeadOptions,
): { output: Tensor<"f32">; cache?: LayerCache } {
  const {
    numHeads,
    numKeyHeads = numHeads,
    isCausal = false,
    slidingWindow,
    mask,
    bias,
    softCap,
    dropoutProbability = 0,
    key,
    cache,
    onWeights,
  } = options;
  const headDim = (q.shape[2] as number) / numHeads;
  const scale = options.scale ?? 1 / Math.sqrt(headDim);
  if (cache?.growth) return attendGrowing(q, k, v, { ...options, scale, cache, numKeyHeads }, cache.growth);
  if (cache && (bias || softCap)) return attendOverRoom(q, k, v, { ...options, scale, cache, numKeyHeads });
  if (cache) {
    const width = cachedHeadDim(headDim);
    // the kernel has one dtype for all
    const [widerQ, widerK, widerV] = [q, k, v].map((x) => cast(resizeHeads(x, headDim, width), cache.k.dtype));
    const { output, ...next } = cachedAttention(widerQ, widerK, widerV, cache, {
      numHeads,
      numKeyHeads,
      scale,
      slidingWindow,
    });
    return { output: resizeHeads(cast(output, "f32"), width, headDim), cache: next };
  }
  const drops = key !== undefined && dropoutProbability > 0;
  const onProbabilities: TensorAttentionOptions["onProbabilities"] = (weights) => {
    onWeights?.(weights as Tensor<"f32">);
    return drops ? dropout(weights, dropoutProbability, key) : weights;
  };
  const output = scaledDotProductAttention(
    splitHeads(q, numHeads),
    splitHeads(k, numKeyHeads),
    splitHeads(v, numKeyHeads),
    {
      isCausal,
      scale,
      slidingWindow,
      mask,
      bias,
      softCap,
      ...((drops || onWeights) && { onProbabilities, blocks: 1 }), // blocks would share one key, and each be seen
    },
  );
  return { output: mergeHeads(output) };
}

type CachedOptions = MultiHeadOptions & { numKeyHeads: number; cache: LayerCache & CacheLengths };

/**
 * Attention of queries [B, T, H * Dh], at [B, 1, T, 1], to the keys of a cache at `places`, of which `isSeen` is true:
 * [B, T, H * Dh].
 */
function attendToCache(
  q: Tensor<"f32">,
  { k, v }: LayerCache,
  { numHeads, scale, bias, softCap, slidingWindow }: MultiHeadOptions,
  { at, places, isSeen }: { at: Tensor<"i32">; places: Tensor<"i32">; isSeen: Tensor<"bool"> },
): Tensor<"f32"> {
  const width = (q.shape[2] as number) / numHeads;
  const [keys, values] = [k, v].map((x) => resizeLast(cast(x, "f32"), width));
  const mask = slidingWindow ? logicalAnd(isSeen, greater(places, sub(at, slidingWindow))) : isSeen;
  return mergeHeads(scaledDotProductAttention(splitHeads(q, numHeads), keys, values, { scale, bias, softCap, mask }));
}

/**
 * Attention over a cache from plain ops, for what the fused kernel lacks: the new keys and values are put in their
 * places, and scores are computed over the whole room of the cache, of which what is not filled yet is hidden.
 */
function attendOverRoom(
  q: Tensor<"f32">,
  k: Tensor<"f32">,
  v: Tensor<"f32">,
  options: CachedOptions,
): { output: Tensor<"f32">; cache: LayerCache } {
  const { numKeyHeads, cache } = options;
  const [batch, length] = q.shape;
  const room = cache.k.shape[2]; // a number or a symbol
  const positions = sub(reshape(cache.lengths, [batch, 1]), flip(arange(length))); // [B, T]
  const places = arange(room); // [S]
  const isPlace = equal(reshape(positions, [batch, length, 1]), places); // [B, T, S]
  const oneHot = reshape(cast(isPlace, "f32"), [batch, 1, length, room]);
  const kept = reshape(sub(1, max(oneHot, { axes: 2 })), [batch, 1, room, 1]);
  const put = (old: Tensor<CacheDType>, added: Tensor<"f32">) => {
    const fresh = resizeLast(
      matmul(oneHot, splitHeads(added, numKeyHeads), { transposeA: true }),
      old.shape[3] as number,
    );
    return add(mul(old, cast(kept, old.dtype)), cast(fresh, old.dtype)) as Tensor<CacheDType>;
  };
  const next = { k: put(cache.k, k), v: put(cache.v, v) };
  const at = reshape(positions, [batch, 1, length, 1]);
  const isSeen = lessEqual(places, at); // [B, 1, T, S]
  return { output: attendToCache(q, next, options, { at, places, isSeen }), cache: next };
}

/** Attention over a cache that grows, from plain ops. */
function attendGrowing(
  q: Tensor<"f32">,
  k: Tensor<"f32">,
  v: Tensor<"f32">,
  options: CachedOptions,
  { queryPositions, keyPositions, keyMask }: CacheGrowth,
): { output: Tensor<"f32">; cache: LayerCache } {
  const { numKeyHeads, cache } = options;
  const [batch, length] = q.shape;
  const keys = keyPositions.shape[1];
  const grown = (old: Tensor<CacheDType>, added: Tensor<"f32">) =>
    concat([old, cast(resizeLast(splitHeads(added, numKeyHeads), old.shape[3] as number), old.dtype)], 2);
  const next = { k: grown(cache.k, k), v: grown(cache.v, v) };
  const at = reshape(queryPositions, [batch, 1, length, 1]);
  const places = reshape(keyPositions, [batch, 1, 1, keys]);
  const isSeen = logicalAnd(lessEqual(places, at), reshape(keyMask, [batch, 1, 1, keys])); // [B, 1, T, P + T]
  return { output: attendToCache(q, next, options, { at, places, isSeen }), cache: next };
}

/** The last axis widened by zeros, or cut. */
function resizeLast(x: Tensor<"f32">, to: number): Tensor<"f32"> {
  const from = x.shape[x.rank - 1] as number;
  if (from === to) return x;
  return to < from ? slice(x, { axis: -1, end: to }) : pad(x, [[0, to - from]]);
}

export interface MultiHeadAttentionConfig extends Pick<LinearConfig, "init"> {
  hiddenSize: number;
  numHeads: number;
  /** @default false */
  isCausal?: boolean;
  /** @default 0 */
  dropoutProbability?: number;
}

/** Self-attention with separate projections for queries, keys and values. */
export class MultiHeadAttention extends Module {
  readonly qProj: Linear; // [D, D]
  readonly kProj: Linear; // [D, D]
  readonly vProj: Linear; // [D, D]
  readonly oProj: Linear; // [D, D]
  private readonly config: MultiHeadAttentionConfig;

  constructor(config: MultiHeadAttentionConfig, key: RandomKey) {
    super();
    const names = { hiddenSize: true, numHeads: true, isCausal: true, dropoutProbability: true, init: true } as const;
    const { hiddenSize, init } = known("MultiHeadAttention", config, names);
    const [q, k, v, o] = key
      .split(4)
      .map((part) => new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, part));
    this.qProj = q;
    this.kProj = k;
    this.vProj = v;
    this.oProj = o;
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(
    x: Tensor<"f32">,
    { key, cache }: Pick<MultiHeadOptions, "key" | "cache"> = {},
  ): { output: Tensor<"f32">; cache?: LayerCache } {
    const attended = multiHeadAttention(this.qProj.forward(x), this.kProj.forward(x), this.vProj.forward(x), {
      ...this.config,
      key,
      cache,
    });
    return { ...attended, output: this.oProj.forward(attended.output) };
  }
}
