import { numberRules, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** The same rate at every step. @throws OptionError for a rate that is NaN, infinite or negative */
export function constantSchedule(learningRate: number): Schedule {
  requireNumbers("constantSchedule", { learningRate }, { learningRate: numberRules.notNegative });
  return () => learningRate;
}
