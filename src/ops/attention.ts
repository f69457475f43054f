import { ShapeError } from "../base/index.ts";
import { describe, isStatic, requireStatic, type Size, shapesEqual, sizesEqual, type Value } from "../ir/index.ts";
import { applyAll } from "./apply.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { defineMultiOp } from "./define.ts";
import { where } from "./elementwise.ts";
import { hostTensor } from "./host-tensor.ts";
import { logicalAnd, logicalNot } from "./logic.ts";
import { lowerProduct, matmul } from "./matmul.ts";
import { repeatInterleave, triangularMask } from "./movement.ts";
import { softmax } from "./normalize.ts";
import { sum } from "./reduce.ts";
import { concat, slice } from "./slice.ts";
import { tanh } from "./special.ts";

/** Which keys each query sees, and what is done with scores and probabilities. */
export interface AttentionOptions {
  /** Each query sees only keys at its own position and before. @default false */
  isCausal?: boolean;
  /** Factor on the scores. @default 1 / sqrt(Dh) */
  scale?: number;
  /** bool, broadcasts to [B, H, T, S]; false hides a key. */
  mask?: Value;
  /** Added to the scores; broadcasts to [B, H, T, S]. For relative positions. */
  bias?: Value;
  /** A query sees only keys less than this far away. Beltagy et al. 2020, arXiv:2004.05150. @default no limit */
  slidingWindow?: number;
  /** Scores s become cap tanh(s / cap), which bounds them. Gemma 2, arXiv:2408.00118, section 2. @default none */
  softCap?: number;
  /** Applied to the attention probabilities, for dropout. */
  onProbabilities?: (probabilities: Value) => Value;
  /**
   * Causal attention works on this many blocks of queries, each against only the keys up to its end, which skips most
   * of the masked half. Changes speed, not results. @default chosen from T
   */
  blocks?: number;
}

/** The score of a hidden key: large enough to vanish under exp, small enough to stay finite in f16. */
export const HIDDEN_SCORE = -65504;

/** Queries per block of causal attention below which splitting costs more than it saves. */
const MIN_BLOCK = 128;

/**
 * softmax(q k^T scale) v. q: [B, H, T, Dh], k and v: [B, K, S, Dh] -> [B, H, T, Dh]. With fewer key heads K than H each
 * serves H / K query heads in a row (Ainslie et al. 2023, arXiv:2305.13245). The last query is at the last key's
 * position. Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.
 */
export function scaledDotProductAttention(q: Value, k: Value, v: Value, options: AttentionOptions = {}): Value {
  const [heads, keyHeads] = requireStatic("attention", [q.shape[1], k.shape[1]]);
  if (heads % keyHeads !== 0) {
    throw new ShapeError({
      where: "attention",
      expected: "a number of query heads that is a multiple of the key heads",
      received: `q ${describe(q)}, k ${describe(k)}`,
      fix: "split the heads first",
    });
  }
  if (keyHeads < heads) {
    return scaledDotProductAttention(
      q,
      repeatInterleave(k, heads / keyHeads, 1),
      repeatInterleave(v, heads / keyHeads, 1),
      options,
    );
  }
  const { isCausal = false, blocks = defaultBlocks(q, k), slidingWindow } = options;
  if (!isCausal || blocks === 1) return attendBlock(q, k, v, options);
  const queries = q.shape[2] as number;
  const size = queries / blocks;
  if (!Number.isInteger(size)) {
    throw new ShapeError({
      where: "attention",
      expected: `T to divide into ${blocks} blocks`,
      received: describe(q),
      fix: "use another number of blocks",
    });
  }
  const parts = Array.from({ length: blocks }, (_, i) => {
    const end = (i + 1) * size;
    const rows = { start: i * size, end };
    const columns = { start: slidingWindow ? Math.max(0, i * size - slidingWindow + 1) : 0, end };
    const cut = (x: Value | undefined) => x && cutAxis(cutAxis(x, -2, rows), -1, columns);
    const keys = { axis: 2, ...columns };
    const parts = { mask: cut(options.mask), bias: cut(options.bias) };
    return attendBlock(slice(q, { axis: 2, ...rows }), slice(k, keys), slice(v, keys), { ...options, ...parts });
  });
  return concat(parts, 2);
}

function defaultBlocks(q: Value, k: Value): number {
  const [queries, keys] = [q.shape[2], k.shape[2]];
  if (typeof queries !== "number" || queries !== keys) return 1;
  for (const blocks of [8, 4, 2]) if (queries % blocks === 0 && queries / blocks >= MIN_BLOCK) return blocks;
  return 1;
}

/** Part of an axis of a mask, unless the mask is the same all along it. */
function cutAxis(x: Value, axis: -1 | -2, range: { start: number; end: number }): Value {
  return x.shape.length < -axis || x.shape[x.shape.length + axis] === 1 ? x : slice(x, { axis, ...range });
}

function attendBlock(q: Value, k: Value, v: Value, options: AttentionOptions): Value {
  const {
    isCausal = false,
    scale = 1 / Math.sqrt(q.shape[3] as number),
    mask,
    bias,
    onProbabilities,
    slidingWindow,
    softCap,
  } = options;
  const isPlain = !mask && !bias && !onProbabilities && !slidingWindow && !softCap;
  if (isPlain && isStatic(q.shape) && isStatic(k.shape))
    return applyAll(attentionEntry, [q, k, v], { isCausal, scale })[0];
  return plainAttention(q, k, v, { ...options, scale });
}

/** Attention from its parts; the fused path is tested against it. */
export function plainAttention(q: Value, k: Value, v: Value, options: AttentionOptions): Value {
  const { scale = 1, onProbabilities } = options;
  const probabilities = softmax(attentionScores(q, k, { ...options, scale }), -1);
  return matmul(onProbabilities ? onProbabilities(probabilities) : probabilities, v);
}

/** What decides the scores of attention. */
export type AttentionScoreOptions = Omit<AttentionOptions, "onProbabilities" | "blocks">;

/**
 * The scores whose softmax attention weighs values by; those of hidden keys are HIDDEN_SCORE. q: [B, H, T, Dh], k:
 * [B, K, S, Dh] with K dividing H -> [B, H, T, S]
 */
export function attentionScores(q: Value, k: Value, options: AttentionScoreOptions = {}): Value {
  const [heads, keyHeads, width] = requireStatic("attention", [q.shape[1], k.shape[1], q.shape[3]]);
  const { isCausal = false, scale = 1 / Math.sqrt(width), mask, bias, slidingWindow, softCap } = options;
  const keys = keyHeads < heads ? repeatInterleave(k, heads / keyHeads, 1) : k;
  let scores = matmul(q, keys, { transposeB: true, scale }); // [B, H, T, S]
  if (softCap) scores = mul(tanh(mul(scores, 1 / softCap)), softCap);
  if (bias) scores = add(scores, bias);
  if (isCausal || slidingWindow) {
    scores = where(visibleKeys(q.shape[2], k.shape[2], isCausal, slidingWindow), scores, HIDDEN_SCORE);
  }
  return mask ? where(mask, scores, HIDDEN_SCORE) : scores;
}

/** bool [T, S]. The last query is at the last key. */
function visibleKeys(queries: Size, keys: Size, isCausal: boolean, slidingWindow: number | undefined): Value {
  const ahead = sizesEqual(queries, keys) ? 0 : differenceOf(queries, keys); // the position of query 0
  const upTo = triangularMask(queries, keys, isCausal ? ahead : ahead + (slidingWindow as number) - 1);
  return slidingWindow ? logicalAnd(upTo, logicalNot(triangularMask(queries, keys, ahead - slidingWindow))) : upTo;
}

function differenceOf(queries: Size, keys: Size): number {
  const [q, k] = requireStatic("attention", [queries, keys]);
  return k - q;
}

type AttentionAttributes = { isCausal: boolean; scale: number };

/** Outputs: attention [B, H, T, Dh], and the probabilities [B, H, T, S] for the gradient. */
const attentionEntry = defineMultiOp<"q" | "k" | "v", AttentionAttributes>({
  name: "attention",
  precision: "low",
  batch: { fold: 3 },
  inputs: ["q", "k", "v"],
  infer: ({ q, k, v }) => {
    const isFine =
      [q, k, v].every((x) => x.shape.length === 4 && x.dtype === q.dtype) &&
      shapesEqual(k.shape, v.shape) &&
      sizesEqual(q.shape[3], k.shape[3]);
    if (!isFine) {
      throw new ShapeError({
        where: "attention",
        expected: "q [B, H, T, Dh], k and v [B, H, S, Dh]",
        received: `q ${describe(q)}, k ${describe(k)}, v ${describe(v)}`,
        fix: "split the heads first",
      });
    }
    return [q, { dtype: q.dtype, shape: [...q.shape.slice(0, 3), k.shape[2]] }];
  },
  // With P the probabilities, o the output and do its gradient: dv = Pᵀ do, dP = do vᵀ, dS = P (dP - rowsum(do o)),
  // dq = scale dS k, dk = scale dSᵀ q. That rowsum(do o) = rowsum(dP P) saves two passes over [T, S]; it is the form of
  // FlashAttention. Dao et al. 2022, arXiv:2205.14135, appendix B.2.
  gradient: ({ q, k, v, ys: [output, probabilities], dys: [dy, dProbabilities] }, { scale }) => {
    const throughScores: Value[] = [];
    if (dy) {
      const row = sum(mul(dy, output), { axes: 3, keepDims: true }); // [B, H, T, 1]
      throughScores.push(mul(probabilities, sub(matmul(dy, v, { transposeB: true }), row)));
    }
    if (dProbabilities) {
      const weighted = mul(dProbabilities, probabilities);
      throughScores.push(sub(weighted, mul(probabilities, sum(weighted, { axes: 3, keepDims: true }))));
    }
    const dScores = throughScores.reduce((a, b) => add(a, b)); // [B, H, T, S]
    return {
      q: matmul(dScores, k, { scale }),
      k: matmul(dScores, q, { transposeA: true, scale }),
      v: dy && matmul(probabilities, dy, { transposeA: true }),
    };
  },
  lower: (graph, { q, k, v }, { isCausal, scale }, node) => {
    const [{ dtype, shape }, { shape: keyShape }] = node.inputs;
    const transposes = { transposeA: false, transposeB: true };
    let scores = lowerProduct(graph, [q, k], node.inputs, { ...transposes, scale });
    if (isCausal) {
      const [queries, keys] = [shape[2] as number, keyShape[2] as number];
      const hidden = graph.node("Expand", [
        graph.constant(dtype, [1, 1], [HIDDEN_SCORE]),
        graph.sizes([queries, keys]),
      ]);
      scores = graph.node("Add", [
        scores,
        graph.node("Trilu", [hidden, graph.constant("i64", [], [keys - queries + 1])], { upper: 1 }),
      ]);
    }
    const probabilities = graph.node("Softmax", [scores], { axis: -1 });
    return [graph.node("MatMul", [probabilities, v]), probabilities];
  },
  reference: ({ q, k, v }, { isCausal, scale }, [type, probabilityType]) => {
    const [batch, heads, queries, headDim] = q.shape;
    const keys = k.shape[2];
    const out = hostTensor(type.shape);
    const probabilities = hostTensor(probabilityType.shape);
    for (let row = 0; row < batch * heads * queries; row++) {
      const head = Math.floor(row / queries);
      const visible = isCausal ? (row % queries) + 1 + keys - queries : keys;
      const scores = Array.from({ length: visible }, (_, s) => {
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += q.data[row * headDim + d] * k.data[(head * keys + s) * headDim + d];
        return dot * scale;
      });
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const normaliser = weights.reduce((a, b) => a + b, 0);
      weights.forEach((weight, s) => {
        probabilities.data[row * keys + s] = weight / normaliser;
        for (let d = 0; d < headDim; d++)
          out.data[row * headDim + d] += (weight / normaliser) * v.data[(head * keys + s) * headDim + d];
      });
    }
    return [out, probabilities];
  },
});
