import { checkOptions, DataError, numberRules, requireNumbers } from "../../base/index.ts";
import { requireChoice } from "../checks.ts";
import type { AdaptiveSchedule, JsonValue } from "./schedule.ts";

/** Settings of the plateau schedule. */
export interface PlateauOptions {
  /** Rate of the first steps. */
  learningRate: number;
  /** Whether lower values are better, or higher ones. @default "min" */
  mode?: "min" | "max";
  /** Factor of each fall, below 1. @default 0.1 */
  factor?: number;
  /** Values in a row without progress that are borne. @default 10 */
  patience?: number;
  /** Progress from which on it counts. @default 1e-4 */
  threshold?: number;
  /** Whether the threshold is a share of the best value, or a difference. @default "relative" */
  thresholdMode?: "relative" | "absolute";
  /** Values after a fall that are not judged. @default 0 */
  cooldown?: number;
  /** @default 0 */
  minLearningRate?: number;
  /** Falls by less than this are left out. @default 1e-8 */
  epsilon?: number;
}

interface PlateauState {
  learningRate: number;
  /** Null before the first value. */
  best: number | null;
  badValues: number;
  cooldown: number;
}

/**
 * Falls when a value that is observed, such as the validation loss, makes no progress any more, as
 * torch.optim.lr_scheduler.ReduceLROnPlateau. The step does not matter.
 * @throws OptionError for wrong options
 *
 * @example
 * const schedule = plateauSchedule({ learningRate: 1, patience: 0 });
 * for (const loss of [3, 2, 2]) schedule.observe(loss);
 * schedule(0); // 0.1
 */
export function plateauSchedule(options: PlateauOptions): AdaptiveSchedule {
  const settings = settingsOf(options);
  const { mode, threshold, thresholdMode, factor, patience, cooldown, minLearningRate, epsilon } = settings;
  let state: PlateauState = { learningRate: settings.learningRate, best: null, badValues: 0, cooldown: 0 };
  const sign = mode === "min" ? -1 : 1;
  const isBetter = (value: number, best: number): boolean => {
    const least = thresholdMode === "relative" ? best * (1 + sign * threshold) : best + sign * threshold;
    return mode === "min" ? value < least : value > least;
  };
  const observe = (value: number): void => {
    const isProgress = Number.isFinite(value) && (state.best === null || isBetter(value, state.best));
    const next = { ...state, best: isProgress ? value : state.best, badValues: isProgress ? 0 : state.badValues + 1 };
    if (next.cooldown > 0) {
      next.cooldown--;
      next.badValues = 0;
    }
    if (next.badValues > patience) {
      const rate = Math.max(next.learningRate * factor, minLearningRate);
      if (next.learningRate - rate > epsilon) next.learningRate = rate;
      next.cooldown = cooldown;
      next.badValues = 0;
    }
    state = next;
  };
  const schedule = Object.assign((_step: number) => state.learningRate, {
    observe,
    restore: (saved: JsonValue): void => {
      state = requireState(saved);
    },
  });
  return Object.defineProperty(schedule, "state", {
    get: (): JsonValue => ({ ...state }),
    enumerable: true,
  }) as AdaptiveSchedule;
}

function settingsOf(options: PlateauOptions): Required<PlateauOptions> {
  const where = "plateauSchedule";
  const defaults = {
    ...({ mode: "min", factor: 0.1, patience: 10, threshold: 1e-4, thresholdMode: "relative" } as const),
    ...{ cooldown: 0, minLearningRate: 0, epsilon: 1e-8 },
  };
  checkOptions(where, options, ["learningRate", ...Object.keys(defaults)]);
  const settings = { ...defaults, ...options };
  const { positive, notNegative, wholeNumber, innerShare } = numberRules;
  requireNumbers(where, settings, {
    ...{ learningRate: positive, factor: innerShare, patience: wholeNumber, threshold: notNegative },
    ...{ cooldown: wholeNumber, minLearningRate: notNegative, epsilon: notNegative },
  });
  requireChoice(where, "mode", settings.mode, ["min", "max"]);
  requireChoice(where, "thresholdMode", settings.thresholdMode, ["relative", "absolute"]);
  return settings;
}

/** @throws DataError for what is no state of a plateau schedule */
function requireState(saved: JsonValue): PlateauState {
  const { learningRate, best, badValues, cooldown } = (saved ?? {}) as Partial<PlateauState>;
  const isFine =
    [learningRate, badValues, cooldown].every((value) => typeof value === "number" && value >= 0) &&
    (best === null || typeof best === "number");
  if (isFine) return { learningRate, best, badValues, cooldown } as PlateauState;
  throw new DataError({
    where: "plateauSchedule.restore",
    expected: "what its state was",
    received: JSON.stringify(saved) ?? "undefined",
    fix: "resume with the schedule that the run was started with",
  });
}
