import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { type AdaptiveSchedule, isAdaptive, type JsonValue, type Schedule } from "./schedule.ts";

/** Where a warm-up begins. */
export interface WarmupOptions {
  /** Share of the schedule's first rate at step 0, from 0 to 1. @default 0, so step 0 changes nothing */
  startFactor?: number;
}

/**
 * Rises in a straight line to the first rate of a schedule, which begins when `steps` are over: its own steps are
 * counted from there. As in transformers' get_scheduler, and with a `startFactor` as torch.optim.lr_scheduler.LinearLR
 * before another schedule. A schedule that adapts still does.
 * @throws OptionError for steps that are no whole number, or a startFactor out of range
 *
 * @example
 * const schedule = warmup(constantSchedule(1), 4);
 * [0, 1, 2, 3, 4, 5].map(schedule); // [0, 0.25, 0.5, 0.75, 1, 1]
 */
export function warmup<S extends Schedule>(schedule: S, steps: number, options: WarmupOptions = {}): S {
  checkOptions("warmup", options, ["startFactor"]);
  const { startFactor = 0 } = options;
  const { wholeNumber, fraction } = numberRules;
  requireNumbers("warmup", { steps, startFactor }, { steps: wholeNumber, startFactor: fraction });
  const warm: Schedule = (step) =>
    step < steps ? schedule(0) * (startFactor + ((1 - startFactor) * step) / steps) : schedule(step - steps);
  return (isAdaptive(schedule) ? adapting(warm, schedule) : warm) as S;
}

/** Rates of one schedule, with what another learns. */
function adapting(rates: Schedule, learner: AdaptiveSchedule): AdaptiveSchedule {
  const schedule = Object.assign((step: number) => rates(step), {
    observe: (value: number) => learner.observe(value),
    restore: (state: JsonValue) => learner.restore(state),
  });
  return Object.defineProperty(schedule, "state", { get: () => learner.state, enumerable: true }) as AdaptiveSchedule;
}
