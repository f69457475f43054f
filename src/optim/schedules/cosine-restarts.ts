import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the cosine schedule with restarts. */
export interface CosineRestartsOptions {
  /** Rate at the beginning of each cycle. */
  learningRate: number;
  /** Rate that each cycle falls to. @default 0 */
  minLearningRate?: number;
  /** Steps of the first cycle, above 0; need not be a whole number. */
  cycleSteps: number;
  /** How many times as long each cycle is as the one before, at least 1. @default 1 */
  cycleFactor?: number;
  /** Cycles, after which the lowest rate stays. @default Infinity */
  numCycles?: number;
}

/**
 * Half a cosine down, again and again. Loshchilov and Hutter 2016, arXiv:1608.03983. As
 * torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, and transformers' cosine_with_restarts for `cycleSteps` of all
 * steps divided by the number of cycles.
 * @throws OptionError for wrong options
 */
export function cosineRestartsSchedule(options: CosineRestartsOptions): Schedule {
  const where = "cosineRestartsSchedule";
  checkOptions(where, options, ["learningRate", "minLearningRate", "cycleSteps", "cycleFactor", "numCycles"]);
  const { learningRate, minLearningRate = 0, cycleSteps, cycleFactor = 1 } = options;
  const { numCycles = Number.POSITIVE_INFINITY } = options;
  const { positive, notNegative, interval } = numberRules;
  const atLeastOne = { range: "of at least 1", isFine: (value: number) => Number.isFinite(value) && value >= 1 };
  requireNumbers(
    where,
    { learningRate, minLearningRate, cycleSteps, cycleFactor, numCycles },
    {
      learningRate: positive,
      minLearningRate: notNegative,
      cycleSteps: positive,
      cycleFactor: atLeastOne,
      numCycles: interval,
    },
  );
  /** Cycles that are over at a step, and the part of the next that is. */
  const cyclesAt = (step: number): number => {
    if (cycleFactor === 1) return step / cycleSteps;
    // cycles 0 to n - 1 take cycleSteps (factor^n - 1) / (factor - 1) steps
    const before = Math.floor(Math.log1p((step * (cycleFactor - 1)) / cycleSteps) / Math.log(cycleFactor) + 1e-12);
    const begin = (cycleSteps * (cycleFactor ** before - 1)) / (cycleFactor - 1);
    return before + (step - begin) / (cycleSteps * cycleFactor ** before);
  };
  return (step) => {
    const cycles = cyclesAt(step);
    if (cycles >= numCycles) return minLearningRate;
    return minLearningRate + ((learningRate - minLearningRate) * (1 + Math.cos(Math.PI * (cycles % 1)))) / 2;
  };
}
