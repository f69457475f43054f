import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the step schedule. */
export interface StepScheduleOptions {
  /** Rate of the first steps. */
  learningRate: number;
  /** Steps from one fall to the next. */
  interval: number;
  /** Factor of each fall. @default 0.1 */
  gamma?: number;
}

/** Falls by a factor every so many steps, as torch.optim.lr_scheduler.StepLR. @throws OptionError for wrong options */
export function stepSchedule(options: StepScheduleOptions): Schedule {
  checkOptions("stepSchedule", options, ["learningRate", "interval", "gamma"]);
  const { learningRate, interval, gamma = 0.1 } = options;
  const { positive, positiveInteger } = numberRules;
  const rules = { learningRate: positive, interval: positiveInteger, gamma: positive };
  requireNumbers("stepSchedule", { learningRate, interval, gamma }, rules);
  return (step) => learningRate * gamma ** Math.floor(step / interval);
}

/** Settings of the multi-step schedule. */
export interface MultiStepScheduleOptions {
  /** Rate of the first steps. */
  learningRate: number;
  /** Steps from which on the rate is lower, rising. */
  milestones: readonly number[];
  /** Factor of each fall. @default 0.1 */
  gamma?: number;
}

/**
 * Falls by a factor at each milestone, as torch.optim.lr_scheduler.MultiStepLR.
 * @throws OptionError for wrong options
 */
export function multiStepSchedule(options: MultiStepScheduleOptions): Schedule {
  checkOptions("multiStepSchedule", options, ["learningRate", "milestones", "gamma"]);
  const { learningRate, milestones, gamma = 0.1 } = options;
  requireNumbers(
    "multiStepSchedule",
    { learningRate, gamma },
    { learningRate: numberRules.positive, gamma: numberRules.positive },
  );
  const isRising =
    Array.isArray(milestones) &&
    milestones.every((step, i) => numberRules.wholeNumber.isFine(step) && (i === 0 || step >= milestones[i - 1]));
  if (!isRising) {
    throw new OptionError({
      where: "multiStepSchedule",
      expected: "milestones that are rising steps",
      received: JSON.stringify(milestones) ?? "undefined",
      fix: "for example [30, 60]",
    });
  }
  return (step) => learningRate * gamma ** milestones.filter((milestone) => milestone <= step).length;
}
