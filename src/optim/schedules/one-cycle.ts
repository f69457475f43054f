import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { requireChoice } from "../checks.ts";
import type { Schedule } from "./schedule.ts";

/** Settings of the one-cycle schedule. */
export interface OneCycleOptions {
  /** Highest rate. */
  maxLearningRate: number;
  /** Steps in all, at least 2. */
  totalSteps: number;
  /** Share of steps in which the rate rises. @default 0.3 */
  riseShare?: number;
  /** How the rate moves. @default "cosine" */
  anneal?: "cosine" | "linear";
  /** The first rate is the highest divided by this. @default 25 */
  divFactor?: number;
  /** The last rate is the first divided by this. @default 1e4 */
  finalDivFactor?: number;
  /** Falls to the first rate as long as it rose, and then to the last. @default false */
  threePhase?: boolean;
}

/**
 * Up to a high rate and down to a very low one. Smith and Topin 2017, arXiv:1708.07120; as
 * torch.optim.lr_scheduler.OneCycleLR with `cycle_momentum=False`.
 * @throws OptionError for wrong options
 */
export function oneCycleSchedule(options: OneCycleOptions): Schedule {
  const where = "oneCycleSchedule";
  checkOptions(where, options, [
    ...(["maxLearningRate", "totalSteps", "riseShare", "anneal"] as const),
    ...(["divFactor", "finalDivFactor", "threePhase"] as const),
  ]);
  const { maxLearningRate, totalSteps, riseShare = 0.3, anneal = "cosine" } = options;
  const { divFactor = 25, finalDivFactor = 1e4, threePhase = false } = options;
  const { positive, innerShare } = numberRules;
  const steps = { range: "to be an integer above 1", isFine: (value: number) => Number.isInteger(value) && value > 1 };
  requireNumbers(
    where,
    { maxLearningRate, totalSteps, riseShare, divFactor, finalDivFactor },
    {
      maxLearningRate: positive,
      totalSteps: steps,
      riseShare: innerShare,
      divFactor: positive,
      finalDivFactor: positive,
    },
  );
  requireChoice(where, "anneal", anneal, ["cosine", "linear"]);
  requireChoice(where, "threePhase", threePhase, [true, false]);
  const first = maxLearningRate / divFactor;
  const last = first / finalDivFactor;
  const top = { step: riseShare * totalSteps - 1, rate: maxLearningRate };
  const points = [
    { step: 0, rate: first },
    top,
    ...(threePhase ? [{ step: 2 * riseShare * totalSteps - 2, rate: first }] : []),
    { step: totalSteps - 1, rate: last },
  ];
  return (step) => {
    const next = Math.max(
      1,
      points.findIndex((point) => step <= point.step),
    ); // -1 where all are over
    if (step >= totalSteps) return last;
    const [from, to] = [points[next - 1], points[next]];
    const share = (step - from.step) / (to.step - from.step);
    const moved = anneal === "linear" ? share : (1 - Math.cos(Math.PI * share)) / 2;
    return from.rate + (to.rate - from.rate) * moved;
  };
}
