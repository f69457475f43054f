import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, type Node, normalizeAxis, type Value } from "../ir/index.ts";
import { apply, applyAll } from "./apply.ts";
import { add, exp, mul, sub } from "./arithmetic.ts";
import { defineMultiOp, defineOp } from "./define.ts";
import { hostTensor } from "./host-tensor.ts";
import { i64Vector, type Lowering, OnnxFloat, onnxTypeCode } from "./lowering.ts";
import { mean, sum } from "./reduce.ts";

/** Applies `f` to each vector along `axis`. */
function alongAxis(shape: readonly number[], data: Float64Array, axis: number, f: (row: number[]) => number[]) {
  const out = hostTensor(shape);
  const size = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = size === 0 ? 0 : data.length / (size * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (j: number) => (o * size + j) * inner + i;
      const row = f(Array.from({ length: size }, (_, j) => data[at(j)]));
      row.forEach((value, j) => {
        out.data[at(j)] = value;
      });
    }
  }
  return out;
}

function softmaxRow(row: number[]): number[] {
  const largest = Math.max(...row);
  const exps = row.map((v) => Math.exp(v - largest));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((v) => v / total);
}

const softmaxEntry = defineOp<"x", { axis: number }>({
  name: "softmax",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("softmax", x.dtype);
    return x;
  },
  // dx = y (dy - sum(dy y)) along the axis
  gradient: ({ y, dy }, { axis }) => {
    const weighted = mul(dy, y);
    return { x: sub(weighted, mul(y, sum(weighted, { axes: axis, keepDims: true }))) };
  },
  lower: (graph, { x }, { axis }) => graph.node("Softmax", [x], { axis }),
  reference: ({ x }, { axis }) => alongAxis(x.shape, x.data, axis, softmaxRow),
});

/** exp(x) / sum(exp(x)) along an axis, computed without overflow. */
export function softmax(x: Value, axis = -1): Value {
  return apply(softmaxEntry, [x], { axis: normalizeAxis("softmax", axis, x.shape.length) });
}

function logSoftmaxRow(row: readonly number[]): number[] {
  const largest = Math.max(...row);
  const total = Math.log(row.reduce((sum, v) => sum + Math.exp(v - largest), 0));
  return row.map((v) => v - largest - total);
}

/** log(softmax(x)) along an axis. ONNX Runtime's WebGPU provider has no kernel for it. */
export function lowerLogSoftmax(graph: Lowering, x: string, axis: number): string {
  if (!graph.isWebGpu) return graph.node("LogSoftmax", [x], { axis });
  const axes = i64Vector(graph, [axis]);
  const moved = graph.node("Sub", [x, graph.node("ReduceMax", [x, axes])]);
  return graph.node("Sub", [moved, graph.node("Log", [graph.node("ReduceSum", [graph.node("Exp", [moved]), axes])])]);
}

const logSoftmaxEntry = defineOp<"x", { axis: number }>({
  name: "logSoftmax",
  precision: "f32",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("logSoftmax", x.dtype);
    return x;
  },
  gradient: ({ y, dy }, { axis }) => ({ x: sub(dy, mul(exp(y), sum(dy, { axes: axis, keepDims: true }))) }),
  lower: (graph, { x }, { axis }) => lowerLogSoftmax(graph, x, axis),
  reference: ({ x }, { axis }) => alongAxis(x.shape, x.data, axis, logSoftmaxRow),
});

/** log of softmax along an axis, accurate for very unlikely entries too. */
export function logSoftmax(x: Value, axis = -1): Value {
  return apply(logSoftmaxEntry, [x], { axis: normalizeAxis("logSoftmax", axis, x.shape.length) });
}

/** ONNX gives the statistics of f16 numbers in f32; ours have the dtype of x. */
export function statisticsLike(graph: Lowering, node: Node, [y, ...statistics]: readonly string[]): string[] {
  if (node.inputs[0].dtype !== "f16") return [y, ...statistics];
  return [y, ...statistics.map((name) => graph.node("Cast", [name], { to: onnxTypeCode.f16 }))];
}

type LayerNormAttributes = { epsilon: number };
const layerNormEntry = defineMultiOp<"x" | "weight" | "bias", LayerNormAttributes>({
  name: "layerNorm",
  precision: "f32",
  batch: "leading",
  inputs: ["x", "weight", "bias"],
  infer: ({ x, weight, bias }) => {
    requireFloatDType("layerNorm", x.dtype);
    const width = x.shape[x.shape.length - 1];
    for (const parameter of [weight, bias]) {
      if (parameter.shape.length !== 1 || parameter.shape[0] !== width || parameter.dtype !== x.dtype) {
        throw new ShapeError({
          where: "layerNorm",
          expected: `weight and bias of ${x.dtype}[${width}]`,
          received: `x ${describe(x)}, weight ${describe(weight)}, bias ${describe(bias)}`,
          fix: "make the layer as wide as its input",
        });
      }
    }
    const statistics = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
    return [x, statistics, statistics];
  },
  gradient: ({ x, weight, ys: [, average, inverse], dys: [dy, dMean, dInverse] }) => {
    const last = x.shape.length - 1;
    const width = x.shape[last] as number;
    const normal = mul(sub(x, average), inverse); // [..., D]
    const terms: Value[] = [];
    if (dy) {
      // dx = inverse (g - mean(g) - normal mean(g normal)) with g = dy weight
      const g = mul(dy, weight);
      const inner = sub(
        sub(g, mean(g, { axes: last, keepDims: true })),
        mul(normal, mean(mul(g, normal), { axes: last, keepDims: true })),
      );
      terms.push(mul(inverse, inner));
    }
    // the statistics are outputs too, so that the gradient of the gradient is right
    if (dMean) terms.push(mul(dMean, 1 / width));
    // d inverse/dx = -inverse^2 normal / D
    if (dInverse) terms.push(mul(mul(dInverse, mul(inverse, inverse)), mul(normal, -1 / width)));
    return { x: terms.reduce((a, b) => add(a, b)), weight: dy && mul(dy, normal), bias: dy };
  },
  lower: (graph, { x, weight, bias }, { epsilon }, node) =>
    statisticsLike(
      graph,
      node,
      graph.nodes("LayerNormalization", [x, weight, bias], 3, { axis: -1, epsilon: new OnnxFloat(epsilon) }),
    ),
  reference: ({ x, weight, bias }, { epsilon }, [type, statistics]) => {
    const width = type.shape[type.shape.length - 1] as number;
    const means = hostTensor(statistics.shape);
    const inverses = hostTensor(statistics.shape);
    let row = 0;
    const y = alongAxis(x.shape, x.data, x.shape.length - 1, (values) => {
      const average = values.reduce((a, b) => a + b, 0) / width;
      const variance = values.reduce((a, b) => a + (b - average) ** 2, 0) / width;
      const inverse = 1 / Math.sqrt(variance + epsilon);
      means.data[row] = average;
      inverses.data[row++] = inverse;
      return values.map((v, i) => (v - average) * inverse * weight.data[i] + bias.data[i]);
    });
    return [y, means, inverses];
  },
});

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts. Ba et al. 2016, arXiv:1607.06450. */
export function layerNorm(x: Value, weight: Value, bias: Value, epsilon = 1e-5): Value {
  return applyAll(layerNormEntry, [x, weight, bias], { epsilon })[0];
}
