import { isObject } from "../base/index.ts";
import type { Scalar } from "./space.ts";

/** Whether small or large values are good. */
export type Direction = "minimize" | "maximize";

export const isDirection = (value: unknown): value is Direction => value === "minimize" || value === "maximize";
export const areObjectives = (value: unknown): value is Record<string, Direction> =>
  isObject(value) && Object.values(value).every(isDirection);

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
  /** Of the value, which samplers and pruners go by. */
  direction: Direction;
  /** Metrics of the trials that matter besides the value, by name. @default none */
  objectives?: Readonly<Record<string, Direction>>;
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

/** Those with the largest budget, where there are budgets. */
function ofLargestBudget<T extends TrialRecord>(trials: readonly T[]): T[] {
  const most = trials.reduce((largest, { budget = 0 }) => Math.max(largest, budget), 0);
  return trials.filter(({ budget = 0 }) => budget === most);
}

/**
 * The Pareto front: complete trials that break no constraint and than which no other is better in the value or an
 * objective and as good in all others; of those with the largest budget, where there are budgets. Equal ones are all of
 * it. As Optuna's `best_trials`.
 */
export function paretoFront<T extends TrialRecord>({
  trials,
  direction,
  objectives = {},
}: StudyView & { trials: readonly T[] }): T[] {
  const lossesOf = ({ value, metrics = {} }: T) => [
    loss(direction, value as number),
    ...Object.entries(objectives).map(([name, each]) => loss(each, metrics[name])),
  ];
  const sound = ofLargestBudget(trials.filter(isSound) as T[]).map((trial) => ({ trial, losses: lossesOf(trial) }));
  const isBetter = (a: readonly number[], b: readonly number[]) =>
    a.every((each, i) => each <= b[i]) && a.some((each, i) => each < b[i]);
  return sound.filter(({ losses }) => !sound.some((other) => isBetter(other.losses, losses))).map(({ trial }) => trial);
}

/**
 * The best complete trial that breaks no constraint: of those with the largest budget, where there are budgets; of
 * equal ones the first.
 */
export function bestTrial<T extends TrialRecord>({
  trials,
  direction,
}: StudyView & { trials: readonly T[] }): T | undefined {
  const sound = trials.filter(isSound) as (T & { value: number })[];
  return ofLargestBudget(sound).reduce<(T & { value: number }) | undefined>(
    (best, trial) => (best && loss(direction, best.value) <= loss(direction, trial.value) ? best : trial),
    undefined,
  );
}
