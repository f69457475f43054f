import { roundHalfToEven, ShapeError } from "../base/index.ts";
import { describe, shapesEqual, type Value } from "../ir/index.ts";
import { applyAll } from "./apply.ts";
import { defineMultiOp, notDifferentiable } from "./define.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";
import { type OnnxAttributes, OnnxFloat } from "./lowering.ts";

/** How `cachedAttention` is divided into heads, and how far back a token sees. */
export type CachedAttentionOptions = {
  /** Heads of queries, H. */
  numHeads: number;
  /** Heads of keys and values, K; each serves H / K query heads. @default numHeads */
  numKeyHeads?: number;
  /** Factor on the scores. */
  scale: number;
  /** See AttentionOptions. @default no limit */
  slidingWindow?: number;
};
type CachedAttributes = { numHeads: number; numKeyHeads: number; scale: number; slidingWindow: number };

const kernelAttributes = ({ numHeads, numKeyHeads, scale, slidingWindow }: CachedAttributes): OnnxAttributes => ({
  num_heads: numHeads,
  kv_num_heads: numKeyHeads,
  scale: new OnnxFloat(scale),
  local_window_size: slidingWindow || undefined,
});

type CacheInput = "q" | "k" | "v" | "pastK" | "pastV" | "lengths" | "total";

/**
 * Attention of new tokens over a key/value cache that is updated in place, in one fused kernel.
 * q: [B, T, H * Dh] and k, v: [B, T, K * Dh] of the new tokens; pastK, pastV: [B, K, S, Dh] with room for S positions;
 *   lengths: i32 [B], cache positions filled after this step, minus 1; total: i32 [1], the largest of them, plus 1.
 * Outputs: attention [B, T, H * Dh] and both caches.
 */
const cachedAttentionEntry = defineMultiOp<CacheInput, CachedAttributes>({
  name: "cachedAttention",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["q", "k", "v", "pastK", "pastV", "lengths", "total"],
  infer: ({ q, pastK, pastV }) => [q, pastK, pastV],
  gradient: notDifferentiable("is for generation only; train with scaledDotProductAttention"),
  lower: (graph, { q, k, v, pastK, pastV, lengths, total }, attributes) =>
    graph.nodes(
      "GroupQueryAttention",
      [q, k, v, pastK, pastV, lengths, total],
      3,
      kernelAttributes(attributes),
      "com.microsoft",
    ),
  reference: (inputs, attributes) => attendOverCache(inputs, attributes),
  inPlace: [
    [3, 1],
    [4, 2],
  ],
});

/** The kernel's inputs between `total` and the scales: tables of rotations, positions, biases, sinks. None here. */
const NO_INPUTS = ["", "", "", "", ""];

/**
 * The same over a cache of whole numbers from -128 to 127. pastK, pastV: i8; scaleK, scaleV: f32 [1, K, 1, Dh], what a
 * step of each channel stands for. What is put into the cache is rounded, halves to even, and cut at -128 and 127; the
 * new tokens too attend to the rounded numbers.
 */
const quantizedEntry = defineMultiOp<CacheInput | "scaleK" | "scaleV", CachedAttributes>({
  name: "quantizedCachedAttention",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["q", "k", "v", "pastK", "pastV", "lengths", "total", "scaleK", "scaleV"],
  infer: ({ q, pastK, pastV }) => [q, pastK, pastV],
  gradient: notDifferentiable("is for generation only; train with scaledDotProductAttention"),
  lower: (graph, { q, k, v, pastK, pastV, lengths, total, scaleK, scaleV }, attributes) =>
    graph.nodes(
      "GroupQueryAttention",
      [q, k, v, pastK, pastV, lengths, total, ...NO_INPUTS, scaleK, scaleV],
      3,
      {
        ...kernelAttributes(attributes),
        k_quant_type: "PER_CHANNEL",
        v_quant_type: "PER_CHANNEL",
        kv_cache_bit_width: 8,
      },
      "com.microsoft",
    ),
  reference: ({ k, v, pastK, pastV, scaleK, scaleV, ...others }, attributes) => {
    const [output, nextK, nextV] = attendOverCache(
      {
        ...others,
        k: rounded(k, scaleK, channelOfToken),
        v: rounded(v, scaleV, channelOfToken),
        pastK: widened(pastK, scaleK),
        pastV: widened(pastV, scaleV),
      },
      attributes,
    );
    return [output, steps(nextK, scaleK, channelOfCache), steps(nextV, scaleV, channelOfCache)];
  },
  inPlace: [
    [3, 1],
    [4, 2],
  ],
});

/** Which channel a number is of: in tokens [B, T, K * Dh], and in a cache [B, K, S, Dh]. */
const channelOfToken = (i: number, { shape: [, , width] }: HostTensor): number => i % width;
const channelOfCache = (i: number, { shape: [, heads, room, headDim] }: HostTensor): number =>
  (Math.floor(i / (room * headDim)) % heads) * headDim + (i % headDim);

/** The whole numbers that an i8 cache keeps of these. */
const steps = (x: HostTensor, scale: HostTensor, channelOf: typeof channelOfCache): HostTensor =>
  hostTensor(
    x.shape,
    x.data.map((value, i) => Math.min(127, Math.max(-128, roundHalfToEven(value / scale.data[channelOf(i, x)])))),
  );

const rounded = (x: HostTensor, scale: HostTensor, channelOf: typeof channelOfCache): HostTensor => {
  const whole = steps(x, scale, channelOf);
  return hostTensor(
    x.shape,
    whole.data.map((value, i) => value * scale.data[channelOf(i, x)]),
  );
};

const widened = (x: HostTensor, scale: HostTensor): HostTensor =>
  hostTensor(
    x.shape,
    x.data.map((value, i) => value * scale.data[channelOfCache(i, x)]),
  );

function attendOverCache(
  { q, k, v, pastK, pastV, lengths }: Record<CacheInput, HostTensor>,
  { numHeads, numKeyHeads, scale, slidingWindow }: CachedAttributes,
): [output: HostTensor, k: HostTensor, v: HostTensor] {
  const [batch, queries, width] = q.shape;
  const headDim = width / numHeads;
  const capacity = pastK.shape[2];
  const out = hostTensor(q.shape);
  const keys = hostTensor(pastK.shape, pastK.data);
  const values = hostTensor(pastV.shape, pastV.data);
  const shared = numHeads / numKeyHeads; // query heads of one key head
  const cacheAt = (b: number, h: number, s: number) =>
    ((b * numKeyHeads + Math.floor(h / shared)) * capacity + s) * headDim;
  for (let b = 0; b < batch; b++) {
    const first = lengths.data[b] + 1 - queries;
    for (let h = 0; h < numHeads; h++) {
      for (let t = 0; t < queries; t++) {
        const source = (b * queries + t) * width + h * headDim;
        const keyOffset = ((b * queries + t) * numKeyHeads + Math.floor(h / shared)) * headDim;
        keys.data.set(k.data.slice(keyOffset, keyOffset + headDim), cacheAt(b, h, first + t));
        values.data.set(v.data.slice(keyOffset, keyOffset + headDim), cacheAt(b, h, first + t));
        const scores = Array.from({ length: first + t + 1 }, (_, s) => {
          if (slidingWindow > 0 && s <= first + t - slidingWindow) return Number.NEGATIVE_INFINITY;
          let dot = 0;
          for (let d = 0; d < headDim; d++) dot += q.data[source + d] * keys.data[cacheAt(b, h, s) + d];
          return dot * scale;
        });
        const largest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - largest));
        const normaliser = weights.reduce((a, w) => a + w, 0);
        weights.forEach((weight, s) => {
          for (let d = 0; d < headDim; d++)
            out.data[source + d] += (weight / normaliser) * values.data[cacheAt(b, h, s) + d];
        });
      }
    }
  }
  return [out, keys, values];
}

/** What a step of each channel of a cache of whole numbers stands for, above 0: f32 [1, K, 1, Dh]. */
export interface CacheScales {
  k: Value;
  v: Value;
}

/** New tokens, and the cache that they are added to. */
export interface CachedAttentionInputs {
  /** Queries of the T new tokens: [B, T, H * Dh]. */
  q: Value;
  /** Keys of the T new tokens: [B, T, K * Dh]. */
  k: Value;
  /** Values of the T new tokens: [B, T, K * Dh]. */
  v: Value;
  /** Keys so far, with room for S positions: [B, K, S, Dh]. */
  pastK: Value;
  /** Values so far: [B, K, S, Dh]. */
  pastV: Value;
  /** Positions filled after this step, minus 1, of each row: i32 [B]. */
  lengths: Value;
  /** The largest number of positions filled after this step: i32 [1]. */
  total: Value;
  /** Of a cache in i8, with q, k and v in f32. @default none: the cache has the dtype of q, k and v */
  scales?: CacheScales;
}

function requireCacheHeads(inputs: CachedAttentionInputs, heads: number, keyHeads: number): void {
  const { q, k, v, pastK, pastV, scales } = inputs;
  const headDim = pastK.shape[3] as number;
  const isOfWidth = (x: Value, width: number) => x.shape.length === 3 && x.shape[2] === width;
  const isFine =
    isOfWidth(q, heads * headDim) &&
    [k, v].every((x) => isOfWidth(x, keyHeads * headDim)) &&
    [pastK, pastV].every((x) => x.shape.length === 4 && x.shape[1] === keyHeads && x.shape[3] === headDim) &&
    (!scales || [scales.k, scales.v].every((x) => shapesEqual(x.shape, [1, keyHeads, 1, headDim]))) &&
    heads % keyHeads === 0;
  if (isFine) return;
  throw new ShapeError({
    where: "cachedAttention",
    expected:
      `q of width numHeads * headDim = ${heads * headDim}, k and v of width numKeyHeads * headDim = ` +
      `${keyHeads * headDim}, and a cache with ${keyHeads} heads, which divide ${heads}` +
      (scales ? `, and scales [1, ${keyHeads}, 1, ${headDim}]` : ""),
    received: Object.entries({ q, k, v, pastK, pastV, ...(scales && { scaleK: scales.k, scaleV: scales.v }) })
      .map(([name, x]) => `${name} ${describe(x)}`)
      .join(", "),
    fix: "make the cache for this model",
  });
}

/**
 * Causal attention of new tokens over a key/value cache that is updated in place, in one fused kernel. Gives the output
 * [B, T, H * Dh] and both caches [B, K, S, Dh]. For generation only: it has no gradient.
 * @throws ShapeError when the widths of q, k and v are not those of the cache's heads, or H is no multiple of K
 */
export function cachedAttention(
  inputs: CachedAttentionInputs,
  { numHeads, numKeyHeads = numHeads, scale, slidingWindow = 0 }: CachedAttentionOptions,
): readonly Value[] {
  const { q, k, v, pastK, pastV, lengths, total, scales } = inputs;
  requireCacheHeads(inputs, numHeads, numKeyHeads);
  const attributes = { numHeads, numKeyHeads, scale, slidingWindow };
  const values = [q, k, v, pastK, pastV, lengths, total];
  return scales
    ? applyAll(quantizedEntry, [...values, scales.k, scales.v], attributes)
    : applyAll(cachedAttentionEntry, values, attributes);
}
