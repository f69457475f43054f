import { numberRules, requireNumbers } from "../base/index.ts";
import type { Space, Values } from "./space.ts";

/** A trial, while it runs. */
export interface Trial<S extends Space = Space> {
  /** From 0 on. */
  readonly number: number;
  /** What to try. */
  readonly values: Values<S>;
  /** What it may spend, where the sampler says so. */
  readonly budget?: number;
  /** The trial of the same values with a smaller budget, whose checkpoint it may go on from. */
  readonly continues?: { readonly number: number; readonly folder: string };
  /** 1, or more when the study was stopped while it ran. */
  readonly attempt: number;
  /** Threads that it may use: the cores, divided by the trials at a time. */
  readonly threads: number;
  /** A place for its files, which it makes itself; of a study without a store it is removed at the end. */
  readonly folder: string;
  /** Aborted when the study ends or the trial's time is over. */
  readonly signal: AbortSignal;
  /** Whether the last report said that it is not worth going on. */
  readonly shouldPrune: boolean;
  /** Says how it stands; steps rise. Resolves when `shouldPrune` is up to date. @throws the signal's reason */
  report(step: number, value: number): Promise<void>;
  /** Ends the trial as a pruned one. */
  prune(): never;
}

/** What a trial may give beside its value. */
export interface TrialResult {
  value: number;
  /** Above 0: broken. The best trial breaks none. */
  constraints?: Readonly<Record<string, number>>;
  /** What else is worth keeping. */
  metrics?: Readonly<Record<string, number>>;
}

/** Runs a trial, and gives the value that the study is about. */
export type RunTrial<S extends Space = Space> = (
  trial: Trial<S>,
) => number | TrialResult | Promise<number | TrialResult>;

/** What `trial.prune()` throws. */
export class TrialPruned extends Error {
  constructor() {
    super("the trial is pruned");
    this.name = "TrialPruned";
  }
}

type TrialFacts = Pick<
  Trial,
  "number" | "values" | "budget" | "continues" | "attempt" | "threads" | "folder" | "signal"
>;

/** A trial whose reports are kept, and looked at by a pruner. */
export function runningTrial(facts: TrialFacts, keep: (step: number, value: number) => Promise<boolean>): Trial {
  let shouldPrune = false;
  return {
    ...facts,
    get shouldPrune() {
      return shouldPrune;
    },
    async report(step, value) {
      facts.signal.throwIfAborted();
      const where = `trial ${facts.number}: report`;
      requireNumbers(
        where,
        { step, value },
        {
          step: numberRules.notNegative,
          value: { range: "to be a number", isFine: () => true },
        },
      );
      if (await keep(step, value)) shouldPrune = true;
    },
    prune() {
      throw new TrialPruned();
    },
  };
}
