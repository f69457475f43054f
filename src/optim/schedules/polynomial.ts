import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the linear schedule. */
export interface LinearScheduleOptions {
  /** Rate of the first step. */
  learningRate: number;
  /** Rate at the end and after it. @default 0 */
  minLearningRate?: number;
  /** Step at which the lowest rate is reached. */
  totalSteps: number;
}

/** Settings of the polynomial schedule. */
export interface PolynomialScheduleOptions extends LinearScheduleOptions {
  /** Exponent of the share of steps that are left. @default 1 */
  power?: number;
}

/**
 * Falls as a power of the steps that are left, as torch.optim.lr_scheduler.PolynomialLR and transformers' polynomial.
 * @throws OptionError for wrong options
 */
export function polynomialSchedule(options: PolynomialScheduleOptions): Schedule {
  checkOptions("polynomialSchedule", options, ["learningRate", "minLearningRate", "totalSteps", "power"]);
  const { learningRate, minLearningRate = 0, totalSteps, power = 1 } = options;
  return falling("polynomialSchedule", { learningRate, minLearningRate, totalSteps, power });
}

/** Falls by as much at each step, as transformers' linear. @throws OptionError for wrong options */
export function linearSchedule(options: LinearScheduleOptions): Schedule {
  checkOptions("linearSchedule", options, ["learningRate", "minLearningRate", "totalSteps"]);
  const { learningRate, minLearningRate = 0, totalSteps } = options;
  return falling("linearSchedule", { learningRate, minLearningRate, totalSteps, power: 1 });
}

function falling(where: string, options: Required<PolynomialScheduleOptions>): Schedule {
  const { positive, notNegative } = numberRules;
  requireNumbers(where, options, {
    learningRate: positive,
    minLearningRate: notNegative,
    totalSteps: positive,
    power: positive,
  });
  const { learningRate, minLearningRate, totalSteps, power } = options;
  return (step) =>
    minLearningRate + (learningRate - minLearningRate) * (1 - Math.min(step, totalSteps) / totalSteps) ** power;
}
