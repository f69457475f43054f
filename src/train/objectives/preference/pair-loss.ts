/** What losses of pairs of completions, of which one is preferred, have in common. */
import { mul, sub, type Tensor } from "../../../tensor/index.ts";
import type { SequenceLogProbabilities } from "./log-probabilities.ts";

type Numbers = Tensor<"f32">;

/** What is known of B pairs. */
export interface Pairs {
  chosen: SequenceLogProbabilities;
  rejected: SequenceLogProbabilities;
  /** Sums of the log probabilities that the reference model gives, [B] each. */
  reference?: { chosen: Numbers; rejected: Numbers };
}

/** Numbers of a loss, all of them with defaults. */
export interface PairSettings {
  beta: number;
  labelSmoothing: number;
  margin: number;
}

/** What a loss makes of pairs. */
export interface PairResult {
  /** [B] */
  losses: Numbers;
  /** What the model implicitly says each completion is worth, [B] each. */
  rewards: { chosen: Numbers; rejected: Numbers };
  /** What else is measured, each []. */
  metrics?: Readonly<Record<string, Numbers>>;
}

export type PairLoss = (pairs: Pairs, settings: PairSettings) => PairResult;

/** How much more likely each completion is than to the reference, in nats; without one, how likely. [B] each */
export function logRatios({ chosen, rejected, reference }: Pairs): { chosen: Numbers; rejected: Numbers } {
  if (!reference) return { chosen: chosen.sum, rejected: rejected.sum };
  return { chosen: sub(chosen.sum, reference.chosen), rejected: sub(rejected.sum, reference.rejected) };
}

/** Both times beta. */
export const scaled = ({ chosen, rejected }: { chosen: Numbers; rejected: Numbers }, beta: number) => ({
  chosen: mul(chosen, beta),
  rejected: mul(rejected, beta),
});
