/** Normalisation, attention, losses and quantized numbers. */
import { type FloatDType, known } from "../../base/index.ts";
import * as ops from "../../ops/index.ts";
import { Tensor } from "../tensor.ts";

/** exp(x) / sum(exp(x)) along an axis. @default last axis */
export function softmax<D extends FloatDType>(x: Tensor<D>, axis?: number): Tensor<D> {
  return new Tensor(ops.softmax(x.ir, axis));
}

/** log(softmax(x)) along an axis. @default last axis */
export function logSoftmax<D extends FloatDType>(x: Tensor<D>, axis?: number): Tensor<D> {
  return new Tensor(ops.logSoftmax(x.ir, axis));
}

/**
 * Normalises the last axis, then scales and shifts. x: [..., D], weight and bias: [D] -> [..., D]. arXiv:1607.06450
 * @param epsilon added to the variance, by default 1e-5
 */
export function layerNorm<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<NoInfer<D>>,
  bias: Tensor<NoInfer<D>>,
  epsilon?: number,
): Tensor<D> {
  return new Tensor(ops.layerNorm(x.ir, weight.ir, bias.ir, epsilon));
}

/**
 * x divided by its root mean square over the last axis, times a weight. x: [..., D], weight: [D] -> [..., D].
 * arXiv:1910.07467
 * @param epsilon added to the mean square, by default 1e-6
 */
export function rmsNorm<D extends FloatDType>(x: Tensor<D>, weight: Tensor<NoInfer<D>>, epsilon?: number): Tensor<D> {
  return new Tensor(ops.rmsNorm(x.ir, weight.ir, epsilon));
}

/** What `batchNorm` knows of each channel. */
export interface BatchNormState<D extends FloatDType> {
  /** Factor after normalising, [C]. @default ones */
  weight?: Tensor<D>;
  /** Added after the factor, [C]. @default zeros */
  bias?: Tensor<D>;
  /** Mean of earlier batches, [C]. */
  runningMean: Tensor<D>;
  /** Variance of earlier batches, [C]. */
  runningVariance: Tensor<D>;
}
/**
 * Normalises each channel over the batch and the spatial axes. x: [N, C, ...] -> y of the same shape, and the new
 * running statistics, [C] each. arXiv:1502.03167
 */
export function batchNorm<D extends FloatDType>(
  x: Tensor<D>,
  { weight, bias, runningMean, runningVariance }: BatchNormState<D>,
  options: ops.BatchNormOptions,
): { y: Tensor<D>; runningMean: Tensor<D>; runningVariance: Tensor<D> } {
  known("batchNorm", options, { training: true, momentum: true, epsilon: true });
  const inputs = {
    weight: weight?.ir,
    bias: bias?.ir,
    runningMean: runningMean.ir,
    runningVariance: runningVariance.ir,
  };
  const result = ops.batchNorm(x.ir, inputs, options);
  return {
    y: new Tensor(result.y),
    runningMean: new Tensor(result.runningMean),
    runningVariance: new Tensor(result.runningVariance),
  };
}

/** What `groupNorm` and `instanceNorm` do to each channel after normalising. */
export interface AffineNorm<D extends FloatDType> {
  /** Factor, [C]. @default ones */
  weight?: Tensor<D>;
  /** Added after the factor, [C]. @default zeros */
  bias?: Tensor<D>;
  /** Added to the variance. @default 1e-5 */
  epsilon?: number;
}
const affineNames = { weight: true, bias: true, epsilon: true } as const;
/**
 * Normalises each example over groups of channels and the spatial axes. x: [N, C, ...] -> the same shape.
 * arXiv:1803.08494
 */
export function groupNorm<D extends FloatDType>(
  x: Tensor<D>,
  numGroups: number,
  options: AffineNorm<NoInfer<D>> = {},
): Tensor<D> {
  const { weight, bias, epsilon } = known("groupNorm", options, affineNames);
  return new Tensor(ops.groupNorm(x.ir, numGroups, { weight: weight?.ir, bias: bias?.ir, epsilon }));
}
/** Normalises each channel of each example over the spatial axes. x: [N, C, ...] -> the same shape. arXiv:1607.08022 */
export function instanceNorm<D extends FloatDType>(x: Tensor<D>, options: AffineNorm<NoInfer<D>> = {}): Tensor<D> {
  const { weight, bias, epsilon } = known("instanceNorm", options, affineNames);
  return new Tensor(ops.instanceNorm(x.ir, { weight: weight?.ir, bias: bias?.ir, epsilon }));
}
/** x divided by its length along an axis. @default last axis */
export function l2Normalize<D extends FloatDType>(
  x: Tensor<D>,
  options?: { axis?: number; epsilon?: number },
): Tensor<D> {
  return new Tensor(ops.l2Normalize(x.ir, known("l2Normalize", options, { axis: true, epsilon: true })));
}
/**
 * Divides by the activity of neighbouring channels. x: [N, C, ...] -> the same shape. Krizhevsky et al. 2012, section
 * 3.3.
 */
export function localResponseNorm<D extends FloatDType>(
  x: Tensor<D>,
  options: ops.LocalResponseNormOptions,
): Tensor<D> {
  return new Tensor(
    ops.localResponseNorm(x.ir, known("localResponseNorm", options, { size: true, alpha: true, beta: true, k: true })),
  );
}

/** Which rows and classes count in `crossEntropy`, and how sure the targets are. */
export interface TensorCrossEntropyOptions<D extends FloatDType> extends Omit<ops.CrossEntropyOptions, "weight"> {
  /** How much each class counts: [V]. @default all the same */
  weight?: Tensor<D>;
}
/**
 * Mean negative log likelihood in nats. logits: [N, V], targets: classes [N] or probabilities of all classes [N, V] ->
 * [], or [N] without a reduction; rows with target `ignoreIndex` do not count. Another target that is no class, such as
 * -1, is an error, of the run where targets are not constants; on WebGPU the loss is NaN then.
 * @throws ShapeError for such constants. OptionError for labelSmoothing that is not from 0 to 1, and an unknown
 *   reduction
 */
export function crossEntropy<D extends FloatDType>(
  logits: Tensor<D>,
  targets: Tensor<"i32" | "i64" | NoInfer<D>>,
  options: TensorCrossEntropyOptions<NoInfer<D>> = {},
): Tensor<D> {
  const names = { ignoreIndex: true, labelSmoothing: true, weight: true, reduction: true } as const;
  known("crossEntropy", options, names);
  return new Tensor(ops.crossEntropy(logits.ir, targets.ir, { ...options, weight: options.weight?.ir }));
}

/** Integers and the range that x is rounded to, with a straight-through gradient. arXiv:1712.05877 */
export function fakeQuantize<D extends FloatDType>(x: Tensor<D>, options: ops.FakeQuantizeOptions): Tensor<D> {
  return new Tensor(
    ops.fakeQuantize(
      x.ir,
      known("fakeQuantize", options, { scale: true, zeroPoint: true, quantMin: true, quantMax: true }),
    ),
  );
}
type TensorScales<O extends { scale: unknown; zeroPoint?: unknown }> = Omit<O, "scale" | "zeroPoint"> & {
  /** Step between two neighbouring numbers. */
  scale: number | readonly number[] | Tensor<FloatDType>;
  /** The integer that stands for 0. @default 0 */
  zeroPoint?: number | readonly number[] | Tensor<ops.QuantizedDType>;
};
const plain = <T>(x: T | Tensor) => (x instanceof Tensor ? x.ir : x);
/** round(x / scale) + zeroPoint as 8-bit integers. @default i8 */
export function quantizeLinear<Q extends ops.QuantizedDType = "i8">(
  x: Tensor<FloatDType>,
  options: TensorScales<ops.QuantizeOptions> & { dtype?: Q },
): Tensor<Q> {
  const { scale, zeroPoint, ...rest } = known("quantizeLinear", options, {
    scale: true,
    zeroPoint: true,
    axis: true,
    dtype: true,
  });
  return new Tensor(
    ops.quantizeLinear(x.ir, { ...rest, scale: plain(scale) as number, zeroPoint: plain(zeroPoint) as number }),
  );
}
/** (q - zeroPoint) scale. */
export function dequantizeLinear(
  q: Tensor<ops.QuantizedDType>,
  options: Omit<TensorScales<ops.QuantizeOptions>, "dtype">,
): Tensor<"f32"> {
  const { scale, zeroPoint, axis } = known("dequantizeLinear", options, { scale: true, zeroPoint: true, axis: true });
  return new Tensor(
    ops.dequantizeLinear(q.ir, { axis, scale: plain(scale) as number, zeroPoint: plain(zeroPoint) as number }),
  );
}
/** x Wᵀ with W in blocks of 4- or 8-bit integers. x: [..., K] -> [..., N]; see the op for the layout. */
export function blockMatmul<D extends FloatDType>(
  x: Tensor<D>,
  packed: Tensor<"u8">,
  scales: Tensor<D>,
  zeroPoints: Tensor<"u8"> | undefined,
  options: ops.BlockMatmulOptions,
): Tensor<D> {
  return new Tensor(
    ops.blockMatmul(
      x.ir,
      packed.ir,
      scales.ir,
      zeroPoints?.ir,
      known("blockMatmul", options, { bits: true, blockSize: true, activations: true }),
    ),
  );
}

/** x Wᵀ with W in NF4 or FP4. x: [..., K] -> [..., N]; see the op for the layout. */
export function float4Matmul(
  x: Tensor<"f32">,
  packed: Tensor<"u8">,
  absmax: Tensor<"f32">,
  options?: ops.Float4MatmulOptions,
): Tensor<"f32"> {
  return new Tensor(
    ops.float4Matmul(x.ir, packed.ir, absmax.ir, known("float4Matmul", options, { type: true, blockSize: true })),
  );
}

/**
 * Rotary position embedding. x: [B, H, T, Dh], cos and sin: [T, R / 2] -> the same shape as x. Su et al. 2021,
 * arXiv:2104.09864.
 */
export function rotaryEmbedding<D extends FloatDType>(
  x: Tensor<D>,
  cos: Tensor<NoInfer<D>>,
  sin: Tensor<NoInfer<D>>,
  options?: ops.RotaryOptions,
): Tensor<D> {
  return new Tensor(
    ops.rotaryEmbedding(x.ir, cos.ir, sin.ir, known("rotaryEmbedding", options, { interleaved: true })),
  );
}

/** Which keys each query sees, and what is done with scores and probabilities. */
export interface TensorAttentionOptions extends Omit<ops.AttentionOptions, "mask" | "bias" | "onProbabilities"> {
  /** bool, broadcasts to [B, H, T, S]; false hides a key. */
  mask?: Tensor<"bool">;
  /** Added to the scores; broadcasts to [B, H, T, S]. */
  bias?: Tensor<FloatDType>;
  /** Applied to the attention probabilities, for dropout. */
  onProbabilities?: (probabilities: Tensor<FloatDType>) => Tensor<FloatDType>;
}

const scoreNames = {
  isCausal: true,
  scale: true,
  mask: true,
  bias: true,
  slidingWindow: true,
  softCap: true,
} as const;
const attentionNames = { ...scoreNames, onProbabilities: true, blocks: true } as const;
/**
 * softmax(q k^T scale) v. q: [B, H, T, Dh], k and v: [B, K, S, Dh] with K dividing H -> [B, H, T, Dh]. arXiv:1706.03762
 */
export function scaledDotProductAttention<D extends FloatDType>(
  q: Tensor<D>,
  k: Tensor<NoInfer<D>>,
  v: Tensor<NoInfer<D>>,
  options: TensorAttentionOptions = {},
): Tensor<D> {
  known("scaledDotProductAttention", options, attentionNames);
  const { mask, bias, onProbabilities, ...rest } = options;
  return new Tensor(
    ops.scaledDotProductAttention(q.ir, k.ir, v.ir, {
      ...rest,
      mask: mask?.ir,
      bias: bias?.ir,
      onProbabilities: onProbabilities && ((p) => onProbabilities(new Tensor(p)).ir),
    }),
  );
}

/** What `attentionScores` gives for a key that a query does not see: nothing under exp, and finite in f16. */
export const HIDDEN_SCORE: number = ops.HIDDEN_SCORE;

/** What decides the scores of attention. */
export type TensorAttentionScoreOptions = Omit<TensorAttentionOptions, "onProbabilities" | "blocks">;

/**
 * The scores whose softmax `scaledDotProductAttention` weighs values by; those of hidden keys are HIDDEN_SCORE. q: [B,
 * H, T, Dh], k: [B, K, S, Dh] with K dividing H -> [B, H, T, S]. arXiv:1706.03762, section 3.2.1.
 */
export function attentionScores<D extends FloatDType>(
  q: Tensor<D>,
  k: Tensor<NoInfer<D>>,
  options: TensorAttentionScoreOptions = {},
): Tensor<D> {
  const { mask, bias, ...rest } = known("attentionScores", options, scoreNames);
  return new Tensor(ops.attentionScores(q.ir, k.ir, { ...rest, mask: mask?.ir, bias: bias?.ir }));
}

/** The cache of a layer, and how far it is filled. */
export interface AttentionCacheInputs<D extends FloatDType | "i8"> {
  /** Keys so far, with room for S positions: [B, K, S, Dh]. */
  k: Tensor<D>;
  /** Values so far: [B, K, S, Dh]. */
  v: Tensor<D>;
  /** What a step of each channel of keys and values in i8 stands for, above 0: [1, K, 1, Dh]. @default none in i8 */
  scales?: { k: Tensor<"f32">; v: Tensor<"f32"> };
  /** Positions filled after this step, minus 1, for each row. i32 [B] */
  lengths: Tensor<"i32">;
  /** The largest number of positions filled after this step. i32 [1] */
  total: Tensor<"i32">;
}

/**
 * Causal attention of new tokens over a cache. q: [B, T, H * Dh], k and v: [B, T, K * Dh] -> output [B, T, H * Dh], and
 * both updated caches [B, K, S, Dh], of the dtype of q, k and v, or in i8 with `scales`.
 */
export function cachedAttention<D extends FloatDType, C extends D | "i8" = D>(
  q: Tensor<D>,
  k: Tensor<D>,
  v: Tensor<D>,
  cache: AttentionCacheInputs<C>,
  options: ops.CachedAttentionOptions,
): { output: Tensor<D>; k: Tensor<C>; v: Tensor<C> } {
  known("cachedAttention", options, { numHeads: true, numKeyHeads: true, scale: true, slidingWindow: true });
  const { scales } = cache;
  const inputs = {
    q: q.ir,
    k: k.ir,
    v: v.ir,
    pastK: cache.k.ir,
    pastV: cache.v.ir,
    lengths: cache.lengths.ir,
    total: cache.total.ir,
    scales: scales && { k: scales.k.ir, v: scales.v.ir },
  };
  const [output, nextK, nextV] = ops.cachedAttention(inputs, options);
  return { output: new Tensor(output), k: new Tensor(nextK), v: new Tensor(nextV) };
}
