/** Keys and values of the positions so far: what attention of new tokens, in generation, looks back at. */
import type { Size } from "../ir/index.ts";
import {
  add,
  arange,
  cachedAttention,
  cast,
  clip,
  concat,
  div,
  equal,
  flip,
  greater,
  lessEqual,
  logicalAnd,
  matmul,
  max,
  mul,
  pad,
  reshape,
  round,
  scaledDotProductAttention,
  slice,
  sub,
  type Tensor,
  type TensorAttentionOptions,
} from "../tensor/index.ts";
import { headWidth, mergeHeads, splitHeads } from "./heads.ts";

/**
 * What keys and values are kept in: f16 halves the memory of a cache, and keeps 11 bits of each number; i8 takes a
 * quarter, and keeps whole steps, of a size that each channel has.
 */
export type CacheDType = "f32" | "f16" | "i8";

/** What a step of each channel of a layer's keys and values in i8 stands for, above 0: [1, K, 1, Dh]. */
export interface LayerScales {
  k: Tensor<"f32">;
  v: Tensor<"f32">;
}

/** How much room a model's keys and values need. */
export interface CacheShape {
  /** Layers that have keys and values of their own. */
  numLayers: number;
  /** Heads of keys and values, K. */
  numKeyHeads: number;
  /** Width of a head, Dh. */
  headDim: number;
  /** The longest text that can be written. @default no limit */
  maxLength?: number;
}

/** How attention to cached positions is divided into heads, and which of them a query sees. */
export interface CachedAttentionSettings {
  /** Heads of queries, H. */
  numHeads: number;
  /** Heads of keys and values, K; each serves H / K query heads. */
  numKeyHeads: number;
  /** Factor on the scores. */
  scale: number;
  /** A position sees only those less than this far before it. @default no limit */
  slidingWindow?: number;
  /** Added to the scores, broadcasts to [B, H, T, keyCount]. */
  bias?: Tensor<"f32">;
  /** Scores s become cap tanh(s / cap). @default none */
  softCap?: number;
  /**
   * What becomes of the attention weights, such as dropout in training behind a prefix: of a GrowingCache alone, since
   * nothing is dropped in generation. @default they are taken as they are
   */
  onProbabilities?: TensorAttentionOptions["onProbabilities"];
}

/**
 * Keys and values of all layers in one run of a model: attention adds those of the new tokens, and the new tokens see
 * all up to their own position.
 */
export interface KeyValueCache {
  /**
   * Adds keys and values of the new tokens to a layer, and attends to all so far.
   * q: [B, T, H * Dh], k and v: [B, T, K * Dh] -> [B, T, H * Dh]
   */
  attend(
    layer: number,
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    v: Tensor<"f32">,
    settings: CachedAttentionSettings,
  ): Tensor<"f32">;
  /** The positions of so many new tokens. i32 [B, length] */
  positions(length: Size): Tensor<"i32">;
  /** How many positions a bias has to speak for: from 0 on, those not seen yet included. */
  readonly keyCount: Size;
}

/** A layer's part of a cache. */
export interface LayerCache {
  /**
   * Adds keys and values of the new tokens to the layer, and attends to all so far.
   * q: [B, T, H * Dh], k and v: [B, T, K * Dh] -> [B, T, H * Dh]
   */
  attend(q: Tensor<"f32">, k: Tensor<"f32">, v: Tensor<"f32">, settings: CachedAttentionSettings): Tensor<"f32">;
}

/** The part of layer `i`; undefined where there is no cache. */
export const layerOfCache = (cache: KeyValueCache | undefined, i: number): LayerCache | undefined =>
  cache && { attend: (q, k, v, settings) => cache.attend(i, q, k, v, settings) };

/** Keys and values of one layer. */
export interface LayerState {
  /** Keys: [B, K, S, Dh], or Dh as `cachedHeadDim` widens it. */
  k: Tensor<CacheDType>;
  /** Values, of the same shape. */
  v: Tensor<CacheDType>;
  /** Of those in i8. @default none in i8 */
  scales?: LayerScales;
}

/** Width of a head in a cache with room: the kernel takes multiples of 8; what is added is 0. */
export const cachedHeadDim = (headDim: number): number => Math.ceil(headDim / 8) * 8;

/**
 * A cache with room for S positions, each row filled up to a place of its own: one fused kernel puts the new keys and
 * values behind those that are there, in place, and attends. What the kernel lacks (biases, bounded scores) is done
 * by plain ops.
 */
export class RoomCache implements KeyValueCache {
  /** Keys and values of the layers; of those that have attended with the new positions. */
  readonly layers: LayerState[];
  private readonly lengths: Tensor<"i32">;
  private readonly total: Tensor<"i32">;

  /**
   * @param layers keys and values so far of each layer: [B, K, S, Dh], of which the first positions are filled
   * @param filled how far they are filled
   * @param filled.lengths positions filled after this run, minus 1, of each row: i32 [B]. The kernel takes several new
   *   tokens of several rows only where all rows begin, and new tokens of a longer text one row at a time
   * @param filled.total the largest number of positions filled after this run: i32 [1]
   */
  constructor(layers: readonly LayerState[], { lengths, total }: { lengths: Tensor<"i32">; total: Tensor<"i32"> }) {
    this.layers = [...layers];
    this.lengths = lengths;
    this.total = total;
  }

  get keyCount(): Size {
    return this.layers[0].k.shape[2];
  }

  positions(length: Size): Tensor<"i32"> {
    return sub(reshape(this.lengths, [this.lengths.shape[0], 1]), flip(arange(length)));
  }

  attend(
    layer: number,
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    v: Tensor<"f32">,
    settings: CachedAttentionSettings,
  ): Tensor<"f32"> {
    const isPlain = settings.bias !== undefined || settings.softCap !== undefined;
    return isPlain ? this.attendPlainly(layer, q, k, v, settings) : this.attendFused(layer, q, k, v, settings);
  }

  private attendFused(
    layer: number,
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    v: Tensor<"f32">,
    { numHeads, numKeyHeads, scale, slidingWindow }: CachedAttentionSettings,
  ): Tensor<"f32"> {
    const { scales, ...state } = this.layers[layer];
    const headDim = headWidth(q, numHeads);
    const width = state.k.size(3);
    // the kernel has one dtype for all, but for a cache in i8
    const dtype = state.k.dtype === "f16" ? "f16" : "f32";
    const [widerQ, widerK, widerV] = [q, k, v].map((x) => cast(resizeHeads(x, headDim, width), dtype));
    const past = { ...state, scales, lengths: this.lengths, total: this.total };
    const options = { numHeads, numKeyHeads, scale, slidingWindow };
    const { output, ...next } = cachedAttention<"f32" | "f16", CacheDType>(widerQ, widerK, widerV, past, options);
    this.layers[layer] = { ...next, scales };
    return resizeHeads(cast(output, "f32"), width, headDim);
  }

  /**
   * The new keys and values are put in their places by a product with ones at these, and scores are computed over the
   * whole room, of which what is not filled yet is hidden. Any number of new tokens of any number of rows.
   */
  attendPlainly(
    layer: number,
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    v: Tensor<"f32">,
    settings: CachedAttentionSettings,
  ): Tensor<"f32"> {
    const state = this.layers[layer];
    const [batch, length] = q.shape;
    const room = this.keyCount;
    const positions = this.positions(length); // [B, T]
    const places = arange(room); // [S]
    const isPlace = equal(reshape(positions, [batch, length, 1]), places); // [B, T, S]
    const oneHot = reshape(cast(isPlace, "f32"), [batch, 1, length, room]);
    const kept = reshape(sub(1, max(oneHot, { axes: 2 })), [batch, 1, room, 1]);
    const put = (old: Tensor<CacheDType>, added: Tensor<"f32">, scale: Tensor<"f32"> | undefined) => {
      const byHead = splitHeads(added, settings.numKeyHeads);
      const fresh = resizeLast(matmul(oneHot, byHead, { transposeA: true }), old.size(3));
      // steps that are there become the same steps again
      if (scale) return stepsOf(add(mul(widened(old, scale), kept), fresh), scale);
      return add(mul(old, cast(kept, old.dtype)), cast(fresh, old.dtype)) as Tensor<CacheDType>;
    };
    const { scales } = state;
    const next = { k: put(state.k, k, scales?.k), v: put(state.v, v, scales?.v), scales };
    this.layers[layer] = next;
    const at = reshape(positions, [batch, 1, length, 1]);
    const isSeen = lessEqual(places, at); // [B, 1, T, S]
    return attendToKeys(q, next, settings, { at, places, isSeen });
  }
}

/** Where the queries and the keys of a growing cache are, those in it and the new ones. */
export interface GrowingPositions {
  /** Positions of the new tokens: i32 [B, T]. */
  queryPositions: Tensor<"i32">;
  /** Positions of those in the cache, then of the new tokens: i32 [B, P + T]. */
  keyPositions: Tensor<"i32">;
  /** bool [B, P + T], false for padding. */
  keyMask: Tensor<"bool">;
}

/** A cache that grows by the new positions: of models in files, whose caches the caller keeps. From plain ops. */
export class GrowingCache implements KeyValueCache {
  /** Keys and values of the layers; of those that have attended with the new positions. */
  readonly layers: LayerState[];
  private readonly places: GrowingPositions;

  /**
   * @param layers keys and values of the P positions so far of each layer: [B, K, P, Dh]
   * @param places where these and the T new ones are
   */
  constructor(layers: readonly LayerState[], places: GrowingPositions) {
    this.layers = [...layers];
    this.places = places;
  }

  get keyCount(): Size {
    return this.places.keyPositions.shape[1];
  }

  positions(): Tensor<"i32"> {
    return this.places.queryPositions;
  }

  attend(
    layer: number,
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    v: Tensor<"f32">,
    settings: CachedAttentionSettings,
  ): Tensor<"f32"> {
    const { queryPositions, keyPositions, keyMask } = this.places;
    const state = this.layers[layer];
    const [batch, length] = q.shape;
    const grown = (old: Tensor<CacheDType>, added: Tensor<"f32">) => {
      const byHead = resizeLast(splitHeads(added, settings.numKeyHeads), old.size(3));
      return concat([old, cast(byHead, old.dtype)], 2);
    };
    const next = { k: grown(state.k, k), v: grown(state.v, v) };
    this.layers[layer] = next;
    const at = reshape(queryPositions, [batch, 1, length, 1]);
    const places = reshape(keyPositions, [batch, 1, 1, this.keyCount]);
    // [B, 1, T, P + T]
    const isSeen = logicalAnd(lessEqual(places, at), reshape(keyMask, [batch, 1, 1, this.keyCount]));
    return attendToKeys(q, next, settings, { at, places, isSeen });
  }
}

/** Attention of queries [B, T, H * Dh], at [B, 1, T, 1], to the keys at `places` of which `isSeen`: [B, T, H * Dh]. */
function attendToKeys(
  q: Tensor<"f32">,
  { k, v, scales }: LayerState,
  { numHeads, scale, bias, softCap, slidingWindow, onProbabilities }: CachedAttentionSettings,
  { at, places, isSeen }: { at: Tensor<"i32">; places: Tensor<"i32">; isSeen: Tensor<"bool"> },
): Tensor<"f32"> {
  const width = headWidth(q, numHeads);
  const [keys, values] = [widened(k, scales?.k), widened(v, scales?.v)].map((x) => resizeLast(x, width));
  const mask = slidingWindow ? logicalAnd(isSeen, greater(places, sub(at, slidingWindow))) : isSeen;
  // blocks would share one key of dropout
  const options = { scale, bias, softCap, mask, ...(onProbabilities && { onProbabilities, blocks: 1 }) };
  return mergeHeads(scaledDotProductAttention(splitHeads(q, numHeads), keys, values, options));
}

/** What the numbers of a cache stand for: those in i8 are steps of a scale. */
function widened(x: Tensor<CacheDType>, scale: Tensor<"f32"> | undefined): Tensor<"f32"> {
  const numbers = cast(x, "f32");
  return scale ? mul(numbers, scale) : numbers;
}

/** The nearest whole steps, as the kernel rounds and cuts them. */
const stepsOf = (x: Tensor<"f32">, scale: Tensor<"f32">): Tensor<"i8"> =>
  cast(clip(round(div(x, scale)), { min: -128, max: 127 }), "i8");

/** Heads widened by zeros, or cut to their width again: [B, T, H * from] -> [B, T, H * to]. */
function resizeHeads<D extends CacheDType>(x: Tensor<D>, from: number, to: number): Tensor<D> {
  if (from === to) return x;
  const [batch, length] = x.shape;
  const heads = x.size(2) / from;
  return reshape(resizeLast(reshape(x, [batch, length, heads, from]), to), [batch, length, heads * to]);
}

/** The last axis widened by zeros, or cut. */
function resizeLast<D extends CacheDType>(x: Tensor<D>, to: number): Tensor<D> {
  const from = x.size(-1);
  if (from === to) return x;
  return to < from ? slice(x, { axis: -1, end: to }) : pad(x, [[0, to - from]]);
}
