import { cachedAttention, pad, type RandomKey, reshape, scaledDotProductAttention, slice, type Tensor, transpose } from "../tensor/index.ts";
import { dropout, Linear, type LinearConfig } from "./layers.ts";
import { Module } from "./module.ts";

/** Keys and values of the positions seen so far, for one layer, with room for S positions. */
export interface LayerCache {
  /** [B, K, S, cachedHeadDim(Dh)] */
  k: Tensor<"f32">;
  v: Tensor<"f32">;
}

/** How far the caches of all layers are filled. */
export interface CacheLengths {
  /** Positions filled after this step, minus 1, for each row. i32 [B] */
  lengths: Tensor<"i32">;
  /** The largest number of positions filled after this step. i32 [1] */
  total: Tensor<"i32">;
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
  /** Probability of dropping an attention weight; needs `key`. @default 0 */
  dropoutProbability?: number;
  key?: RandomKey;
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
  const split = reshape(x, [batch, length, heads, from]);
  const resized =
    to > from
      ? pad(split, [
          [0, 0],
          [0, 0],
          [0, 0],
          [0, to - from],
        ])
      : slice(split, { axis: -1, end: to });
  return reshape(resized, [batch, length, heads * to]);
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
 * Multi-head attention on projected queries [B, T, H * Dh], keys and values [B, T, K * Dh] -> output [B, T, H * Dh]. With a cache it also
 * gives the cache with the new positions added. Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
 */
export function multiHeadAttention(
  q: Tensor<"f32">,
  k: Tensor<"f32">,
  v: Tensor<"f32">,
  options: MultiHeadOptions,
): { output: Tensor<"f32">; cache?: LayerCache } {
  const { numHeads, numKeyHeads = numHeads, isCausal = false, slidingWindow, mask, dropoutProbability = 0, key, cache } = options;
  const headDim = (q.shape[2] as number) / numHeads;
  const scale = options.scale ?? 1 / Math.sqrt(headDim);
  if (cache) {
    const width = cachedHeadDim(headDim);
    const [widerQ, widerK, widerV] = [q, k, v].map((x) => resizeHeads(x, headDim, width));
    const { output, ...next } = cachedAttention(widerQ, widerK, widerV, cache, { numHeads, numKeyHeads, scale, slidingWindow });
    return { output: resizeHeads(output, width, headDim), cache: next };
  }
  const output = scaledDotProductAttention(splitHeads(q, numHeads), splitHeads(k, numKeyHeads), splitHeads(v, numKeyHeads), {
    isCausal,
    scale,
    slidingWindow,
    mask,
    onProbabilities: key && dropoutProbability > 0 ? (p) => dropout(p, dropoutProbability, key) : undefined,
    blocks: key && dropoutProbability > 0 ? 1 : undefined, // blocks would share one key
  });
  return { output: mergeHeads(output) };
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
    const { hiddenSize, init } = config;
    const [q, k, v, o] = key.split(4).map((part) => new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, part));
    this.qProj = q;
    this.kProj = k;
    this.vProj = v;
    this.oProj = o;
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { key, cache }: Pick<MultiHeadOptions, "key" | "cache"> = {}): { output: Tensor<"f32">; cache?: LayerCache } {
    const attended = multiHeadAttention(this.qProj.forward(x), this.kProj.forward(x), this.vProj.forward(x), { ...this.config, key, cache });
    return { ...attended, output: this.oProj.forward(attended.output) };
  }
}
