import { type DType, requireFloatDType } from "../base/index.ts";
import { sizeOf, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { abs, add, clip, div, exp, expm1, lowerLog1p, mul, neg, onlyWhere, sub } from "./arithmetic.ts";
import { defineOp } from "./define.ts";
import { cast, unary, where } from "./elementwise.ts";
import { hostTensor } from "./host-tensor.ts";
import { greater, greaterEqual } from "./logic.ts";
import { type Lowering, OnnxFloat } from "./lowering.ts";
import { reshape } from "./shape.ts";
import { erf, sigmoid, tanh } from "./special.ts";

/** sqrt(8/pi): tanh(u) = 2 sigmoid(2u) - 1 turns the tanh form of GELU into x sigmoid(1.5958 (x + 0.044715 x^3)). */
const TANH_SCALE = 2 * Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

/** How GELU is computed: with the error function, or by its approximation with tanh. */
export type GeluApproximation = "none" | "tanh";

const geluEntry = defineOp<"x", { approximate: GeluApproximation }>({
  name: "gelu",
  precision: "any",
  batch: "elementwise",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("gelu", x.dtype);
    return x;
  },
  gradient: ({ x, dy }, { approximate }) => ({
    x: approximate === "tanh" ? apply(geluTanhGradientEntry, [x, dy]) : mul(dy, erfSlope(x)),
  }),
  lower: (graph, { x }, { approximate }, node) =>
    approximate === "tanh" && node.inputs[0].dtype === "f32" && node.inputs[0].shape.length > 0
      ? graph.node("FastGelu", [x], {}, "com.microsoft")
      : graph.node("Gelu", [x], { approximate }),
  reference: ({ x }, { approximate }) =>
    hostTensor(
      x.shape,
      x.data.map((v) =>
        approximate === "tanh"
          ? geluTanhOf(v)
          : 0.5 *
            v *
            (1 + erf.entry.reference([hostTensor([], [v / Math.SQRT2])], {}, [{ dtype: "f32", shape: [] }])[0].data[0]),
      ),
    ),
});

const geluTanhOf = (x: number): number => x / (1 + Math.exp(-TANH_SCALE * (x + TANH_CUBIC * x ** 3)));

/**
 * Elements of one slice of the gradient's chain: what the caches of a core hold. Measured: 8 ms against 18 for 3072 x
 * 1536.
 */
export const SLICE_ELEMENTS = 131072;

/**
 * dy times the slope of GELU's tanh form at x. With w = x (a + b x^2) and s = sigmoid(w), y = x s and
 * dy/dx = s + x s (1 - s) w', w' = a + 3 b x^2.
 */
export function lowerGeluTanhSlope(graph: Lowering, dtype: DType, x: string, dy: string): string {
  const number = (value: number) => graph.constant(dtype, [], [value]);
  const cubic = graph.node("Mul", [graph.node("Mul", [x, x]), number(TANH_SCALE * TANH_CUBIC)]);
  const s = graph.node("Sigmoid", [graph.node("Mul", [x, graph.node("Add", [cubic, number(TANH_SCALE)])])]);
  const y = graph.node("Mul", [x, s]);
  const rest = graph.node("Sub", [y, graph.node("Mul", [y, s])]);
  const slope = graph.node("Add", [graph.node("Mul", [cubic, number(3)]), number(TANH_SCALE)]);
  return graph.node("Mul", [dy, graph.node("Add", [s, graph.node("Mul", [rest, slope])])]);
}

/** dy times the slope of GELU's tanh form. An op of its own, so that the whole chain can run slice by slice. */
const geluTanhGradientEntry = defineOp({
  name: "geluTanhGradient",
  precision: "f32",
  batch: "elementwise",
  inputs: ["x", "upstream"],
  infer: ({ x }) => x,
  gradient: ({ x, upstream, dy }) => secondDerivative(x, upstream, dy),
  lower: (graph, { x, upstream }, _, node) => {
    const { dtype, shape } = node.inputs[0];
    const chain = ([x, dy]: readonly string[]) => lowerGeluTanhSlope(graph, dtype, x, dy);
    const count = sizeOf(shape);
    const slices = typeof count === "number" ? Math.round(count / SLICE_ELEMENTS) : 0;
    if (graph.isWebGpu || slices < 2 || (count as number) % slices !== 0) return chain([x, upstream]);
    const slice = [(count as number) / slices];
    const cut = [x, upstream].map((name) => graph.node("Reshape", [name, graph.sizes([slices, ...slice])]));
    return graph.node("Reshape", [graph.scan(cut, { dtype, shape: slice }, chain), graph.sizes(shape)]);
  },
  reference: ({ x, upstream }) =>
    hostTensor(
      x.shape,
      x.data.map((v, i) => upstream.data[i] * tanhSlope(v)),
    ),
});

function tanhSlope(x: number): number {
  const s = 1 / (1 + Math.exp(-x * TANH_SCALE * (1 + TANH_CUBIC * x * x)));
  return s + x * s * (1 - s) * TANH_SCALE * (1 + 3 * TANH_CUBIC * x * x);
}

/** Gradients of upstream f'(x), given its gradient dy: f''(x) upstream dy for x, and f'(x) dy for upstream. */
function secondDerivative(x: Value, upstream: Value, dy: Value): { x: Value; upstream: Value } {
  const b = TANH_SCALE * TANH_CUBIC;
  const squared = mul(x, x);
  const w1 = add(mul(squared, 3 * b), TANH_SCALE); // w'
  const s = sigmoid(mul(x, add(mul(squared, b), TANH_SCALE)));
  const logistic = mul(s, sub(1, s)); // s (1 - s)
  const s1 = mul(logistic, w1); // s'
  const s2 = add(mul(mul(s1, sub(1, mul(s, 2))), w1), mul(logistic, mul(x, 6 * b))); // s''
  const f1 = add(s, mul(x, s1));
  const f2 = add(mul(s1, 2), mul(x, s2));
  return { x: mul(dy, mul(upstream, f2)), upstream: mul(dy, f1) };
}

/** Normal distribution function plus x times its density. */
function erfSlope(x: Value): Value {
  const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(distribution, mul(x, density));
}

/**
 * Gaussian error linear unit: x times the normal distribution function of x, exact or by GPT-2's tanh approximation.
 * Hendrycks and Gimpel 2016, arXiv:1606.08415.
 */
export function gelu(x: Value, approximate: GeluApproximation = "none"): Value {
  return apply(geluEntry, [x], { approximate });
}
gelu.entry = geluEntry;
/** For those who look for it in a graph. */
gelu.tanhGradientEntry = geluTanhGradientEntry;

/** max(x, 0); its gradient at 0 is 0. */
export const relu = unary({
  name: "relu",
  precision: "any",
  lower: "Relu",
  gradient: ({ y, dy }) => onlyWhere(greater(y, 0), dy), // from y, which is kept anyway by what uses it
  reference: (x) => (x < 0 ? 0 : x),
});

/** x sigmoid(x), also called swish. Elfwing et al. 2017, arXiv:1702.03118. */
export const silu = (x: Value): Value => mul(x, sigmoid(x));
/** max(x, 0) squared. So et al. 2021, arXiv:2109.08668. */
export const reluSquared = (x: Value): Value => {
  const positive = relu(x);
  return mul(positive, positive);
};
/** relu that stops at 6. Howard et al. 2017, arXiv:1704.04861. */
export const relu6 = (x: Value): Value => clip(x, { min: 0, max: 6 });

const leakyReluEntry = defineOp<"x", { negativeSlope: number }>({
  name: "leakyRelu",
  precision: "any",
  batch: "elementwise",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("leakyRelu", x.dtype);
    return x;
  },
  gradient: ({ x, dy }, { negativeSlope }) => ({
    x: mul(dy, add(mul(cast(greater(x, 0), x.dtype), 1 - negativeSlope), negativeSlope)),
  }),
  lower: (graph, { x }, { negativeSlope }) => graph.node("LeakyRelu", [x], { alpha: new OnnxFloat(negativeSlope) }),
  reference: ({ x }, { negativeSlope }) =>
    hostTensor(
      x.shape,
      x.data.map((v) => (v > 0 ? v : negativeSlope * v)),
    ),
});
/** x where positive, otherwise negativeSlope x; that is also the gradient's slope at 0. Maas et al. 2013. */
export const leakyRelu = (x: Value, negativeSlope = 0.01): Value => apply(leakyReluEntry, [x], { negativeSlope });
/**
 * leakyRelu with a learned slope. weight: [1], or one for each size of axis 1 of x. He et al. 2015, arXiv:1502.01852.
 */
export function prelu(x: Value, weight: Value): Value {
  const slope = x.shape.length > 2 ? reshape(weight, [-1, ...x.shape.slice(2).map(() => 1)]) : weight;
  return where(greater(x, 0), x, mul(negativePart(x), slope)); // not x: infinity times a gradient of 0 is NaN
}
/** x where positive, otherwise alpha (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289. */
export const elu = (x: Value, alpha = 1): Value => add(relu(x), mul(expm1(negativePart(x)), alpha));
/** elu whose slope is continuous for every alpha: alpha (exp(x / alpha) - 1) below 0. Barron 2017, arXiv:1704.07483. */
export const celu = (x: Value, alpha = 1): Value => add(relu(x), mul(expm1(mul(negativePart(x), 1 / alpha)), alpha));
/** x where it is not positive, otherwise 0; 0 itself has a gradient, which relu does not give it. */
function negativePart(x: Value): Value {
  return where(greater(x, 0), 0, x);
}
/**
 * The fixed point of mean 0 and variance 1 under a scaled elu. Klambauer et al. 2017, arXiv:1706.02515, equation 14.
 */
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 };
/** Self-normalising elu. arXiv:1706.02515. */
export const selu = (x: Value): Value => mul(elu(x, SELU.alpha), SELU.scale);

const softplusUnit = unary({
  name: "softplus",
  gradient: ({ x, dy }) => mul(dy, sigmoid(x)),
  // max(x, 0) + log(1 + exp(-|x|)) overflows nowhere; ONNX Runtime's own Softplus is several times slower
  lower: (graph, x, type) => {
    const small = graph.node("Exp", [graph.node("Neg", [graph.node("Abs", [x])])]);
    return graph.node("Add", [graph.node("Relu", [x]), lowerLog1p(graph, small, type.dtype)]);
  },
  reference: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
});
/** Where the bend of `softplus` lies, and how sharp it is. */
export interface SoftplusOptions {
  /** Sharpness of the bend. @default 1 */
  beta?: number;
  /** Where beta x is above this the result is x itself. @default never */
  threshold?: number;
}
/** log(1 + exp(beta x)) / beta, a smooth relu. */
export function softplus(x: Value, { beta = 1, threshold }: SoftplusOptions = {}): Value {
  const scaled = mul(x, beta);
  const smooth = mul(softplusUnit(scaled), 1 / beta);
  return threshold === undefined ? smooth : where(greater(scaled, threshold), x, smooth);
}
/** log(sigmoid(x)), accurate where sigmoid(x) is near 0. */
export const logSigmoid = (x: Value): Value => neg(softplus(neg(x)));
/** x tanh(softplus(x)). Misra 2019, arXiv:1908.08681. */
export const mish = (x: Value): Value => mul(x, tanh(softplus(x)));
/** x / (1 + |x|) */
export const softsign = (x: Value): Value => div(x, add(abs(x), 1));
/** x moved by lambda toward 0, and 0 within lambda of it. */
export const softshrink = (x: Value, lambda = 0.5): Value => sub(relu(sub(x, lambda)), relu(sub(neg(x), lambda)));
/** A straight line through (0, 1/2) of slope 1/6, cut at 0 and 1. Courbariaux et al. 2015, arXiv:1511.00363. */
export const hardsigmoid = (x: Value): Value => clip(add(mul(x, 1 / 6), 0.5), { min: 0, max: 1 });
/** x hardsigmoid(x); its gradient is 0 up to -3 and 1 from 3 on. Howard et al. 2019, arXiv:1905.02244. */
export const hardswish = unary({
  name: "hardswish",
  precision: "any",
  gradient: ({ x, dy }) => mul(dy, where(greaterEqual(x, 3), 1, where(greater(x, -3), add(mul(x, 1 / 3), 0.5), 0))),
  lower: "HardSwish",
  reference: (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
});
/** x cut at both ends. */
export const hardtanh = (x: Value, min = -1, max = 1): Value => clip(x, { min, max });
