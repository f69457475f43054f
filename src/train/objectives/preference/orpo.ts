import {
  exp,
  expm1,
  greater,
  log,
  log1p,
  logSigmoid,
  mean,
  mul,
  neg,
  sub,
  type Tensor,
  where,
} from "../../../tensor/index.ts";
import { type PairLoss, scaled } from "./pair-loss.ts";

/** log(1 - e^x) for x below 0, accurate at both ends. Maechler 2012, "Accurately computing log(1 - exp(-|a|))". */
function log1mExp(x: Tensor<"f32">): Tensor<"f32"> {
  return where(greater(x, -Math.LN2), log(neg(expm1(x))), log1p(neg(exp(x))));
}

/**
 * Odds ratio preference optimisation, the term of the preference: odds of the mean log probabilities. The likelihood of
 * the chosen texts is the other one. Hong et al. 2024, arXiv:2403.07691, equations 4 and 7.
 */
export const orpoLoss: PairLoss = ({ chosen, rejected }, { beta }) => {
  const odds = ({ mean: x }: { mean: Tensor<"f32"> }) => sub(x, log1mExp(x));
  const logOdds = sub(odds(chosen), odds(rejected));
  const ratio = logSigmoid(logOdds);
  return {
    losses: mul(ratio, -beta),
    rewards: scaled({ chosen: chosen.mean, rejected: rejected.mean }, beta),
    metrics: { logOddsRatio: mean(ratio), logOddsChosen: mean(logOdds) },
  };
};
