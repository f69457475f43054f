import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { requireChoice } from "../checks.ts";
import type { Schedule } from "./schedule.ts";

const decays = {
  linear: (share: number) => 1 - share,
  cosine: (share: number) => (1 + Math.cos(Math.PI * share)) / 2,
  "1-sqrt": (share: number) => 1 - Math.sqrt(share),
} as const;

/** Settings of the stable-decay schedule. */
export interface StableDecayOptions {
  /** Rate of the stable steps. */
  learningRate: number;
  /** Rate at the end and after it. @default 0 */
  minLearningRate?: number;
  /** Steps at the full rate; 0 for none. */
  stableSteps: number;
  /** Steps in which the rate falls. */
  decaySteps: number;
  /** How it falls. @default "cosine" */
  decay?: keyof typeof decays;
}

/**
 * The full rate, and then a fall to the lowest: with `warmup` the warm-up-stable-decay schedule of Hu et al. 2024,
 * arXiv:2404.06395; "1-sqrt" is the decay of Hägele et al. 2024, arXiv:2405.18392. As transformers'
 * warmup_stable_decay.
 * @throws OptionError for wrong options
 */
export function stableDecaySchedule(options: StableDecayOptions): Schedule {
  const where = "stableDecaySchedule";
  checkOptions(where, options, ["learningRate", "minLearningRate", "stableSteps", "decaySteps", "decay"]);
  const { learningRate, minLearningRate = 0, stableSteps, decaySteps, decay = "cosine" } = options;
  const { positive, notNegative } = numberRules;
  requireNumbers(
    where,
    { learningRate, minLearningRate, stableSteps, decaySteps },
    { learningRate: positive, minLearningRate: notNegative, stableSteps: notNegative, decaySteps: positive },
  );
  requireChoice(where, "decay", decay, Object.keys(decays));
  return (step) => {
    if (step < stableSteps) return learningRate;
    const share = Math.min(1, (step - stableSteps) / decaySteps);
    return minLearningRate + (learningRate - minLearningRate) * decays[decay](share);
  };
}
