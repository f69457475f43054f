import { isStatic, sizeOf } from "../ir/index.ts";
import { gelu, lowerGeluTanhSlope, SLICE_ELEMENTS } from "./activation.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";
import { type BlockAttributes, blockMatmul, lowerBlockMatmul } from "./quantize.ts";

/** Ops that stand for several others. Only the passes of lower/ make them, after gradients have been taken. */
const MADE_AFTER_GRADIENTS = notDifferentiable("is made by passes that run after gradients are taken");

const plusBias = (x: HostTensor, bias: HostTensor) =>
  hostTensor(
    x.shape,
    x.data.map((v, i) => v + bias.data[i % bias.data.length]),
  );

/** GELU's tanh form of x + bias. x: f32 [..., F], bias: [F]. */
export const biasedGeluEntry: OpEntry = defineOp({
  name: "biasedGelu",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "bias"],
  infer: ({ x }) => x,
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, bias }) => graph.node("FastGelu", [x, bias], {}, "com.microsoft"),
  reference: ({ x, bias }, _, types) => gelu.entry.reference([plusBias(x, bias)], { approximate: "tanh" }, types)[0],
});

/** upstream times the slope of GELU's tanh form at x + bias. x, upstream: f32 [..., F], bias: [F]. */
export const biasedGeluGradientEntry: OpEntry = defineOp({
  name: "biasedGeluGradient",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "bias", "upstream"],
  infer: ({ x }) => x,
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, bias, upstream }, _, node) => {
    const { dtype, shape } = node.inputs[0];
    const slope = ([x, dy]: readonly string[]) => lowerGeluTanhSlope(graph, dtype, graph.node("Add", [x, bias]), dy);
    const slices = isStatic(shape) && !graph.isWebGpu ? slicesOfRows(shape) : 1;
    if (slices < 2) return slope([x, upstream]);
    const features = shape[shape.length - 1] as number;
    const cut = [x, upstream].map((name) =>
      graph.node("Reshape", [name, graph.sizes([slices, (sizeOf(shape) as number) / features / slices, features])]),
    );
    return graph.node("Reshape", [graph.scan(cut, dtype, slope), graph.sizes(shape)]);
  },
  reference: ({ x, bias, upstream }, _, types) =>
    gelu.tanhGradientEntry.reference([plusBias(x, bias), upstream], {}, types)[0],
});

/**
 * blockMatmul of one row x, with a row added to it that may be computed. addend: f32 [N]; the other inputs are those of
 * blockMatmul.
 */
export const blockMatmulPlusEntry: OpEntry = defineOp<
  "x" | "packed" | "scales" | "zeroPoints" | "addend",
  BlockAttributes
>({
  name: "blockMatmulPlus",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["x", "packed", "scales", "zeroPoints", "addend"],
  infer: ({ x }, { features }) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), features] }),
  gradient: MADE_AFTER_GRADIENTS,
  lower: (graph, { x, packed, scales, zeroPoints, addend }, attributes, node) => {
    const operands = [x, packed, scales, zeroPoints];
    // input 4 is an order of the columns, which there is none of
    if (!graph.isWebGpu) return lowerBlockMatmul(graph, [...operands, "", addend], attributes, node);
    return graph.node("Add", [lowerBlockMatmul(graph, operands, attributes, node), addend]);
  },
  reference: ({ x, packed, scales, zeroPoints, addend }, attributes, types) => {
    const [product] = blockMatmul.entry.reference([x, packed, scales, zeroPoints], attributes, types);
    return plusBias(product, addend);
  },
});

/**
 * Into how many equal slices of whole rows a tensor is cut: the fewest that are small enough, 1 when there are none.
 */
function slicesOfRows(shape: readonly number[]): number {
  const features = shape[shape.length - 1];
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  for (let slices = Math.max(1, Math.round((rows * features) / SLICE_ELEMENTS)); slices <= rows; slices++)
    if (rows % slices === 0) return slices;
  return 1;
}
