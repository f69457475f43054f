/** Heads of attention beside one another, or each for itself. */
import { OptionError, ShapeError } from "../base/index.ts";
import { describe } from "../ir/index.ts";
import { reshape, type Tensor, transpose } from "../tensor/index.ts";

/**
 * Width of a head, Dh. x: [B, T, H * Dh]
 * @throws ShapeError when the width of x is no multiple of the number of heads
 */
export function headWidth(x: Tensor, numHeads: number): number {
  const width = x.size(2);
  if (Number.isInteger(numHeads) && numHeads > 0 && width % numHeads === 0) return width / numHeads;
  throw new ShapeError({
    where: "attention heads",
    expected: `a width that is a multiple of the number of heads, ${numHeads}`,
    received: describe(x.ir),
    fix: "choose a number of heads that divides the width",
  });
}

/** @throws OptionError when so many heads do not divide hiddenSize */
export function requireHeads(where: string, { hiddenSize, numHeads }: { hiddenSize: number; numHeads: number }): void {
  if (Number.isInteger(numHeads) && numHeads > 0 && hiddenSize % numHeads === 0) return;
  throw new OptionError({
    where,
    expected: "a hiddenSize that is a multiple of numHeads",
    received: `hiddenSize ${hiddenSize}, numHeads ${numHeads}`,
    fix: "choose a number of heads that divides the width",
  });
}

/**
 * Heads beside one another become an axis of their own. x: [B, T, H * Dh] -> [B, H, T, Dh]
 * @throws ShapeError when the width of x is no multiple of the number of heads
 */
export function splitHeads(x: Tensor<"f32">, numHeads: number): Tensor<"f32"> {
  const [batch, length] = x.shape;
  return transpose(reshape(x, [batch, length, numHeads, headWidth(x, numHeads)]), [0, 2, 1, 3]);
}

/** Heads are put beside one another, the reverse of `splitHeads`. x: [B, H, T, Dh] -> [B, T, H * Dh] */
export function mergeHeads(x: Tensor<"f32">): Tensor<"f32"> {
  const [batch, , length] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, length, x.size(1) * x.size(3)]);
}
