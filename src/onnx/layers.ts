/** Products, convolutions, pooling, normalisation, resizing, quantized numbers. */
import { isFloat } from "../base/index.ts";
import { normalizeAxis, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import type { Converter, Converters, OnnxNode } from "./context.ts";

const shapeOf = (x: Value) => x.shape as readonly number[];

/** Vectors get a second axis for the product and lose it again, as in numpy. */
function matmul(a: Value, b: Value): Value {
  const [left, right] = [
    a.shape.length === 1 ? ops.unsqueeze(a, 0) : a,
    b.shape.length === 1 ? ops.unsqueeze(b, 1) : b,
  ];
  const product = ops.matmul(left, right);
  const squeezed = b.shape.length === 1 ? ops.squeeze(product, -1) : product;
  return a.shape.length === 1 ? ops.squeeze(squeezed, b.shape.length === 1 ? -1 : -2) : squeezed;
}

const gemm: Converter = (node) => {
  const [a, b, c] = [node.input(0), node.input(1), node.inputs[2]];
  const product = ops.matmul(a, b, {
    transposeA: node.flag("transA"),
    transposeB: node.flag("transB"),
    scale: node.float("alpha", 1),
  });
  return c ? ops.add(product, ops.mul(c, node.float("beta", 1))) : product;
};

/**
 * Integer products are exact in f32 up to 2^24; the sum of 8-bit products stays below that for 256 terms of each sign.
 */
const matmulInteger: Converter = (node) => {
  const centred = (index: number) => {
    const [x, zero] = [ops.cast(node.input(index), "f32"), node.inputs[index + 2]];
    if (!zero) return x;
    const z = ops.cast(zero, "f32");
    return ops.sub(x, index === 0 && z.shape.length === 1 ? ops.unsqueeze(z, 1) : z);
  };
  return ops.cast(matmul(centred(0), centred(1)), "i32");
};

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

/** 8-bit numbers with a scale for all, for each size of an axis, or for blocks. */
const dequantize: Converter = (node) => {
  const [x, scale, zero] = [node.input(0), node.input(1), node.inputs[2]];
  const axis = scale.shape.length === 0 ? 0 : normalizeAxis(node.name, node.int("axis", 1), x.shape.length);
  const spread = (value: Value) => {
    if (value.shape.length === x.shape.length && value.shape.length > 1) {
      return ops.slice(ops.repeatInterleave(value, node.int("block_size", 1), axis), { axis, end: shapeOf(x)[axis] });
    }
    return value.shape.length === 1 && x.shape.length > 0
      ? ops.reshape(value, [-1, ...x.shape.slice(axis + 1).map(() => 1)])
      : value;
  };
  const centred = zero
    ? ops.sub(ops.cast(x, scale.dtype), spread(ops.cast(zero, scale.dtype)))
    : ops.cast(x, scale.dtype);
  return ops.mul(centred, spread(scale));
};

const quantize: Converter = (node) => {
  const [x, scale, zero] = [node.input(0), node.input(1), node.inputs[2]];
  const dtype = zero?.dtype ?? "u8";
  if (dtype !== "u8" && dtype !== "i8") throw node.fail("8-bit integers", dtype);
  if (scale.shape.length > 1) {
    const axis = normalizeAxis(node.name, node.int("axis", 1), x.shape.length);
    const blocks = (value: Value) =>
      ops.slice(ops.repeatInterleave(value, node.int("block_size", 1), axis), { axis, end: shapeOf(x)[axis] });
    const steps = ops.round(ops.div(x, blocks(scale)));
    const [min, max] = dtype === "u8" ? [0, 255] : [-128, 127];
    return ops.cast(ops.clip(zero ? ops.add(steps, blocks(ops.cast(zero, x.dtype))) : steps, { min, max }), dtype);
  }
  const single = scale.shape.length === 1 && scale.shape[0] === 1 && shapeOf(x)[0] !== 1;
  const [s, z] = [scale, zero ?? ops.broadcastTo(ops.scalar(0, dtype), scale.shape)].map((value) =>
    single ? ops.reshape(value, []) : value,
  );
  return ops.quantizeLinear(x, {
    scale: s,
    zeroPoint: z,
    axis: s.shape.length === 0 ? undefined : node.int("axis", 1),
    dtype,
  });
};

/** Scale and zero point of the whole tensor, from its smallest and largest number. */
const dynamicQuantize: Converter = (node) => {
  const x = node.input(0);
  const [low, high] = [ops.minimum(ops.min(x), 0), ops.maximum(ops.max(x), 0)];
  const scale = ops.div(ops.sub(high, low), 255);
  const zero = ops.cast(ops.clip(ops.round(ops.div(ops.neg(low), scale)), { min: 0, max: 255 }), "u8");
  return [ops.quantizeLinear(x, { scale, zeroPoint: zero, dtype: "u8" }), scale, zero];
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

const dropout: Converter = (node) => {
  if (node.constant(2)?.[0]) throw node.fail("inference", "training_mode");
  const x = node.input(0);
  return [x, ops.broadcastTo(ops.scalar(1, "bool"), x.shape)];
};

const skipLayerNormalization: Converter = (node) => {
  const [x, skip, scale, shift, bias] = [node.input(0), node.input(1), node.input(2), node.inputs[3], node.inputs[4]];
  const sum = bias ? ops.add(ops.add(x, skip), bias) : ops.add(x, skip);
  const zeros = ops.broadcastTo(ops.scalar(0, x.dtype), scale.shape);
  return ops.layerNorm(sum, scale, shift ?? zeros, node.float("epsilon", 1e-12));
};

/**
 * Heads that turn by angles from a table: x is [B, H, T, Dh] or [B, T, H Dh]. ONNX gives the positions last, and none
 * where the table has a row for each; ONNX Runtime's own operator gives them second, or where the first is.
 */
const rotaryEmbedding: Converter = (node) => {
  const isOwn = node.proto.domain === "com.microsoft";
  const x = node.input(0);
  const [cos, sin, positions] = isOwn
    ? [node.input(2), node.input(3), node.input(1)]
    : [node.input(1), node.input(2), node.inputs[3]];
  if (node.flag("is_packed_batching") || node.float("scale", 1) !== 1)
    throw node.fail("one row for each text, not scaled", "is_packed_batching or scale");
  const isSideBySide = x.shape.length === 3;
  const length = x.shape[isSideBySide ? 1 : 2];
  const given = node.int("rotary_embedding_dim", 0);
  const places =
    positions && positions.shape.length === 1
      ? ops.add(ops.cast(ops.arange(length), positions.dtype), positions)
      : positions;
  const anglesOf = (table: Value) => {
    // [B, T, R / 2]
    const rows = places ? ops.gather(table, places.shape.length === 1 ? ops.unsqueeze(places, 0) : places, 0) : table;
    return ops.unsqueeze(given > 0 ? ops.slice(rows, { axis: -1, end: given / 2 }) : rows, 2);
  };
  const options = { interleaved: node.flag("interleaved") };
  if (!isSideBySide) {
    const byPosition = ops.transpose(x, [0, 2, 1, 3]);
    return ops.transpose(ops.rotaryEmbedding(byPosition, anglesOf(cos), anglesOf(sin), options), [0, 2, 1, 3]);
  }
  const [batch, , width] = x.shape;
  const heads = node.int("num_heads", 0) || (width as number) / (2 * (shapeOf(cos)[cos.shape.length - 1] as number));
  const byHead = ops.reshape(x, [batch, length, heads, (width as number) / heads]);
  return ops.reshape(ops.rotaryEmbedding(byHead, anglesOf(cos), anglesOf(sin), options), x.shape);
};

export const layers: Converters = {
  MatMul: (node) => matmul(node.input(0), node.input(1)),
  FusedMatMul: (node) =>
    ops.matmul(node.input(0), node.input(1), {
      transposeA: node.flag("transA"),
      transposeB: node.flag("transB"),
      scale: node.float("alpha", 1),
    }),
  Gemm: gemm,
  MatMulInteger: matmulInteger,
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool("maxPool"),
  AveragePool: pool("averagePool"),
  GlobalAveragePool: (node) => ops.globalAveragePool(node.input(0)),
  GlobalMaxPool: (node) => ops.globalMaxPool(node.input(0)),
  Einsum: (node) => ops.einsum(node.text("equation", ""), ...node.given),
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  GroupNormalization: groupNormalization,
  SkipLayerNormalization: skipLayerNormalization,
  RotaryEmbedding: rotaryEmbedding,
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
  Dropout: dropout,
  Resize: resize,
  Upsample: resize,
  GridSample: gridSample,
  DequantizeLinear: dequantize,
  QuantizeLinear: quantize,
  DynamicQuantizeLinear: dynamicQuantize,
  Det: (node) => ops.determinant(node.input(0)),
};
