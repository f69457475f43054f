/** Normalisation: over batches, layers, groups, neighbours. */
import { normalizeAxis, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, shapeOf } from "./context.ts";

const batchNormalization: Converter = (node) => {
  const [x, weight, bias, runningMean, runningVariance] = [0, 1, 2, 3, 4].map((i) => node.input(i));
  const options = {
    training: node.flag("training_mode"),
    epsilon: node.float("epsilon", 1e-5),
    momentum: 1 - node.float("momentum", 0.9),
  };
  const result = ops.batchNorm(x, { weight, bias, runningMean, runningVariance }, options);
  if (!options.training) return result.y;
  // ONNX moves the running variance toward the batch's biased one
  const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
  const biased = ops.variance(x, { axes, correction: 0 });
  return [
    result.y,
    result.runningMean,
    ops.add(ops.mul(runningVariance, 1 - options.momentum), ops.mul(biased, options.momentum)),
  ];
};

/** Normalisation over the last axes; scale and bias broadcast. */
const layerNormalization: Converter = (node) => {
  const [x, scale, bias] = [node.input(0), node.input(1), node.inputs[2]];
  const rank = x.shape.length;
  const axis = normalizeAxis(node.name, node.int("axis", -1), rank);
  const epsilon = node.float("epsilon", 1e-5);
  if (
    axis === rank - 1 &&
    bias &&
    scale.shape.length === 1 &&
    scale.shape[0] === x.shape[rank - 1] &&
    node.proto.output.length === 1
  ) {
    return ops.layerNorm(x, scale, bias, epsilon);
  }
  const over = { axes: Array.from({ length: rank - axis }, (_, i) => axis + i), keepDims: true };
  const mean = ops.mean(x, over);
  const centred = ops.sub(x, mean);
  const inverse = ops.rsqrt(ops.add(ops.mean(ops.square(centred), over), epsilon));
  const scaled = ops.mul(ops.mul(centred, inverse), scale);
  return [bias ? ops.add(scaled, bias) : scaled, mean, inverse];
};

const rmsNormalization: Converter = (node) => {
  const [x, scale] = [node.input(0), node.input(1)];
  const rank = x.shape.length;
  const axis = normalizeAxis(node.name, node.int("axis", -1), rank);
  const over = { axes: Array.from({ length: rank - axis }, (_, i) => axis + i), keepDims: true };
  return ops.mul(ops.mul(x, ops.rsqrt(ops.add(ops.mean(ops.square(x), over), node.float("epsilon", 1e-5)))), scale);
};

const groupNormalization: Converter = (node) => {
  const [x, scale, bias] = [node.input(0), node.input(1), node.input(2)];
  const groups = node.int("num_groups", 1);
  const channels = shapeOf(x)[1];
  const perChannel = (vector: Value) =>
    shapeOf(vector)[0] === channels ? vector : ops.repeatInterleave(vector, channels / groups, 0);
  return ops.groupNorm(x, groups, {
    weight: perChannel(scale),
    bias: perChannel(bias),
    epsilon: node.float("epsilon", 1e-5),
  });
};

const lpNormalization: Converter = (node) => {
  const [x, axis] = [node.input(0), node.int("axis", -1)];
  const length = ops.norm(x, { p: node.int("p", 2), axes: axis, keepDims: true });
  return ops.where(ops.equal(length, 0), 0, ops.div(x, ops.where(ops.equal(length, 0), 1, length)));
};

const lrn: Converter = (node) => {
  const options = {
    size: node.within("onnxParts", node.int("size", 1), "places in a window"),
    alpha: node.float("alpha", 1e-4),
    beta: node.float("beta", 0.75),
    k: node.float("bias", 1),
  };
  return ops.localResponseNorm(node.input(0), options);
};

const skipLayerNormalization: Converter = (node) => {
  const [x, skip, scale, shift, bias] = [node.input(0), node.input(1), node.input(2), node.inputs[3], node.inputs[4]];
  const sum = bias ? ops.add(ops.add(x, skip), bias) : ops.add(x, skip);
  const zeros = ops.broadcastTo(ops.scalar(0, x.dtype), scale.shape);
  return ops.layerNorm(sum, scale, shift ?? zeros, node.float("epsilon", 1e-12));
};

/** Before version 13 softmax works on the input as a matrix, cut at the axis. */
const softmax =
  (op: (x: Value, axis: number) => Value): Converter =>
  (node) => {
    const x = node.input(0);
    const axis = normalizeAxis(node.name, node.int("axis", node.opset < 13 ? 1 : -1), x.shape.length);
    if (node.opset >= 13 || axis === x.shape.length - 1) return op(x, axis);
    const rows = shapeOf(x)
      .slice(0, axis)
      .reduce((a, b) => a * b, 1);
    return ops.reshape(op(ops.reshape(x, [rows, -1]), 1), x.shape);
  };

/** Operators that bring numbers to a common scale. */
export const normalizations: Converters = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  GroupNormalization: groupNormalization,
  SkipLayerNormalization: skipLayerNormalization,
  InstanceNormalization: (node) =>
    ops.instanceNorm(node.input(0), {
      weight: node.input(1),
      bias: node.input(2),
      epsilon: node.float("epsilon", 1e-5),
    }),
  LpNormalization: lpNormalization,
  LRN: lrn,
  Softmax: softmax(ops.softmax),
  LogSoftmax: softmax(ops.logSoftmax),
};
