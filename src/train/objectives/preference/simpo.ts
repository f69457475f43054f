import { sub } from "../../../tensor/index.ts";
import { smoothedLoss } from "./dpo.ts";
import { type PairLoss, scaled } from "./pair-loss.ts";

/**
 * Simple preference optimisation: the reward is the mean log probability of a token, without a reference, and the
 * preferred completion is to be better by a margin. Meng et al. 2024, arXiv:2405.14734, equation 6.
 */
export const simpoLoss: PairLoss = ({ chosen, rejected }, { beta, margin, labelSmoothing }) => {
  const rewards = scaled({ chosen: chosen.mean, rejected: rejected.mean }, beta);
  return { losses: smoothedLoss(sub(sub(rewards.chosen, rewards.rejected), margin), labelSmoothing), rewards };
};
