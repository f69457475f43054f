import { describe, requireStatic, ShapeError, type Value } from "../ir/index.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { stack, unstack } from "./movement.ts";
import { concat, reshape, slice } from "./shape.ts";

export interface RotaryOptions {
  /** Pairs are neighbours (0, 1), (2, 3), ... as in GPT-J, and not (i, i + half) as in Llama. @default false */
  interleaved?: boolean;
}

/**
 * Rotary position embedding: pairs of features turn by an angle that grows with the position.
 * x: [B, H, T, Dh], cos and sin: [T, R / 2] or broadcastable to [B, H, T, R / 2]; the first R features are turned.
 * Su et al. 2021, arXiv:2104.09864, section 3.4.
 */
export function rotaryEmbedding(x: Value, cos: Value, sin: Value, { interleaved = false }: RotaryOptions = {}): Value {
  const [half, width] = requireStatic("rotaryEmbedding", [cos.shape[cos.shape.length - 1], x.shape[x.shape.length - 1]]);
  if (2 * half > width) {
    throw new ShapeError({ where: "rotaryEmbedding", expected: `at most ${width / 2} angles`, received: describe(cos), fix: "make them for this headDim" });
  }
  const turned = 2 * half === width ? x : slice(x, { axis: -1, end: 2 * half });
  const [a, b] = interleaved
    ? unstack(reshape(turned, [...turned.shape.slice(0, -1), half, 2]), -1)
    : [slice(turned, { axis: -1, end: half }), slice(turned, { axis: -1, start: half })];
  const pair = [sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))];
  const result = interleaved ? reshape(stack(pair, -1), turned.shape) : concat(pair, -1);
  return 2 * half === width ? result : concat([result, slice(x, { axis: -1, start: 2 * half })], -1);
}
