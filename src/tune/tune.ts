import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { known, numberRules, OptionError, type OptionNames, requireNumbers } from "../base/index.ts";
import { noJournal, Trials } from "./journal.ts";
import type { Pruner } from "./pruners.ts";
import { areObjectives, bestTrial, type Direction, isDirection, paretoFront, type TrialRecord } from "./records.ts";
import type { Sampler } from "./samplers.ts";
import { Session, type StopReason, type TuneEvent } from "./session.ts";
import { space as checkedSpace, type Space, type Values } from "./space.ts";
import { StudyStore } from "./store.ts";
import { tpeSampler } from "./tpe.ts";
import type { RunTrial } from "./trial.ts";

/** What is searched, how, and for how long. */
export interface TuneOptions<S extends Space = Space> {
  space: S;
  run: RunTrial<S>;
  /** @default "minimize" */
  direction?: Direction;
  /**
   * Metrics of the trials that matter besides the value, with their directions: { latencyMs: "minimize" }. They make
   * the Pareto front; samplers and pruners go by the value. @default none
   */
  objectives?: Readonly<Record<string, Direction>>;
  /** @default tpeSampler() */
  sampler?: Sampler;
  /** @default none: every trial runs to its end */
  pruner?: Pruner;
  /** Trials of the study in all, those of earlier calls included. @default as many as the sampler has, or 100 */
  trials?: number;
  /** Trials at a time. @default 1 */
  concurrency?: number;
  /** Folder that keeps the study; the same call goes on with it. @default none: it is lost at the end */
  store?: string;
  /** Milliseconds after which the call ends; trials that run then are begun again next time. @default no limit */
  timeoutMs?: number;
  /** Milliseconds after which a trial is ended, as a failed one. @default no limit */
  trialTimeoutMs?: number;
  /** Failed trials of this call that are borne. @default 10 */
  mostFailures?: number;
  /** Ends the study when a trial is as good as this. @default none */
  target?: number;
  /** Ends the study after so many trials without a better one. @default no limit */
  patience?: number;
  /** Ends the call; trials that run then are begun again next time. @default nothing does */
  signal?: AbortSignal;
  /** Told of what happens. */
  onEvent?: (event: TuneEvent) => void;
}

/** A trial with the types of its space. */
export type StudyTrial<S extends Space = Space> = Omit<TrialRecord, "values"> & { values: Values<S> };

/** What a call of `tune` has come to. */
export interface StudyResult<S extends Space = Space> {
  /** By number. */
  trials: StudyTrial<S>[];
  /** Undefined when no trial is complete without breaking a constraint. */
  best: (StudyTrial<S> & { value: number }) | undefined;
  /** The Pareto front of the value and the objectives; see `paretoFront`. */
  front: (StudyTrial<S> & { value: number })[];
  stopReason: StopReason;
}

const DEFAULT_TRIALS = 100;
const optionNames: OptionNames<TuneOptions> = {
  space: true,
  run: true,
  direction: true,
  objectives: true,
  sampler: true,
  pruner: true,
  trials: true,
  concurrency: true,
  store: true,
  timeoutMs: true,
  trialTimeoutMs: true,
  mostFailures: true,
  target: true,
  patience: true,
  signal: true,
  onEvent: true,
};

/**
 * Searches for the values of a space with which `run` gives the best number. A trial that throws has failed, and the
 * study goes on. With a `store` it can be ended at any moment, by a kill too, and the same call goes on with it: trials
 * that ran are begun again.
 * @throws OptionError for options that cannot be; DataError when another process runs the study or its definition
 *   differs; WriteError when the disk refuses; RuntimeError when more trials than `mostFailures` have failed
 */
export async function tune<const S extends Space>(options: TuneOptions<S>): Promise<StudyResult<S>> {
  const checked = checkedOptions(options);
  const { store: folder, direction, space, objectives } = checked;
  const { store: journal, trials } = folder
    ? await StudyStore.open(folder, { space, direction, ...(objectives && { objectives }) })
    : { store: noJournal, trials: new Trials() };
  const files = folder ? join(resolve(folder), "trials") : temporaryFolder();
  try {
    const stopReason = await new Session({ ...checked, journal, trials, files }).run();
    const list = [...trials.list] as unknown as StudyTrial<S>[];
    const view = { trials: list as unknown as TrialRecord[], direction, ...(objectives && { objectives }) };
    const best = bestTrial(view) as StudyResult<S>["best"];
    return { trials: list, best, front: paretoFront(view) as unknown as StudyResult<S>["front"], stopReason };
  } finally {
    await journal.close();
    if (!folder) await rm(files, { recursive: true, force: true });
  }
}

const temporaryFolder = () => join(tmpdir(), `kindling-tune-${randomUUID()}`);

function checkedOptions<S extends Space>(options: TuneOptions<S>) {
  const where = "tune";
  known(where, options, optionNames);
  const space = checkedSpace(options.space);
  const { direction = "minimize", sampler = tpeSampler(), concurrency = 1, mostFailures = 10 } = options;
  const { timeoutMs = Number.POSITIVE_INFINITY, trialTimeoutMs = Number.POSITIVE_INFINITY, target } = options;
  const { patience = Number.POSITIVE_INFINITY, signal = new AbortController().signal, onEvent = () => {} } = options;
  const { trials: most = sampler.size?.(space) ?? DEFAULT_TRIALS } = options;
  const { objectives } = options;
  if (objectives !== undefined && !areObjectives(objectives)) {
    const expected = "minimize or maximize for each name of objectives";
    throw new OptionError({ where, expected, received: JSON.stringify(objectives), fix: "name one of them" });
  }
  if (!isDirection(direction)) {
    const expected = "direction minimize or maximize";
    throw new OptionError({ where, expected, received: JSON.stringify(direction), fix: "name one of them" });
  }
  requireNumbers(
    where,
    { trials: most, concurrency, mostFailures, timeoutMs, trialTimeoutMs, patience, target: target ?? 0 },
    {
      trials: { ...numberRules.interval, range: numberRules.interval.range.replace("never", "no end") },
      concurrency: numberRules.positiveInteger,
      mostFailures: { range: "of at least 0, or Infinity for no limit", isFine: (value) => value >= 0 },
      timeoutMs: numberRules.limit,
      trialTimeoutMs: numberRules.limit,
      patience: numberRules.interval,
      target: { range: "to be a number", isFine: Number.isFinite },
    },
  );
  return {
    ...{
      space,
      direction,
      objectives,
      sampler,
      pruner: options.pruner,
      most,
      concurrency,
      store: options.store,
      timeoutMs,
    },
    ...{ trialTimeoutMs, mostFailures, target, patience, signal, onEvent, run: options.run as unknown as RunTrial },
    threads: Math.max(1, Math.floor(availableParallelism() / concurrency)),
  };
}
