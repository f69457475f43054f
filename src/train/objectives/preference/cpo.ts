import { sub } from "../../../tensor/index.ts";
import { smoothedLoss } from "./dpo.ts";
import { type PairLoss, scaled } from "./pair-loss.ts";

/**
 * Contrastive preference optimisation: DPO with a reference that takes all to be equally likely. Its second term, the
 * likelihood of the chosen completions, is `nllWeight`. Xu et al. 2024, arXiv:2401.08417, section 3.
 */
export const cpoLoss: PairLoss = ({ chosen, rejected }, { beta, labelSmoothing }) => {
  const rewards = scaled({ chosen: chosen.sum, rejected: rejected.sum }, beta);
  return { losses: smoothedLoss(sub(rewards.chosen, rewards.rejected), labelSmoothing), rewards };
};
