/** The loss of GRPO. */
import {
  add,
  clip,
  div,
  exp,
  greater,
  less,
  mean,
  minimum,
  mul,
  neg,
  reshape,
  sub,
  sum,
  type Tensor,
  tensor,
} from "../../tensor/index.ts";
import type { ObjectiveResult } from "../../train/index.ts";
import { maskedMean, maskedShare } from "./masked.ts";

type Numbers = Tensor<"f32">;

/** How the losses of tokens are put together. */
export type LossAggregation = "sequence-mean" | "token-mean" | "constant";

/** Tokens of completions under three policies, and what they are worth. */
export interface GrpoInputs {
  /** Log probabilities by the model as it is now. [N, C] */
  logprobs: Numbers;
  /** By the model that wrote them; its gradient is not taken. [N, C] */
  oldLogprobs: Numbers;
  /** By the reference; undefined where beta is 0. [N, C] */
  referenceLogprobs?: Numbers;
  /** How much better each completion is than the others of its group. [N] */
  advantages: Numbers;
  /** 1 for tokens that count. [N, C] */
  mask: Numbers;
}

/** Settings of the loss. */
export interface GrpoLossOptions {
  /** Weight of the divergence from the reference. */
  beta: number;
  /** How far below 1 ratios of probabilities count. */
  clipLow: number;
  /** How far above 1 they do: larger than `clipLow` in DAPO. */
  clipHigh: number;
  aggregation: LossAggregation;
  /** Most tokens of a completion: what `constant` divides by. */
  maxNewTokens: number;
}

/**
 * Group relative policy optimization, Shao et al. 2024, arXiv:2402.03300, equation 3, with the estimator k3 of the
 * divergence (Schulman 2020, "Approximating KL Divergence"). Means over the tokens of each completion and then over
 * completions are the paper's; over all tokens, DAPO's (Yu et al. 2025, arXiv:2503.14476, equation 8); `constant`
 * divides by what completions might have (Liu et al. 2025, "Dr. GRPO", arXiv:2503.20783).
 */
export function grpoLoss(
  { logprobs, oldLogprobs, referenceLogprobs, advantages, mask }: GrpoInputs,
  { beta, clipLow, clipHigh, aggregation, maxNewTokens }: GrpoLossOptions,
): Required<ObjectiveResult> {
  const worth = reshape(advantages, [-1, 1]); // [N, 1]
  const ratio = exp(mul(sub(logprobs, oldLogprobs), mask)); // [N, C], of padding 1: its own may overflow
  const clipped = clip(ratio, { min: 1 - clipLow, max: 1 + clipHigh });
  let losses = neg(minimum(mul(ratio, worth), mul(clipped, worth)));
  const metrics: Record<string, Numbers> = {};
  if (referenceLogprobs) {
    const difference = mul(sub(referenceLogprobs, logprobs), mask);
    const divergence = sub(sub(exp(difference), difference), 1); // k3, never below 0
    losses = add(losses, mul(divergence, beta));
    metrics.kl = maskedMean(divergence, mask);
  }
  const low = maskedShare([less(ratio, 1 - clipLow), less(worth, 0)], mask);
  const high = maskedShare([greater(ratio, 1 + clipHigh), greater(worth, 0)], mask);
  metrics.clipShare = add(low, high);
  return { ...aggregated(losses, mask, { aggregation, maxNewTokens }), metrics };
}

/** One number of the losses of tokens, and of how many things it is the mean. */
function aggregated(
  losses: Numbers,
  mask: Numbers,
  { aggregation, maxNewTokens }: Pick<GrpoLossOptions, "aggregation" | "maxNewTokens">,
): { loss: Numbers; weight: Numbers } {
  const count = mask.size(0); // N
  if (aggregation === "token-mean") return { loss: maskedMean(losses, mask), weight: sum(mask) };
  const sums = sum(mul(losses, mask), { axes: 1 }); // [N]
  const weight = tensor(count);
  if (aggregation === "constant") return { loss: div(sum(sums), count * maxNewTokens), weight };
  return { loss: mean(div(sums, clip(sum(mask, { axes: 1 }), { min: 1 }))), weight };
}
