import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the inverse square root schedule. */
export interface InverseSquareRootOptions {
  /** Rate of the first step, after warm-up. */
  learningRate: number;
  /** Steps in which the rate falls to 1 / sqrt(2): usually those of the warm-up before. @default 10000 */
  timescale?: number;
}

/**
 * Falls as one over the root of the step, without an end. Vaswani et al. 2017, arXiv:1706.03762, equation 3, with
 * `warmup`; as transformers' inverse_sqrt.
 * @throws OptionError for wrong options
 */
export function inverseSquareRootSchedule(options: InverseSquareRootOptions): Schedule {
  checkOptions("inverseSquareRootSchedule", options, ["learningRate", "timescale"]);
  const { learningRate, timescale = 10000 } = options;
  const { positive } = numberRules;
  requireNumbers(
    "inverseSquareRootSchedule",
    { learningRate, timescale },
    { learningRate: positive, timescale: positive },
  );
  return (step) => learningRate / Math.sqrt((step + timescale) / timescale);
}
