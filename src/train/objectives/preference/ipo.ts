import { div, maximum, square, sub } from "../../../tensor/index.ts";
import { logRatios, type PairLoss, scaled } from "./pair-loss.ts";

/**
 * Identity preference optimisation: the difference of the log ratios is to be 1 / (2 beta), not as large as can be. The
 * ratios are those of a token in the mean, as in the authors' experiments and in trl. Azar et al. 2023,
 * arXiv:2310.12036, equation 17.
 */
export const ipoLoss: PairLoss = (pairs, { beta }) => {
  const ratios = logRatios(pairs);
  const chosen = div(ratios.chosen, maximum(pairs.chosen.count, 1));
  const rejected = div(ratios.rejected, maximum(pairs.rejected.count, 1));
  return { losses: square(sub(sub(chosen, rejected), 1 / (2 * beta))), rewards: scaled(ratios, beta) };
};
