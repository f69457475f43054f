/** The loss of PPO. */
import {
  add,
  clip,
  exp,
  greater,
  maximum,
  mul,
  neg,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
} from "../../tensor/index.ts";
import type { ObjectiveResult } from "../../train/index.ts";
import { maskedMean, maskedShare } from "./masked.ts";

type Numbers = Tensor<"f32">;

/** Tokens of completions and what they are worth, [N, C] each. */
export interface PpoInputs {
  /** Log probabilities by the model as it is now. */
  logprobs: Numbers;
  /** Values by the head as it is now. */
  values: Numbers;
  entropies: Numbers;
  /** By the model that wrote them. */
  oldLogprobs: Numbers;
  oldValues: Numbers;
  advantages: Numbers;
  /** What values are to tell. */
  returns: Numbers;
  /** 1 for tokens that count. */
  mask: Numbers;
}

/** Settings of the loss. */
export interface PpoLossOptions {
  /** How far from 1 ratios of probabilities count. */
  clip: number;
  /** How far values move from the old ones in a rollout. */
  valueClip: number;
  valueCoefficient: number;
  entropyCoefficient: number;
}

/**
 * Proximal policy optimization, Schulman et al. 2017, arXiv:1707.06347, equations 7 and 9: the clipped objective, half
 * the squared error of the values, clipped too, and a bonus for entropy. Means over all tokens.
 */
export function ppoLoss(
  { logprobs, values, entropies, oldLogprobs, oldValues, advantages, returns, mask }: PpoInputs,
  { clip: range, valueClip, valueCoefficient, entropyCoefficient }: PpoLossOptions,
): Required<ObjectiveResult> {
  const logRatio = mul(sub(logprobs, oldLogprobs), mask); // padding is 0, for e to its difference may overflow
  const ratio = exp(logRatio);
  const plain = neg(mul(ratio, advantages));
  const clipped = neg(mul(clip(ratio, { min: 1 - range, max: 1 + range }), advantages));
  const policyLoss = maskedMean(maximum(plain, clipped), mask);
  const near = add(oldValues, clip(sub(values, oldValues), { min: -valueClip, max: valueClip }));
  const errors = maximum(square(sub(values, returns)), square(sub(near, returns)));
  const valueLoss = mul(maskedMean(errors, mask), 0.5);
  const entropy = maskedMean(entropies, mask);
  const loss = sub(add(policyLoss, mul(valueLoss, valueCoefficient)), mul(entropy, entropyCoefficient));
  const metrics = {
    ...{ policyLoss, valueLoss },
    clipShare: maskedShare([greater(clipped, plain)], mask),
    updateKl: maskedMean(sub(sub(exp(logRatio), logRatio), tensor(1)), mask), // from the policy that wrote the texts
  };
  return { loss, weight: sum(mask), metrics };
}
