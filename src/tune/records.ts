import type { Scalar } from "./space.ts";

/** Whether small or large values are good. */
export type Direction = "minimize" | "maximize";

/** What a trial said on the way. */
export interface Report {
  step: number;
  value: number;
}

/**
 * "running": it runs, or did when the study was last stopped; "pruned": a pruner ended it; "failed": it threw, was
 * killed or took too long.
 */
export type TrialState = "running" | "complete" | "pruned" | "failed";

/** What is known of a trial. */
export interface TrialRecord {
  /** From 0 on. */
  number: number;
  state: TrialState;
  /** Values of the parameters that exist. */
  values: Readonly<Record<string, Scalar>>;
  /** How much it may spend, where a sampler says so: steps, epochs or rows. */
  budget?: number;
  /** The trial of the same values with a smaller budget. */
  continues?: number;
  /** How often it was started. */
  attempts: number;
  reports: readonly Report[];
  /** Of a complete trial; of a pruned one there may be reports. */
  value?: number;
  /** Above 0: broken. */
  constraints?: Readonly<Record<string, number>>;
  /** What else was measured. */
  metrics?: Readonly<Record<string, number>>;
  /** Why it failed. */
  error?: string;
  /** Milliseconds since 1970. */
  startTime: number;
  endTime?: number;
}

/** What samplers and pruners see. */
export interface StudyView {
  direction: Direction;
  /** By number. */
  trials: readonly TrialRecord[];
}

/** Smaller is better, whatever the direction. */
export const loss = (direction: Direction, value: number): number => (direction === "minimize" ? value : -value);

/** By how much constraints are broken, in all. */
export const violation = ({ constraints = {} }: TrialRecord): number =>
  Object.values(constraints).reduce((sum, value) => sum + Math.max(0, value), 0);

/** A trial that has ended with a value and breaks no constraint. */
export const isSound = (trial: TrialRecord): trial is TrialRecord & { value: number } =>
  trial.state === "complete" && violation(trial) === 0;

/**
 * The best complete trial that breaks no constraint: of those with the largest budget, where there are budgets; of
 * equal ones the first.
 */
export function bestTrial<T extends TrialRecord>({
  trials,
  direction,
}: StudyView & { trials: readonly T[] }): T | undefined {
  const sound = trials.filter(isSound) as (T & { value: number })[];
  const most = sound.reduce((largest, { budget = 0 }) => Math.max(largest, budget), 0);
  return sound
    .filter(({ budget = 0 }) => budget === most)
    .reduce<(T & { value: number }) | undefined>(
      (best, trial) => (best && loss(direction, best.value) <= loss(direction, trial.value) ? best : trial),
      undefined,
    );
}
