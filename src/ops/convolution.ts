import { DTypeError, requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, requireStatic, type Size, type TensorType, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { add } from "./arithmetic.ts";
import { convInBlocks, inputGradientInBlocks, weightGradientInBlocks } from "./convolution-blocked.ts";
import { type WeightGradientAttributes, weightGradientByConv, weightGradientByProduct } from "./convolution-weight.ts";
import {
  type ConvAttributes,
  type ConvOptions,
  type ConvTransposeOptions,
  countsOf,
  onnxWindow,
  perAxis,
  transposedSizes,
  windowAttributes,
  windowOf,
} from "./convolution-window.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";
import { i64Vector } from "./lowering.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./shape.ts";

const spatial = (type: TensorType) => type.shape.slice(2);
const blockedOperands = ({ dtype, shape }: TensorType, { groups }: ConvAttributes) => ({
  dtype,
  weight: shape,
  groups,
});

function checkOperands(where: string, x: TensorType, weight: TensorType): void {
  requireFloatDType(where, x.dtype);
  if (x.dtype !== weight.dtype) {
    throw new DTypeError({
      where,
      expected: "one dtype",
      received: `x ${describe(x)}, weight ${describe(weight)}`,
      fix: `cast(weight, "${x.dtype}")`,
    });
  }
  if (x.shape.length < 3 || x.shape.length !== weight.shape.length) {
    throw new ShapeError({
      where,
      expected: "x [N, C, ...spatial] and a weight with as many axes",
      received: `x ${describe(x)}, weight ${describe(weight)}`,
      fix: "put the channels in axis 1, and add a batch axis to a single example",
    });
  }
}

function inferConv(where: string, x: TensorType, weight: TensorType, attributes: ConvAttributes): TensorType {
  checkOperands(where, x, weight);
  const { groups } = attributes;
  const [outChannels, perGroup] = requireStatic(where, weight.shape);
  if (x.shape[1] !== perGroup * groups || outChannels % groups !== 0) {
    throw new ShapeError({
      where,
      expected: `${perGroup * groups} input channels (weight's axis 1 times groups), and output channels divisible by ${groups} groups`,
      received: `x ${describe(x)}, weight ${describe(weight)}`,
      fix: "check inChannels and groups of the layer",
    });
  }
  const counts = countsOf(where, spatial(x), requireStatic(where, spatial(weight)), attributes);
  if (counts.some((count) => typeof count === "number" && count < 1)) {
    throw new ShapeError({
      where,
      expected: "an input at least as large as the window",
      received: `x ${describe(x)}, weight ${describe(weight)}`,
      fix: "pad more",
    });
  }
  return { dtype: x.dtype, shape: [x.shape[0], outChannels, ...counts] };
}

/**
 * Visits each product of a convolution: positions in x [N, C, ...], weight [O, C / groups, ...] and y [N, O, ...]. All
 * three entries below are sums over these, each for another of the three.
 */
function forEachProduct(
  xShape: readonly number[],
  weightShape: readonly number[],
  yShape: readonly number[],
  { stride, pads, dilation, groups }: ConvAttributes,
  visit: (x: number, weight: number, y: number) => void,
): void {
  const [xStrides, weightStrides] = [stridesOf(xShape), stridesOf(weightShape)];
  const [inPerGroup, outPerGroup] = [weightShape[1], weightShape[0] / groups];
  forEachIndex(yShape, (yIndex, yAt) => {
    const [n, out, ...position] = yIndex;
    const group = Math.floor(out / outPerGroup);
    forEachIndex(weightShape.slice(1), ([channel, ...offset]) => {
      let xAt = n * xStrides[0] + (group * inPerGroup + channel) * xStrides[1];
      let weightAt = out * weightStrides[0] + channel * weightStrides[1];
      for (let axis = 0; axis < offset.length; axis++) {
        const at = position[axis] * stride[axis] - pads[axis] + offset[axis] * dilation[axis];
        if (at < 0 || at >= xShape[axis + 2]) return;
        xAt += at * xStrides[axis + 2];
        weightAt += offset[axis] * weightStrides[axis + 2];
      }
      visit(xAt, weightAt, yAt);
    });
  });
}

const makeConv = (inputs: readonly ("x" | "weight" | "bias")[]): OpEntry =>
  defineOp<"x" | "weight" | "bias", ConvAttributes>({
    name: "conv",
    precision: "low",
    batch: { fold: 1 },
    inputs,
    infer: ({ x, weight, bias }, attributes) => {
      const type = inferConv("conv", x, weight, attributes);
      if (bias && !(bias.shape.length === 1 && bias.shape[0] === type.shape[1] && bias.dtype === x.dtype)) {
        throw new ShapeError({
          where: "conv",
          expected: `a bias of ${x.dtype}[${type.shape[1]}]`,
          received: describe(bias),
          fix: "give one for each output channel",
        });
      }
      return type;
    },
    gradient: ({ x, weight, dy }, attributes) => ({
      x: apply(convTransposeEntry, [dy, weight], { ...attributes, sizes: spatial(x) }),
      weight: apply(weightGradientEntry, [x, dy], { ...attributes, kernel: spatial(weight) }),
      bias: sum(dy, { axes: dy.shape.map((_, axis) => axis).filter((axis) => axis !== 1) }),
    }),
    lower: (graph, operands, attributes, node) => {
      const blocked = convInBlocks(
        graph,
        Object.values(operands),
        blockedOperands(node.inputs[1], attributes),
        attributes,
      );
      if (blocked) return blocked;
      const y = graph.node("Conv", Object.values(operands), onnxWindow(attributes));
      if (attributes.stride.length > 2) graph.keepOnCpu(); // WebGPU has no groups and no dilation in three dimensions
      return y;
    },
    reference: ({ x, weight, bias }, attributes, [type]) => {
      const y = hostTensor(type.shape);
      const perChannel = stridesOf(y.shape)[1];
      if (bias)
        y.data.forEach((_, at) => {
          y.data[at] = bias.data[Math.floor(at / perChannel) % bias.data.length];
        });
      forEachProduct(x.shape, weight.shape, y.shape, attributes, (i, j, k) => {
        y.data[k] += x.data[i] * weight.data[j];
      });
      return y;
    },
  });
const convEntry = makeConv(["x", "weight"]);
const convBiasEntry = makeConv(["x", "weight", "bias"]);

/** The transpose of conv: x [N, O, ...] and weight [O, C / groups, ...] -> [N, C, ...sizes]. */
const convTransposeEntry: OpEntry = defineOp<"x" | "weight", ConvAttributes & { sizes: readonly Size[] }>({
  name: "convTranspose",
  precision: "low",
  batch: { fold: 1 },
  inputs: ["x", "weight"],
  infer: ({ x, weight }, { sizes, groups }) => {
    checkOperands("convTranspose", x, weight);
    const [outer, perGroup] = requireStatic("convTranspose", weight.shape);
    if (x.shape[1] !== outer || outer % groups !== 0) {
      throw new ShapeError({
        where: "convTranspose",
        expected: `${outer} input channels (weight's axis 0), divisible by ${groups} groups`,
        received: `x ${describe(x)}, weight ${describe(weight)}`,
        fix: "the weight is [in, out / groups, ...]",
      });
    }
    return { dtype: x.dtype, shape: [x.shape[0], perGroup * groups, ...sizes] };
  },
  gradient: ({ x, weight, dy }, attributes) => ({
    x: apply(convEntry, [dy, weight], windowAttributes(attributes)),
    weight: apply(weightGradientEntry, [dy, x], { ...windowAttributes(attributes), kernel: spatial(weight) }),
  }),
  lower: (graph, { x, weight }, attributes, node) => {
    const [input, kernel] = node.inputs.map((operand) => spatial(operand) as number[]);
    const { stride, pads, dilation, groups } = attributes;
    const sizes = [node.inputs[0].shape[0], input as [number, number], attributes.sizes as [number, number]] as const;
    const blocked = inputGradientInBlocks(
      graph,
      [x, weight],
      blockedOperands(node.inputs[1], attributes),
      attributes,
      sizes,
    );
    if (blocked) return blocked;
    const border = [...pads].map((pad, i) => dilation[i % input.length] * (kernel[i % input.length] - 1) - pad);
    if (groups === 1 && !graph.isWebGpu && stride.every((step) => step === 1) && border.every((pad) => pad >= 0)) {
      // without strides it is a convolution with the weight turned round, which is faster on the CPU
      const axes = kernel.map((_, i) => i + 2);
      const swapped = graph.node("Transpose", [weight], { perm: [1, 0, ...axes] });
      const isPoint = kernel.every((size) => size === 1);
      const all = (value: number) =>
        i64Vector(
          graph,
          axes.map(() => value),
        );
      const turned = isPoint
        ? swapped
        : graph.node("Slice", [swapped, all(-1), all(-(2 ** 31)), i64Vector(graph, axes), all(-1)]);
      return graph.node("Conv", [x, turned], { strides: stride, pads: border, dilations: dilation, group: 1 });
    }
    const least = transposedSizes(input, kernel, attributes);
    const outputPadding = attributes.sizes.map((size, i) => (size as number) - least[i]);
    const y = graph.node("ConvTranspose", [x, weight], { ...onnxWindow(attributes), output_padding: outputPadding });
    if (input.length > 2) graph.keepOnCpu(); // WebGPU has it in one and two dimensions
    return y;
  },
  reference: ({ x, weight }, attributes, [type]) => {
    const out = hostTensor(type.shape);
    forEachProduct(out.shape, weight.shape, x.shape, attributes, (i, j, k) => {
      out.data[i] += x.data[k] * weight.data[j];
    });
    return out;
  },
});

/** The gradient of conv's weight: x [N, C, ...] and the output's gradient [N, O, ...] -> [O, C / groups, ...kernel]. */
const weightGradientEntry: OpEntry = defineOp<"x" | "upstream", WeightGradientAttributes>({
  name: "convWeightGradient",
  batch: "oneByOne",
  precision: "low",
  inputs: ["x", "upstream"],
  infer: ({ x, upstream }, { kernel, groups }) => ({
    dtype: x.dtype,
    shape: [upstream.shape[1], (x.shape[1] as number) / groups, ...kernel],
  }),
  gradient: ({ x, upstream, dy }, attributes) => ({
    x: apply(convTransposeEntry, [upstream, dy], { ...windowAttributes(attributes), sizes: spatial(x) }),
    upstream: apply(convEntry, [x, dy], windowAttributes(attributes)),
  }),
  lower: (graph, { x, upstream }, attributes, node) => {
    const [[batch, , ...from], [, , ...to]] = node.inputs.map(({ shape }) =>
      requireStatic("convWeightGradient", shape),
    );
    const sizes = [batch, from as [number, number], to as [number, number]] as const;
    const blocked = weightGradientInBlocks(
      graph,
      [x, upstream],
      blockedOperands(node.outputs[0], attributes),
      attributes,
      sizes,
    );
    if (blocked) return blocked;
    return attributes.groups === 1 && !graph.isWebGpu
      ? weightGradientByProduct(graph, x, upstream, attributes, node)
      : weightGradientByConv(graph, x, upstream, attributes, node);
  },
  reference: ({ x, upstream }, attributes, [type]) => {
    const out = hostTensor(type.shape);
    forEachProduct(x.shape, out.shape, upstream.shape, attributes, (i, j, k) => {
      out.data[j] += x.data[i] * upstream.data[k];
    });
    return out;
  },
});

/** [C] as [C, 1, 1, ...], to be added to [N, C, ...]. */
const perChannel = (bias: Value, rank: number) => reshape(bias, [-1, ...new Array<number>(rank).fill(1)]);

/**
 * Convolution (as in deep learning: cross-correlation) over any number of spatial axes.
 * x: [N, C, ...sizes], weight: [O, C / groups, ...kernel], bias: [O] -> [N, O, ...counts].
 * @throws ShapeError when channels, groups or sizes do not fit
 */
export function conv(x: Value, weight: Value, bias?: Value, options: ConvOptions = {}): Value {
  const attributes = windowOf("conv", Math.max(0, x.shape.length - 2), options);
  return bias ? apply(convBiasEntry, [x, weight, bias], attributes) : apply(convEntry, [x, weight], attributes);
}

/**
 * Transposed convolution: each element of x adds its multiple of the weight to a window of the result.
 * x: [N, C, ...sizes], weight: [C, O / groups, ...kernel], bias: [O] -> [N, O, ...].
 */
export function convTranspose(
  x: Value,
  weight: Value,
  bias?: Value,
  { outputPadding = 0, ...options }: ConvTransposeOptions = {},
): Value {
  const rank = Math.max(0, x.shape.length - 2);
  const attributes = windowOf("convTranspose", rank, options);
  checkOperands("convTranspose", x, weight);
  const extra = perAxis("convTranspose", "outputPadding", outputPadding, rank, 0);
  if (extra.some((n, i) => n >= attributes.stride[i])) {
    throw new ShapeError({
      where: "convTranspose",
      expected: "an outputPadding smaller than the stride",
      received: `${extra} for ${attributes.stride}`,
      fix: "use less",
    });
  }
  const [input, kernel] = [x, weight].map((operand) => requireStatic("convTranspose", spatial(operand)));
  const sizes = transposedSizes(input, kernel, attributes).map((size, i) => size + extra[i]);
  const y = apply(convTransposeEntry, [x, weight], { ...attributes, sizes });
  return bias ? add(y, perChannel(bias, rank)) : y;
}
