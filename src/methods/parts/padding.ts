/** Rows of different lengths as tensors: padding is at the right. */
import { type Tensor, tensor } from "../../tensor/index.ts";

/** Lengths are multiples of this part of the longest: each length is compiled for itself. */
const LENGTHS = 8;
const LEAST_MULTIPLE = 16;

/** The length that rows, none of more than `most`, are padded to: one of few. */
export function paddedWidth(rows: readonly { readonly length: number }[], most: number, lengths = LENGTHS): number {
  const multiple = Math.max(LEAST_MULTIPLE, Math.ceil(most / lengths));
  const longest = Math.max(...rows.map(({ length }) => length));
  return Math.min(most, Math.ceil(longest / multiple) * multiple);
}

/** Rows of one length, i32 [B, T], with padding at the right. */
export function paddedIds(rows: readonly ArrayLike<number>[], width: number, padding: number): Tensor<"i32"> {
  const ids = new Int32Array(rows.length * width).fill(padding);
  for (const [row, tokens] of rows.entries()) ids.set(tokens, row * width);
  return tensor(ids, { shape: [rows.length, width] });
}

/** Which places of padded rows have a token, bool [B, T]. */
export function paddedMask(rows: readonly ArrayLike<number>[], width: number): Tensor<"bool"> {
  const mask = new Uint8Array(rows.length * width);
  for (const [row, { length }] of rows.entries()) mask.fill(1, row * width, row * width + length);
  return tensor(mask, { dtype: "bool", shape: [rows.length, width] });
}
