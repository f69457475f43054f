/** What goes over its input window by window, or place by place: convolutions, pooling, resizing. */
import { isFloat } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, type OnnxNode, shapeOf } from "./context.ts";

/** Pairs of padding for each spatial axis, worked out when the file asks for the same size. */
function padsOf(
  node: OnnxNode,
  sizes: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): ops.Padding {
  const mode = node.text("auto_pad", "NOTSET");
  const rank = sizes.length;
  if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
    return sizes.map((size, i) => {
      const total = Math.max(
        0,
        (Math.ceil(size / strides[i]) - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - size,
      );
      const [small, large] = [Math.floor(total / 2), Math.ceil(total / 2)];
      return mode === "SAME_UPPER" ? ([small, large] as const) : ([large, small] as const);
    });
  }
  const pads = mode === "VALID" ? undefined : node.ints("pads", undefined);
  return sizes.map((_, i) => [pads?.[i] ?? 0, pads?.[i + rank] ?? 0] as const);
}

function windowOf(node: OnnxNode, x: Value, kernel: readonly number[]) {
  const sizes = shapeOf(x).slice(2);
  const stride = node.ints("strides", undefined) ?? sizes.map(() => 1);
  const dilation = node.ints("dilations", undefined) ?? sizes.map(() => 1);
  return { stride, dilation, padding: padsOf(node, sizes, kernel, stride, dilation) };
}

const conv: Converter = (node) => {
  const [x, weight] = [node.input(0), node.input(1)];
  return ops.conv(x, weight, node.inputs[2], {
    ...windowOf(node, x, shapeOf(weight).slice(2)),
    groups: node.int("group", 1),
  });
};

const convTranspose: Converter = (node) => {
  const [x, weight, bias] = [node.input(0), node.input(1), node.inputs[2]];
  const [sizes, kernel] = [shapeOf(x).slice(2), shapeOf(weight).slice(2)];
  const stride = node.ints("strides", undefined) ?? sizes.map(() => 1);
  const dilation = node.ints("dilations", undefined) ?? sizes.map(() => 1);
  const outputPadding = node.ints("output_padding", undefined) ?? sizes.map(() => 0);
  const full = sizes.map((size, i) => stride[i] * (size - 1) + dilation[i] * (kernel[i] - 1) + 1 + outputPadding[i]);
  const mode = node.text("auto_pad", "NOTSET");
  const target =
    node.ints("output_shape", undefined) ??
    (mode.startsWith("SAME") ? sizes.map((size, i) => size * stride[i]) : undefined);
  const pads = node.ints("pads", undefined);
  // what is cut away at each side of the full result
  const cut = sizes.map((_, i) => {
    if (!target) return [pads?.[i] ?? 0, pads?.[i + sizes.length] ?? 0];
    const total = full[i] - target[i];
    if (total < 0) return [0, total];
    return mode !== "SAME_UPPER"
      ? [Math.ceil(total / 2), Math.floor(total / 2)]
      : [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  const plain = sizes.map((_, i) => [Math.max(0, Math.min(cut[i][0], full[i])), 0]);
  // output padding and uneven cuts: the whole result is made and then cut or padded
  const whole = ops.convTranspose(x, weight, undefined, { stride, dilation, groups: node.int("group", 1) });
  const y = sizes.reduce((rest, _, i) => {
    const size = shapeOf(rest)[i + 2];
    const [start, end] = [plain[i][0], full[i] - cut[i][1]];
    const part = ops.slice(rest, { axis: i + 2, start: Math.max(0, start), end: Math.min(size, end) });
    const [before, after] = [Math.max(0, -cut[i][0]), Math.max(0, end - size)];
    return before + after > 0
      ? ops.pad(
          part,
          shapeOf(part).map((_, axis) => (axis === i + 2 ? ([before, after] as const) : ([0, 0] as const))),
        )
      : part;
  }, whole);
  return bias ? ops.add(y, ops.reshape(bias, [-1, ...sizes.map(() => 1)])) : y;
};

const pool =
  (op: "maxPool" | "averagePool"): Converter =>
  (node) => {
    const x = node.input(0);
    const kernelSize = node.ints("kernel_shape", []);
    node.within(
      "onnxParts",
      kernelSize.reduce((a, b) => a * b, 1),
      "places in a window",
    );
    const { stride, dilation, padding } = windowOf(node, x, kernelSize);
    const ceilMode = node.flag("ceil_mode");
    if (op === "maxPool") {
      if (node.flag("storage_order")) throw node.fail("positions counted along rows", "storage_order");
      const { values, positions } = ops.maxPoolWithPositions(isFloat(x.dtype) ? x : ops.cast(x, "f32"), {
        kernelSize,
        stride,
        dilation,
        padding,
        ceilMode,
      });
      return [ops.cast(values, x.dtype), positions];
    }
    if (dilation.some((d) => d !== 1)) throw node.fail("an average without dilation", `${dilation}`);
    return ops.averagePool(x, {
      kernelSize,
      stride,
      padding,
      ceilMode,
      countIncludePad: node.flag("count_include_pad"),
    });
  };

const resize: Converter = (node) => {
  const x = node.input(0);
  const isOld = node.opset < 11;
  const scales = node.constant(isOld ? 1 : 2);
  const sizes = isOld ? undefined : node.constant(3);
  const axes = node.ints("axes", undefined) ?? x.shape.map((_, i) => i);
  const whole = (list: number[], fill: (axis: number) => number) =>
    x.shape.map((_, axis) => list[axes.indexOf(axis)] ?? fill(axis));
  const mode = node.text("mode", "nearest");
  const place = node.text("coordinate_transformation_mode", isOld ? "asymmetric" : "half_pixel");
  if (place === "tf_crop_and_resize") throw node.fail("plain resizing", place);
  const policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (sizes?.length && policy !== "stretch") {
    const ratios = sizes.map((size, i) => size / shapeOf(x)[axes[i]]);
    const ratio = policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
    sizes.splice(0, sizes.length, ...axes.map((axis) => Math.floor(shapeOf(x)[axis] * ratio + 0.5)));
  }
  return ops.resampleAxes(x, {
    sizes: sizes?.length ? whole(sizes, (axis) => shapeOf(x)[axis]) : undefined,
    scales: scales?.length ? whole(scales, () => 1) : undefined,
    mode: mode as "nearest" | "linear" | "cubic",
    place,
    nearest: node.text("nearest_mode", isOld ? "floor" : "round_prefer_floor"),
    cubicCoefficient: node.float("cubic_coeff_a", -0.75),
    antialias: node.flag("antialias"),
    excludeOutside: node.flag("exclude_outside"),
  });
};

const gridSample: Converter = (node) => {
  const mode = { linear: "bilinear", bilinear: "bilinear", nearest: "nearest", cubic: "bicubic", bicubic: "bicubic" }[
    node.text("mode", "linear")
  ];
  const paddingMode = node.text("padding_mode", "zeros") as "zeros";
  return ops.gridSample(node.input(0), node.input(1), {
    mode: mode as "bilinear",
    paddingMode,
    alignCorners: node.flag("align_corners"),
  });
};

/** Operators whose outputs are each made from a neighbourhood of the input. */
export const windows: Converters = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool("maxPool"),
  AveragePool: pool("averagePool"),
  GlobalAveragePool: (node) => ops.globalAveragePool(node.input(0)),
  GlobalMaxPool: (node) => ops.globalMaxPool(node.input(0)),
  Resize: resize,
  Upsample: resize,
  GridSample: gridSample,
};
