import { bernoulli, mul, type RandomKey, type Tensor, where } from "../tensor/index.ts";
import { requireProbability } from "./sizes.ts";

/**
 * Stochastic depth: in training a layer's contribution is left out for each example with a probability, and is larger
 * where it stays. Huang et al. 2016, arXiv:1603.09382, section 3. x: [B, ...] -> the same. Without a key, or at
 * probability 0, it does nothing.
 * @throws OptionError for a probability that is not from 0 to 1
 */
export function dropPath(x: Tensor<"f32">, probability: number, key: RandomKey | undefined): Tensor<"f32"> {
  requireProbability("dropPath", probability);
  if (key === undefined || probability === 0) return x;
  const isKept = bernoulli(key, [x.shape[0], ...x.shape.slice(1).map(() => 1)], 1 - probability);
  return mul(where(isKept, x, 0), probability === 1 ? 0 : 1 / (1 - probability));
}

/** The probability of each layer, by stages: from 0 for the first to all of it for the last. */
export function depthRates(rate: number, depths: readonly number[]): number[][] {
  const last = Math.max(1, depths.reduce((a, b) => a + b, 0) - 1);
  const before = (stage: number) => depths.slice(0, stage).reduce((a, b) => a + b, 0);
  return depths.map((depth, stage) => Array.from({ length: depth }, (_, i) => (rate * (before(stage) + i)) / last));
}
