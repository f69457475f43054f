/** Numbers in 8 bits with scales and zero points. */
import { normalizeAxis, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, shapeOf } from "./context.ts";

import { matmul } from "./products.ts";

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

/** Operators on quantized numbers. */
export const quantization: Converters = {
  MatMulInteger: matmulInteger,
  DequantizeLinear: dequantize,
  QuantizeLinear: quantize,
  DynamicQuantizeLinear: dynamicQuantize,
};
