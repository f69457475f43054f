import { open, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { DataError, isObject, known, nearest, OptionError, type OptionNames } from "../base/index.ts";
import { outputTail, type ProcessOptions, runTask } from "./process.ts";
import type { Report } from "./records.ts";
import type { Space } from "./space.ts";
import { takeUp } from "./take-up.ts";
import type { RunTrial, Trial, TrialResult } from "./trial.ts";

/** Which of a trial's reports is its value. */
export type FinalValue = "last" | "smallest" | "largest";

/** A command that runs a trial. */
export interface CommandOptions extends Omit<ProcessOptions, "execArgv"> {
  /**
   * The program and its arguments, each by itself. {learningRate} is the value of that parameter; {trial}, {folder},
   * {budget}, {threads} are the trial's, {continues} the folder of the trial that it continues. An argument with a name
   * that the trial has no value for is left out; an argument "{overrides}" becomes one key=value for each parameter.
   */
  command: readonly string[];
  /** The number in lines of metrics.jsonl that the study is about: validationLoss, or metrics.accuracy. */
  metric: string;
  /**
   * File of lines such as {"step":100,"validationLoss":2.1}; other lines are passed over. @default
   * "{folder}/metrics.jsonl"
   */
  metricsFile?: string;
  /** @default "last" */
  value?: FinalValue;
  /** Where it runs. @default the folder of this process */
  cwd?: string;
  /** Whether a trial that is begun again finds its files, to go on with them. @default false: its folder is emptied */
  keepsFolder?: boolean;
  /**
   * Whether a trial that continues another begins in a copy of that one's folder, to go on from its checkpoint.
   * @default false: the command reads {continues}
   */
  copiesFolder?: boolean;
}

const names: OptionNames<CommandOptions> = {
  command: true,
  metric: true,
  metricsFile: true,
  value: true,
  cwd: true,
  keepsFolder: true,
  copiesFolder: true,
  env: true,
  graceMs: true,
};
const facts = ["trial", "folder", "budget", "threads", "continues"];
/** How often the file is looked at. */
const POLL_MS = 200;

/**
 * Trials as commands of any language, each in a group of processes that ends with it, and with this process. Their
 * reports are lines of a file, which is followed while they run; a trial that is pruned is ended.
 * @param space for whose parameters the command has names
 * @throws OptionError for a name that is no parameter
 */
export function commandRun<S extends Space>(space: S, options: CommandOptions): RunTrial<S> {
  const where = "commandRun";
  known(where, options, names);
  const { command, metric, metricsFile = "{folder}/metrics.jsonl", value = "last", keepsFolder = false } = options;
  const { cwd = process.cwd(), env, graceMs, copiesFolder = false } = options;
  if (command.length === 0)
    throw new OptionError({ where, expected: "a program", received: "no word", fix: "name one" });
  if (!["last", "smallest", "largest"].includes(value)) {
    const expected = "value last, smallest or largest";
    throw new OptionError({ where, expected, received: JSON.stringify(value), fix: "name one of them" });
  }
  for (const word of [...command, metricsFile]) checkNames(word, space);
  const processOptions = { ...(env && { env }), ...(graceMs !== undefined && { graceMs }) };
  return async (typed) => {
    const trial = typed as unknown as Trial;
    if (trial.attempt > 1 && !keepsFolder) await rm(trial.folder, { recursive: true, force: true });
    if (copiesFolder) await takeUp(trial);
    const words = wordsOf(command, space, trial);
    const file = filled(metricsFile, trial) ?? metricsFile;
    const follower = new MetricsFollower(file, metric);
    const pruned = new AbortController();
    const signal = AbortSignal.any([trial.signal, pruned.signal]);
    const ended = runTask(trial, { type: "command", words, cwd }, processOptions, signal);
    const followed = follow(follower, trial, ended, pruned);
    const [end] = await Promise.allSettled([ended, followed]);
    if (pruned.signal.aborted) trial.prune();
    if (end.status === "rejected") throw end.reason;
    await followed;
    if (end.value.type === "exit" && end.value.code !== 0) {
      const how = end.value.signal ? `was killed by ${end.value.signal}` : `ended with code ${end.value.code}`;
      throw new Error(`the command ${how}${await outputTail(trial.folder)}`);
    }
    return follower.result(value);
  };
}

/** The words of a trial's command. */
export function wordsOf(command: readonly string[], space: Space, trial: Trial): string[] {
  const overrides = Object.keys(space).flatMap((name) => {
    const value = trial.values[name];
    return value === undefined ? [] : [`${name}=${value}`];
  });
  return command.flatMap((word) => (word === "{overrides}" ? overrides : (filled(word, trial) ?? [])));
}

const places = /\{([^{}\s]+)\}/g;

function checkNames(word: string, space: Space): void {
  if (word === "{overrides}") return;
  const possible = [...Object.keys(space), ...facts];
  for (const [place, name] of word.matchAll(places)) {
    if (possible.includes(name)) continue;
    const near = nearest(name, possible);
    const fix = near ? `did you mean {${near}}?` : "correct the command";
    throw new OptionError({ where: "commandRun", expected: `a place of ${possible.join(", ")}`, received: place, fix });
  }
}

/** A word with the trial's values in it; undefined where it has none. */
function filled(word: string, trial: Trial): string | undefined {
  const { number, folder, budget, threads, continues } = trial;
  const values: Record<string, unknown> = { ...trial.values };
  Object.assign(values, { trial: number, folder, budget, threads, continues: continues?.folder });
  const isWhole = [...word.matchAll(places)].every(([, name]) => values[name] !== undefined);
  return isWhole ? word.replaceAll(places, (_, name: string) => String(values[name])) : undefined;
}

/** Reports what a command writes, until it has ended; ends it when it is pruned. */
async function follow(
  follower: MetricsFollower,
  trial: Trial,
  ended: Promise<unknown>,
  pruned: AbortController,
): Promise<void> {
  let isOver = false;
  const over = ended.then(
    () => {},
    () => {},
  );
  const wait = new AbortController();
  void over.then(() => {
    isOver = true;
    wait.abort();
  });
  for (;;) {
    const isLast = isOver;
    for (const { step, value } of await follower.read(isLast)) {
      if (trial.signal.aborted) return;
      await trial.report(step, value);
      if (trial.shouldPrune) {
        pruned.abort(new Error("the trial is pruned"));
        return;
      }
    }
    if (isLast) return;
    await sleep(POLL_MS, undefined, { signal: wait.signal }).catch(() => {});
  }
}

/** Reads the lines of a file that another process writes. */
class MetricsFollower {
  private readonly path: string;
  private readonly metric: string;
  private offset = 0;
  private readonly reports: (Report & { metrics: Record<string, number> })[] = [];

  constructor(path: string, metric: string) {
    this.path = path;
    this.metric = metric;
  }

  /** What has come since the last time. @param isComplete no more comes: what is behind the last line end is a line */
  async read(isComplete: boolean): Promise<Report[]> {
    const file = await open(this.path, "r").catch(() => undefined);
    if (!file) return [];
    try {
      const { size } = await file.stat();
      if (size < this.offset) this.offset = 0; // it was begun anew
      const bytes = new Uint8Array(size - this.offset);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, this.offset);
      // up to the last line end: what is behind it, half a character perhaps, is read next time
      const end = isComplete ? bytesRead : bytes.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      this.offset += end;
      const lines = new TextDecoder().decode(bytes.subarray(0, end)).split("\n");
      const reports = lines.flatMap((line) => this.reportOf(line) ?? []);
      this.reports.push(...reports);
      return reports;
    } finally {
      await file.close();
    }
  }

  private reportOf(line: string): (typeof this.reports)[number] | undefined {
    const json = parsed(line);
    const value = this.metric
      .split(".")
      .reduce<unknown>((part, name) => (isObject(part) ? part[name] : undefined), json);
    if (!isObject(json) || typeof value !== "number") return undefined;
    const step = typeof json.step === "number" ? json.step : this.reports.length;
    const others = Object.entries(isObject(json.metrics) ? json.metrics : {});
    const metrics = others.filter((entry): entry is [string, number] => typeof entry[1] === "number");
    return { step, value, metrics: Object.fromEntries(metrics) };
  }

  /** @throws DataError when there was no report */
  result(which: FinalValue): TrialResult {
    const [first, ...more] = this.reports;
    if (!first) {
      const expected = `lines of JSON with "${this.metric}"`;
      const fix = "have the command write them, or correct metric and metricsFile";
      throw new DataError({ where: this.path, expected, received: "none", fix });
    }
    const better = { last: () => true, smallest: lessThan, largest: greaterThan }[which];
    const { value, metrics } = more.reduce((best, report) => (better(report.value, best.value) ? report : best), first);
    return { value, ...(Object.keys(metrics).length > 0 && { metrics }) };
  }
}

const lessThan = (a: number, b: number) => a < b;
const greaterThan = (a: number, b: number) => a > b;

function parsed(line: string): unknown {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
