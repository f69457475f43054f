import { type FloatDType, known, numberRules, requireNumbers } from "../base/index.ts";
import { concat, less, logSumExp, mul, reshape, sub, type Tensor, where, zeros } from "../tensor/index.ts";
import { requireSame } from "./reduction.ts";

/** How sharply pairs are told apart. */
export interface CosentOptions {
  /** Cosines are multiplied by it, above 0. @default 20 */
  scale?: number;
}

/** Instead of a difference that does not count: its exponential is 0, and it has a place in 16 bits. */
const ABSENT = -1e4;

/**
 * CoSENT: log(1 + the sum of exp(scale (a - b))) over all pairs of rows whose cosines are a and b and of which the
 * second has the higher score: cosines shall be in the order of the scores. cosines and scores: [N] -> []. Su 2022,
 * https://kexue.fm/archives/8847; Huang et al. 2024, https://doi.org/10.1109/TASLP.2024.3402087.
 * @throws OptionError for scale not above 0
 */
export function cosentLoss<D extends FloatDType>(
  cosines: Tensor<D>,
  scores: Tensor<NoInfer<D>>,
  options: CosentOptions = {},
): Tensor<D> {
  const { scale = 20 } = known("cosentLoss", options, { scale: true });
  requireNumbers("cosentLoss", { scale }, { scale: numberRules.positive });
  requireSame("cosentLoss", { cosines, scores });
  const scaled = mul(cosines, scale);
  const differences = sub(reshape(scaled, [-1, 1]), reshape(scaled, [1, -1])); // [N, N]
  const isOrdered = less(reshape(scores, [-1, 1]), reshape(scores, [1, -1]));
  const counted = reshape(where(isOrdered, differences, ABSENT), [-1]);
  return logSumExp(concat([zeros([1], cosines.dtype) as Tensor<D>, counted], 0));
}
