import { join } from "node:path";
import { errorMessage, KindlingError, LONGEST_TIMER_MS, onAbort, RuntimeError } from "../base/index.ts";
import type { Journal, StudyEvent, Trials } from "./journal.ts";
import type { Pruner } from "./pruners.ts";
import { bestTrial, type Direction, loss, type TrialRecord } from "./records.ts";
import type { Proposal, Sampler } from "./samplers.ts";
import type { Space } from "./space.ts";
import { type RunTrial, runningTrial, TrialPruned, type TrialResult } from "./trial.ts";

/**
 * Why a call of `tune` ended: all trials are done, the sampler has no more, the target is reached, no trial was better
 * for long, the time is over, or the signal was aborted.
 */
export type StopReason = "trials" | "exhausted" | "target" | "patience" | "time" | "aborted";

/** What happens in a study. */
export interface TuneEvent {
  type: StudyEvent["type"];
  trial: TrialRecord;
}

/** What a session needs; see TuneOptions. */
interface SessionOptions {
  space: Space;
  direction: Direction;
  objectives: Readonly<Record<string, Direction>> | undefined;
  sampler: Sampler;
  pruner: Pruner | undefined;
  run: RunTrial;
  /** Trials in all. */
  most: number;
  concurrency: number;
  timeoutMs: number;
  trialTimeoutMs: number;
  mostFailures: number;
  target: number | undefined;
  patience: number;
  signal: AbortSignal;
  onEvent: (event: TuneEvent) => void;
  threads: number;
  journal: Journal;
  trials: Trials;
  /** Folder of the trials' folders. */
  files: string;
}

type EndEvent = Extract<StudyEvent, { type: "end" }>;
type Outcome = Omit<EndEvent, "type" | "trial" | "time">;

/** A study that is stopped so often while a trial runs may be stopped by it. */
const MOST_ATTEMPTS = 3;
/** How long a trial that is told to end is waited for: processes are killed before. */
const ABANDON_MS = 10_000;
/** Of a failed trial's error. */
const MOST_ERROR_CHARACTERS = 2000;

/** One call of `tune`: begins trials, waits for them, and says when it is over. */
export class Session {
  private readonly options: SessionOptions;
  /** Aborted when trials that run are to end without an outcome. */
  private readonly end = new AbortController();
  private readonly running = new Set<Promise<void>>();
  /** Trials that ran when the study was last stopped. */
  private readonly interrupted: TrialRecord[];
  private stopReason: StopReason | undefined;
  private failures = 0;
  private fatal: { error: unknown } | undefined;

  constructor(options: SessionOptions) {
    this.options = options;
    this.interrupted = options.trials.list.filter(({ state }) => state === "running");
  }

  async run(): Promise<StopReason> {
    const { signal, timeoutMs } = this.options;
    const timer = after(timeoutMs, () => this.stopNow("time"));
    const forget = onAbort(signal, () => this.stopNow("aborted"));
    try {
      if (signal.aborted) this.stopNow("aborted");
      this.stopReason ??= this.reasonToEnd();
      for (;;) {
        await this.fill();
        if (this.running.size === 0) break;
        await Promise.race(this.running);
      }
    } finally {
      clearTimeout(timer);
      forget();
    }
    if (this.fatal) throw this.fatal.error;
    return this.stopReason ?? "trials";
  }

  private stopNow(reason: StopReason): void {
    this.stopReason ??= reason;
    this.end.abort(new Error(`the study ends: ${reason}`));
  }

  private fail(error: unknown): void {
    this.fatal ??= { error };
    this.end.abort(error);
  }

  /** Begins as many trials as may run. */
  private async fill(): Promise<void> {
    const { concurrency } = this.options;
    while (this.running.size < concurrency && !this.stopReason && !this.fatal) {
      const begun = await this.begin().catch((error) => this.fail(error));
      if (!begun) return;
      const work: Promise<void> = this.runTrial(begun)
        .catch((error) => this.fail(error))
        .finally(() => this.running.delete(work));
      this.running.add(work);
    }
  }

  /** The next trial; undefined when there is none now. */
  private async begin(): Promise<TrialRecord | undefined> {
    const start = this.next();
    return start && this.record({ type: "start", ...start, time: Date.now() });
  }

  /** What to begin: trials that were interrupted first. Undefined: nothing now. */
  private next(): Omit<Extract<StudyEvent, { type: "start" }>, "type" | "time"> | undefined {
    const { trials, most, sampler, space, direction } = this.options;
    const again = this.interrupted.shift();
    if (again) {
      const { number, values, budget, continues, attempts } = again;
      return { trial: number, attempt: attempts + 1, ...withoutUndefined({ values, budget, continues }) };
    }
    const number = trials.list.length;
    const proposal: Proposal | "wait" | undefined =
      number < most ? sampler.propose({ space, direction, trials: trials.list, number }) : undefined;
    if (proposal === undefined)
      this.stopReason ??= number < most || sampler.size?.(space) === number ? "exhausted" : "trials";
    return typeof proposal === "object" ? { trial: number, attempt: 1, ...proposal } : undefined;
  }

  private async record(event: StudyEvent): Promise<TrialRecord> {
    const { journal, trials, onEvent } = this.options;
    await journal.append(event);
    const trial = trials.apply(event);
    onEvent({ type: event.type, trial });
    return trial;
  }

  private async runTrial(trial: TrialRecord): Promise<void> {
    const isLost = trial.attempts > MOST_ATTEMPTS;
    const error = `the study was stopped ${MOST_ATTEMPTS} times while it ran`;
    const outcome: Outcome | undefined = isLost ? { state: "failed", error } : await this.outcomeOf(trial);
    if (outcome === undefined) return; // it is begun again next time
    await this.record({ type: "end", trial: trial.number, ...outcome, time: Date.now() });
    if (outcome.state === "failed") this.countFailure(outcome.error as string);
    this.stopReason ??= this.reasonToEnd();
  }

  /** Undefined when the study ends before the trial. */
  private async outcomeOf(record: TrialRecord): Promise<Outcome | undefined> {
    const { run, trialTimeoutMs, objectives = {} } = this.options;
    const late = new AbortController();
    const seconds = trialTimeoutMs / 1000;
    const timer = after(trialTimeoutMs, () => late.abort(new Error(`it took longer than ${seconds} s`)));
    const signal = AbortSignal.any([this.end.signal, late.signal]);
    try {
      const work = (async () => run(this.trialOf(record, signal)))();
      return outcomeOfResult(await unlessAbandoned(work, signal), Object.keys(objectives));
    } catch (error) {
      if (error instanceof TrialPruned) return { state: "pruned" };
      if (this.end.signal.aborted) return undefined;
      return { state: "failed", error: textOf(late.signal.aborted ? late.signal.reason : error) };
    } finally {
      clearTimeout(timer);
    }
  }

  private trialOf({ number, values, budget, continues, attempts }: TrialRecord, signal: AbortSignal) {
    const { files, threads, pruner, trials, direction } = this.options;
    const folderOf = (trial: number) => join(files, String(trial).padStart(4, "0"));
    const facts = { number, values, attempt: attempts, threads, folder: folderOf(number), signal };
    const before = continues === undefined ? undefined : { number: continues, folder: folderOf(continues) };
    return runningTrial({ ...facts, ...withoutUndefined({ budget, continues: before }) }, async (step, value) => {
      const trial = await this.record({ type: "report", trial: number, step, value, time: Date.now() }).catch(
        (error) => {
          this.fail(error); // the store is broken, whatever the trial makes of it
          throw error;
        },
      );
      return pruner?.shouldPrune(trial, { direction, trials: trials.list }) ?? false;
    });
  }

  private countFailure(error: string): void {
    const { mostFailures } = this.options;
    this.failures++;
    if (this.failures <= mostFailures) return;
    this.fail(
      new RuntimeError({
        where: "tune",
        expected: `at most ${mostFailures} failed trials`,
        received: `${this.failures}, the last with: ${error}`,
        fix: "mend what fails, or raise mostFailures; the trials that are done are kept",
      }),
    );
  }

  /** Whether the trials so far are enough. */
  private reasonToEnd(): StopReason | undefined {
    const { trials, direction, target, patience } = this.options;
    const best = bestTrial({ trials: trials.list, direction });
    if (!best) return undefined;
    if (target !== undefined && loss(direction, best.value as number) <= loss(direction, target)) return "target";
    const later = trials.ended.length - 1 - trials.ended.indexOf(best.number);
    return later >= patience ? "patience" : undefined;
  }
}

/** A timer, where the time is not longer than any: infinity, or more than three weeks. */
const after = (milliseconds: number, call: () => void): NodeJS.Timeout | undefined =>
  milliseconds <= LONGEST_TIMER_MS ? setTimeout(call, milliseconds) : undefined;

/** What a promise comes to; when the signal is aborted and it does not end soon, the signal's reason. */
async function unlessAbandoned<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let forget = () => {};
  const abandoned = new Promise<never>((_, reject) => {
    const wait = () => {
      timer = setTimeout(() => reject(signal.reason), ABANDON_MS);
    };
    if (signal.aborted) wait();
    else forget = onAbort(signal, wait);
  });
  return Promise.race([work, abandoned]).finally(() => {
    clearTimeout(timer);
    forget();
  });
}

function outcomeOfResult(result: number | TrialResult, objectives: readonly string[]): Outcome {
  const { value, constraints, metrics } = typeof result === "object" ? (result ?? {}) : { value: result };
  const numbers = [value, ...Object.values(constraints ?? {})];
  const missing = objectives.find((name) => !Number.isFinite(metrics?.[name]));
  if (missing !== undefined) {
    const received = `${missing} ${metrics?.[missing] ?? "is not there"}`;
    const fix = "return { value, metrics } with all of them";
    return {
      state: "failed",
      error: errorMessage({ where: "run", expected: "a finite metric for each objective", received, fix }),
    };
  }
  if (numbers.every(Number.isFinite))
    return { state: "complete", value, ...withoutUndefined({ constraints, metrics }) };
  const received = `value ${String(value)}${constraints ? `, constraints ${JSON.stringify(constraints)}` : ""}`;
  const fix = "return a finite number, or { value, constraints, metrics }";
  return { state: "failed", error: errorMessage({ where: "run", expected: "a finite number", received, fix }) };
}

function textOf(error: unknown): string {
  const text =
    error instanceof KindlingError || !(error instanceof Error) ? String(error) : `${error.name}: ${error.message}`;
  return text.slice(0, MOST_ERROR_CHARACTERS);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };
const withoutUndefined = <T extends object>(fields: T): Defined<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
