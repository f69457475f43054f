import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the cosine schedule: a linear warm-up, then half a cosine down to the last rate. */
export interface CosineOptions {
  /** Highest rate, reached after warm-up. */
  learningRate: number;
  /** Rate at the end and after it. @default learningRate / 10 */
  minLearningRate?: number;
  /** Steps over which the rate rises linearly. @default 0 */
  warmupSteps?: number;
  /** Step at which the lowest rate is reached. */
  totalSteps: number;
}

/**
 * Linear warm-up, then half a cosine down. Loshchilov and Hutter 2016, arXiv:1608.03983; nanoGPT's formula.
 * @throws OptionError for wrong options
 */
export function cosineSchedule(options: CosineOptions): Schedule {
  checkOptions("cosineSchedule", options, ["learningRate", "minLearningRate", "warmupSteps", "totalSteps"]);
  const { learningRate, minLearningRate = learningRate / 10, warmupSteps = 0, totalSteps } = options;
  const { positive, notNegative } = numberRules;
  requireNumbers(
    "cosineSchedule",
    { learningRate, minLearningRate, warmupSteps, totalSteps },
    { learningRate: positive, minLearningRate: notNegative, warmupSteps: notNegative, totalSteps: positive },
  );
  if (warmupSteps > totalSteps) {
    throw new OptionError({
      where: "cosineSchedule",
      expected: `warmupSteps from 0 to totalSteps (${totalSteps})`,
      received: String(warmupSteps),
      fix: "lower warmupSteps",
    });
  }
  return (step) => {
    if (step < warmupSteps) return (learningRate * (step + 1)) / (warmupSteps + 1);
    if (step >= totalSteps) return minLearningRate;
    const progress = (step - warmupSteps) / (totalSteps - warmupSteps);
    return minLearningRate + 0.5 * (1 + Math.cos(Math.PI * progress)) * (learningRate - minLearningRate);
  };
}
