/** Matrix products and what stands beside them in a layer. */
import type { Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, shapeOf } from "./context.ts";

/** Vectors get a second axis for the product and lose it again, as in numpy. */
export function matmul(a: Value, b: Value): Value {
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

const dropout: Converter = (node) => {
  if (node.constant(2)?.[0]) throw node.fail("inference", "training_mode");
  const x = node.input(0);
  return [x, ops.broadcastTo(ops.scalar(1, "bool"), x.shape)];
};

/**
 * Heads that turn by angles from a table: x is [B, H, T, Dh] or [B, T, H Dh]. ONNX gives the positions last, and none
 * where the table has a row for each; ONNX Runtime's operator of the same name gives them second, or where the first
 * is.
 */
const rotaryEmbedding: Converter = (node) => {
  const isMicrosofts = node.proto.domain === "com.microsoft";
  const x = node.input(0);
  const [cos, sin, positions] = isMicrosofts
    ? [node.input(2), node.input(3), node.input(1)]
    : [node.input(1), node.input(2), node.inputs[3]];
  if (node.flag("is_packed_batching") || node.float("scale", 1) !== 1)
    throw node.fail("one row for each text, not scaled", "is_packed_batching or scale");
  const isSideBySide = x.shape.length === 3;
  const length = x.shape[isSideBySide ? 1 : 2];
  const angles = node.int("rotary_embedding_dim", 0);
  const places =
    positions && positions.shape.length === 1
      ? ops.add(ops.cast(ops.arange(length), positions.dtype), positions)
      : positions;
  const anglesOf = (table: Value) => {
    // [B, T, R / 2]
    const rows = places ? ops.gather(table, places.shape.length === 1 ? ops.unsqueeze(places, 0) : places, 0) : table;
    return ops.unsqueeze(angles > 0 ? ops.slice(rows, { axis: -1, end: angles / 2 }) : rows, 2);
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

/** Products of matrices, and what attention does to their operands. */
export const products: Converters = {
  MatMul: (node) => matmul(node.input(0), node.input(1)),
  FusedMatMul: (node) =>
    ops.matmul(node.input(0), node.input(1), {
      transposeA: node.flag("transA"),
      transposeB: node.flag("transB"),
      scale: node.float("alpha", 1),
    }),
  Gemm: gemm,
  Einsum: (node) => ops.einsum(node.text("equation", ""), ...node.presentInputs),
  Det: (node) => ops.determinant(node.input(0)),
  RotaryEmbedding: rotaryEmbedding,
  Dropout: dropout,
};
