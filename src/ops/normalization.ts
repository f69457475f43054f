import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, normalizeAxis, requireStatic, type Value } from "../ir/index.ts";
import { applyAll } from "./apply.ts";
import { add, div, maximum, mul, pow, rsqrt, square, sub } from "./arithmetic.ts";
import { defineMultiOp, defineOp, notDifferentiable } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { forEachIndex, hostTensor } from "./host-tensor.ts";
import { i64Vector, OnnxFloat, onnxTypeCode } from "./lowering.ts";
import { pad } from "./movement.ts";
import { statisticsLike } from "./normalize.ts";
import { averagePool } from "./pooling.ts";
import { mean, norm } from "./reduce.ts";
import { reshape } from "./shape.ts";

type StandardizeAttributes = { axes: readonly number[]; epsilon: number };

/** Outputs: the normal form of x, the mean and 1 / sqrt(variance + epsilon), both with the axes kept at size 1. */
const standardizeEntry = defineMultiOp<"x", StandardizeAttributes>({
  name: "standardize",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }, { axes }) => {
    requireFloatDType("standardize", x.dtype);
    const statistics = { dtype: x.dtype, shape: x.shape.map((size, i) => (axes.includes(i) ? 1 : size)) };
    return [x, statistics, statistics];
  },
  gradient: ({ x, ys: [normal, , inverse], dys: [dy, dMean, dInverse] }, { axes }) => {
    const over = { axes, keepDims: true };
    const count = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1);
    const terms: Value[] = [];
    // dx = inverse (dy - mean(dy) - normal mean(dy normal))
    if (dy) terms.push(mul(inverse, sub(sub(dy, mean(dy, over)), mul(normal, mean(mul(dy, normal), over)))));
    if (dMean) terms.push(mul(dMean, 1 / count));
    if (dInverse) terms.push(mul(mul(dInverse, square(inverse)), mul(normal, -1 / count)));
    return { x: terms.reduce((a, b) => add(a, b)) };
  },
  lower: (graph, { x }, { axes, epsilon }, node) => {
    const { dtype } = node.inputs[0];
    const reduced = i64Vector(graph, axes);
    const average = graph.node("ReduceMean", [x, reduced], { keepdims: 1 });
    const centred = graph.node("Sub", [x, average]);
    const variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), reduced], { keepdims: 1 });
    const inverse = graph.node("Reciprocal", [
      graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(dtype, [], [epsilon])])]),
    ]);
    return [graph.node("Mul", [centred, inverse]), average, inverse];
  },
  reference: ({ x }, { axes, epsilon }, [type, statistics]) => {
    const [y, means, inverses] = [hostTensor(type.shape), hostTensor(statistics.shape), hostTensor(statistics.shape)];
    const kept = means.shape;
    const group = new Int32Array(x.data.length);
    forEachIndex(x.shape, (index, flat) => {
      group[flat] = index.reduce((p, i, axis) => p * kept[axis] + (axes.includes(axis) ? 0 : i), 0);
    });
    const count = x.data.length / means.data.length;
    x.data.forEach((value, i) => {
      means.data[group[i]] += value / count;
    });
    x.data.forEach((value, i) => {
      inverses.data[group[i]] += (value - means.data[group[i]]) ** 2 / count;
    });
    inverses.data.forEach((variance, i) => {
      inverses.data[i] = 1 / Math.sqrt(variance + epsilon);
    });
    x.data.forEach((value, i) => {
      y.data[i] = (value - means.data[group[i]]) * inverses.data[group[i]];
    });
    return [y, means, inverses];
  },
});

/** Mean 0 and variance 1 over axes of known size. */
function standardize(
  x: Value,
  axes: readonly number[],
  epsilon: number,
): { normal: Value; mean: Value; inverse: Value } {
  requireStatic(
    "normalization",
    axes.map((axis) => x.shape[axis]),
  );
  const [normal, average, inverse] = applyAll(standardizeEntry, [x], { axes, epsilon });
  return { normal, mean: average, inverse };
}

/** A vector over channels, to be combined with [N, C, ...]. */
const channelwise = (vector: Value, x: Value) => reshape(vector, [-1, ...x.shape.slice(2).map(() => 1)]);

/** Scales and shifts each channel. */
function affine(normal: Value, weight: Value | undefined, bias: Value | undefined): Value {
  const scaled = weight ? mul(normal, channelwise(weight, normal)) : normal;
  return bias ? add(scaled, channelwise(bias, normal)) : scaled;
}

function requireChannels(where: string, x: Value, vectors: readonly (Value | undefined)[]): number {
  const [channels] = requireStatic(where, [x.shape[1] ?? 0]);
  for (const vector of vectors) {
    if (vector === undefined || (vector.shape.length === 1 && vector.shape[0] === channels)) continue;
    throw new ShapeError({
      where,
      expected: `vectors of ${channels}, the channels of x`,
      received: `${describe(vector)} for x ${describe(x)}`,
      fix: "channels are axis 1",
    });
  }
  return channels;
}

/** What `batchNorm` knows of each channel. */
export interface BatchNormInputs {
  /** Factor after normalising, [C]. @default ones */
  weight?: Value;
  /** Added after the factor, [C]. @default zeros */
  bias?: Value;
  /** Mean of earlier batches, [C]. */
  runningMean: Value;
  /** Variance of earlier batches, [C]. */
  runningVariance: Value;
}
/** By which statistics `batchNorm` normalises, and how the running ones move. */
export interface BatchNormOptions {
  /** Normalise by the batch's own statistics, and move the running ones toward them. */
  training: boolean;
  /** Share of the batch in the new running statistics. @default 0.1 */
  momentum?: number;
  /** Added to the variance. @default 1e-5 */
  epsilon?: number;
}
/**
 * Normalises each channel over the batch and all spatial axes. x: [N, C, ...]. Gives the result and the new running
 * statistics (those given, when not training). Ioffe and Szegedy 2015, arXiv:1502.03167.
 */
export function batchNorm(
  x: Value,
  { weight, bias, runningMean, runningVariance }: BatchNormInputs,
  { training, momentum = 0.1, epsilon = 1e-5 }: BatchNormOptions,
): { y: Value; runningMean: Value; runningVariance: Value } {
  const channels = requireChannels("batchNorm", x, [weight, bias, runningMean, runningVariance]);
  if (!training) {
    const inverse = rsqrt(add(runningVariance, epsilon));
    const scale = weight ? mul(weight, inverse) : inverse;
    const shift = mul(runningMean, scale);
    const y = sub(mul(x, channelwise(scale, x)), channelwise(bias ? sub(shift, bias) : shift, x));
    return { y, runningMean, runningVariance };
  }
  const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
  const { normal, mean: average, inverse } = standardize(x, axes, epsilon);
  const count = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1);
  const batchMean = reshape(average, [channels]);
  const biased = sub(div(1, square(reshape(inverse, [channels]))), epsilon);
  const toward = (old: Value, fresh: Value) => add(mul(old, 1 - momentum), mul(fresh, momentum));
  return {
    y: affine(normal, weight, bias),
    runningMean: toward(runningMean, batchMean),
    runningVariance: toward(runningVariance, mul(biased, count / (count - 1))),
  };
}

/** What `groupNorm` and `instanceNorm` do to each channel after normalising. */
export interface AffineNormOptions {
  /** Factor, [C]. @default ones */
  weight?: Value;
  /** Added after the factor, [C]. @default zeros */
  bias?: Value;
  /** Added to the variance. @default 1e-5 */
  epsilon?: number;
}
/**
 * Normalises each example over groups of channels and all spatial axes. x: [N, C, ...]. Wu and He 2018,
 * arXiv:1803.08494.
 */
export function groupNorm(
  x: Value,
  numGroups: number,
  { weight, bias, epsilon = 1e-5 }: AffineNormOptions = {},
): Value {
  const channels = requireChannels("groupNorm", x, [weight, bias]);
  if (channels % numGroups !== 0) {
    throw new ShapeError({
      where: "groupNorm",
      expected: `channels divisible by ${numGroups} groups`,
      received: describe(x),
      fix: "choose another number of groups",
    });
  }
  const [batch, ...rest] = requireStatic("groupNorm", x.shape);
  const size = rest.reduce((a, b) => a * b, 1);
  const { normal } = standardize(reshape(x, [batch, numGroups, size / numGroups]), [2], epsilon);
  return affine(reshape(normal, x.shape), weight, bias);
}

/**
 * Normalises each channel of each example over the spatial axes. x: [N, C, ...]. Ulyanov et al. 2016, arXiv:1607.08022.
 */
export function instanceNorm(x: Value, options: AffineNormOptions = {}): Value {
  return groupNorm(x, requireChannels("instanceNorm", x, []), options);
}

type RmsNormAttributes = { epsilon: number };
const rmsNormSettings = (epsilon: number) => ({ axis: -1, epsilon: new OnnxFloat(epsilon), stash_type: 1 });
const rmsNormEntry: OpEntry = defineMultiOp<"x" | "weight", RmsNormAttributes>({
  name: "rmsNorm",
  precision: "f32",
  batch: "leading",
  inputs: ["x", "weight"],
  infer: ({ x, weight }) => {
    requireFloatDType("rmsNorm", x.dtype);
    const width = x.shape[x.shape.length - 1];
    if (width === 0)
      throw new ShapeError({
        where: "rmsNorm",
        expected: "a last axis that is not empty",
        received: describe(x),
        fix: "check the data",
      });
    if (weight.shape.length !== 1 || weight.shape[0] !== width || weight.dtype !== x.dtype) {
      throw new ShapeError({
        where: "rmsNorm",
        expected: `a weight of ${x.dtype}[${width}]`,
        received: describe(weight),
        fix: "make the layer as wide as its input",
      });
    }
    return [x, { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }];
  },
  withoutOutputs: (unused) => (unused.has(1) ? { op: rmsNormAloneEntry, kept: [0] } : undefined),
  gradient: ({ x, weight, ys: [, inverse], dys: [dy, dInverse] }) => {
    const last = x.shape.length - 1;
    const normal = mul(x, inverse);
    const terms: Value[] = [];
    if (dy) {
      // dx = inverse (g - normal mean(g normal)) with g = dy weight
      const g = mul(dy, weight);
      terms.push(mul(inverse, sub(g, mul(normal, mean(mul(g, normal), { axes: last, keepDims: true })))));
    }
    if (dInverse) terms.push(mul(mul(dInverse, square(inverse)), mul(normal, -1 / (x.shape[last] as number))));
    return { x: terms.reduce((a, b) => add(a, b)), weight: dy && mul(dy, normal) };
  },
  lower: (graph, { x, weight }, { epsilon }, node) => {
    const settings = rmsNormSettings(epsilon);
    if (!graph.isWebGpu)
      return statisticsLike(graph, node, graph.nodes("SimplifiedLayerNormalization", [x, weight], 2, settings));
    // WebGPU's kernel leaves the second output empty
    const y = graph.node("SimplifiedLayerNormalization", [x, weight], settings);
    const wide = node.inputs[0].dtype === "f16" ? graph.node("Cast", [x], { to: onnxTypeCode.f32 }) : x;
    const squares = graph.node("ReduceMean", [graph.node("Mul", [wide, wide]), i64Vector(graph, [-1])]);
    const root = graph.node("Sqrt", [graph.node("Add", [squares, graph.constant("f32", [], [epsilon])])]);
    return statisticsLike(graph, node, [y, graph.node("Reciprocal", [root])]);
  },
  reference: ({ x, weight }, { epsilon }, [type, statistics]) => {
    const [y, inverses] = [hostTensor(type.shape), hostTensor(statistics.shape)];
    const width = weight.data.length;
    inverses.data.forEach((_, row) => {
      const values = x.data.subarray(row * width, (row + 1) * width);
      const inverse = 1 / Math.sqrt(values.reduce((a, b) => a + b * b, 0) / width + epsilon);
      inverses.data[row] = inverse;
      values.forEach((value, i) => {
        y.data[row * width + i] = value * inverse * weight.data[i];
      });
    });
    return [y, inverses];
  },
});
/** Without the inverse, which only the gradient needs. */
const rmsNormAloneEntry: OpEntry = defineOp<"x" | "weight", RmsNormAttributes>({
  name: "rmsNormAlone",
  precision: "f32",
  batch: "leading",
  inputs: ["x", "weight"],
  infer: ({ x }) => x,
  gradient: notDifferentiable("is made by passes that run after gradients are taken"),
  lower: (graph, { x, weight }, { epsilon }) =>
    graph.node("SimplifiedLayerNormalization", [x, weight], rmsNormSettings(epsilon)),
  reference: ({ x, weight }, attributes, [type]) => {
    const statistics = { ...type, shape: [...type.shape.slice(0, -1), 1] };
    return rmsNormEntry.reference([x, weight], attributes, [type, statistics])[0];
  },
});
/** x divided by its root mean square over the last axis, times a weight. Zhang and Sennrich 2019, arXiv:1910.07467. */
export function rmsNorm(x: Value, weight: Value, epsilon = 1e-6): Value {
  return applyAll(rmsNormEntry, [x, weight], { epsilon })[0];
}

/** x divided by its length along an axis, or by epsilon where it is shorter. */
export function l2Normalize(x: Value, { axis = -1, epsilon = 1e-12 }: { axis?: number; epsilon?: number } = {}): Value {
  return div(
    x,
    maximum(norm(x, { axes: normalizeAxis("l2Normalize", axis, x.shape.length), keepDims: true }), epsilon),
  );
}

/** The numbers of x / (k + alpha mean(x^2 of `size` channels around))^beta. */
export interface LocalResponseNormOptions {
  /** Neighbouring channels that count, the channel itself among them. */
  size: number;
  /** @default 1e-4 */
  alpha?: number;
  /** @default 0.75 */
  beta?: number;
  /** @default 1 */
  k?: number;
}
/** Divides by the activity of neighbouring channels. x: [N, C, ...]. Krizhevsky et al. 2012, section 3.3. */
export function localResponseNorm(
  x: Value,
  { size, alpha = 1e-4, beta = 0.75, k = 1 }: LocalResponseNormOptions,
): Value {
  const [batch, channels, ...rest] = requireStatic("localResponseNorm", x.shape);
  const inner = rest.reduce((a, b) => a * b, 1);
  const squares = reshape(square(x), [batch, 1, channels, inner]);
  const padding = [
    [Math.floor(size / 2), Math.floor((size - 1) / 2)],
    [0, 0],
  ] as const;
  const neighbours = averagePool(pad(squares, padding), { kernelSize: [size, 1], stride: 1 });
  return div(x, pow(add(mul(reshape(neighbours, x.shape), alpha), k), beta));
}
