import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the exponential schedule. */
export interface ExponentialScheduleOptions {
  /** Rate of the first step. */
  learningRate: number;
  /** Factor from each step to the next. */
  gamma: number;
}

/** Falls by a factor at each step, as torch.optim.lr_scheduler.ExponentialLR. @throws OptionError for wrong options */
export function exponentialSchedule(options: ExponentialScheduleOptions): Schedule {
  checkOptions("exponentialSchedule", options, ["learningRate", "gamma"]);
  const { learningRate, gamma } = options;
  const { positive } = numberRules;
  requireNumbers("exponentialSchedule", { learningRate, gamma }, { learningRate: positive, gamma: positive });
  return (step) => learningRate * gamma ** step;
}
