/** Direct preference optimisation and its relatives on the same margin. Rafailov et al. 2023, arXiv:2305.18290. */
import { add, div, logSigmoid, mul, neg, relu, sub, type Tensor } from "../../../tensor/index.ts";
import { logRatios, type PairLoss, type PairSettings, scaled } from "./pair-loss.ts";

type OfMargin = (margin: Tensor<"f32">, settings: PairSettings) => Tensor<"f32">;

/** A loss of the margin between the rewards: beta times the log ratios to the reference. */
const ofMargin =
  (lossesOf: OfMargin): PairLoss =>
  (pairs, settings) => {
    const rewards = scaled(logRatios(pairs), settings.beta);
    return { losses: lossesOf(sub(rewards.chosen, rewards.rejected), settings), rewards };
  };

/** -log sigmoid of the margin, with a share of the labels taken the other way round. [B] */
export function smoothedLoss(margin: Tensor<"f32">, labelSmoothing: number): Tensor<"f32"> {
  const plain = neg(logSigmoid(margin));
  if (labelSmoothing === 0) return plain;
  return sub(mul(plain, 1 - labelSmoothing), mul(logSigmoid(neg(margin)), labelSmoothing));
}

/** Equation 7 of the paper; label smoothing as in Mitchell 2023, "A note on DPO with noisy preferences" (cDPO). */
export const sigmoidLoss = ofMargin((margin, { labelSmoothing }) => smoothedLoss(margin, labelSmoothing));

/** Unbiased where the share `labelSmoothing` of the labels is wrong. Chowdhury et al. 2024, arXiv:2403.00409. */
export const robustLoss = ofMargin((margin, { labelSmoothing }) => {
  const clean = mul(logSigmoid(margin), labelSmoothing - 1);
  const turned = mul(logSigmoid(neg(margin)), labelSmoothing);
  return div(add(clean, turned), 1 - 2 * labelSmoothing);
});

/** No loss beyond a margin of 1. Liu et al. 2024, "Statistical rejection sampling" (RSO), arXiv:2309.06657. */
export const hingeLoss = ofMargin((margin) => relu(sub(1, margin)));
