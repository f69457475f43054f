import type { FloatDType } from "../base/index.ts";
import { sizeOf } from "../ir/index.ts";
import {
  cast,
  concat,
  floor,
  full,
  less,
  mul,
  type RandomKey,
  reshape,
  sub,
  type Tensor,
  uniform,
  where,
} from "../tensor/index.ts";
import { requireProbability } from "./sizes.ts";

/** Of a random number of 24 bits, the lower half makes a second one, in steps of 1 / 4096. */
const HALF = 2 ** 12;
/** Of fewer numbers none is worth being shared. */
const LEAST_SHARED = 2 ** 12;

/**
 * Sets elements to 0 with the given probability and scales the rest so that the mean stays. x: [...] -> the same shape.
 * Without a key, or at probability 0, it does nothing: that is how evaluation calls it; at 1 all are 0. Of large
 * tensors each random number decides over two elements, so that the second half is kept with a probability that is
 * rounded up to 1 / 4096. Srivastava et al. 2014.
 * @throws OptionError for a probability that is not from 0 to 1
 */
export function dropout<D extends FloatDType>(
  x: Tensor<D>,
  probability: number,
  key: RandomKey | undefined,
): Tensor<D> {
  requireProbability("dropout", probability);
  if (key === undefined || probability === 0) return x;
  if (probability === 1) return where(full([], 0, "bool"), x, 0) as Tensor<D>;
  const kept = 1 - probability;
  const factors = mul(cast(less(numbersFor(x.shape, key), kept), x.dtype), 1 / kept); // 0 or more than 1
  return mul(x, factors) as Tensor<D>;
}

/** Uniform numbers in [0, 1): to draw them takes much longer than all else that dropout does. */
function numbersFor(shape: Tensor["shape"], key: RandomKey): Tensor<"f32"> {
  const count = sizeOf(shape);
  if (typeof count !== "number" || count < LEAST_SHARED || count % 2 !== 0) return uniform(key, shape);
  const first = uniform(key, [count / 2]);
  const lower = mul(first, HALF);
  return reshape(concat([first, sub(lower, floor(lower))], 0), shape);
}
