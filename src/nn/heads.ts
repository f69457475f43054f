/** Heads of attention beside one another, or each for itself. */
import { reshape, type Tensor, transpose } from "../tensor/index.ts";

/** Heads beside one another become an axis of their own. x: [B, T, H * Dh] -> [B, H, T, Dh] */
export function splitHeads(x: Tensor<"f32">, numHeads: number): Tensor<"f32"> {
  const [batch, length] = x.shape;
  return transpose(reshape(x, [batch, length, numHeads, x.size(2) / numHeads]), [0, 2, 1, 3]);
}

/** Heads are put beside one another, the reverse of `splitHeads`. x: [B, H, T, Dh] -> [B, T, H * Dh] */
export function mergeHeads(x: Tensor<"f32">): Tensor<"f32"> {
  const [batch, , length] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, length, x.size(1) * x.size(3)]);
}
