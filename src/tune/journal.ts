import { DataError, isObject } from "../base/index.ts";
import type { Report, TrialRecord, TrialState } from "./records.ts";
import type { Scalar } from "./space.ts";

/** What happened to a trial: a line of trials.jsonl. Times are milliseconds since 1970. */
export type StudyEvent =
  | {
      type: "start";
      trial: number;
      /** 1 for the first time. */
      attempt: number;
      values: Readonly<Record<string, Scalar>>;
      budget?: number;
      continues?: number;
      time: number;
    }
  | { type: "report"; trial: number; step: number; value: number; time: number }
  | {
      type: "end";
      trial: number;
      state: Exclude<TrialState, "running">;
      value?: number;
      constraints?: Readonly<Record<string, number>>;
      metrics?: Readonly<Record<string, number>>;
      error?: string;
      time: number;
    };

/** Where events are kept. */
export interface Journal {
  /** Resolves when the event is kept: ends and beginnings of trials on the disk, whatever happens to the machine. */
  append(event: StudyEvent): Promise<void>;
  close(): Promise<void>;
}

/** For a study that is not kept. */
export const noJournal: Journal = { append: async () => {}, close: async () => {} };

type Mutable = { -readonly [K in keyof TrialRecord]: TrialRecord[K] } & { reports: Report[] };

/** Trials as events tell them. */
export class Trials {
  /** By number. */
  readonly list: readonly TrialRecord[] = [];
  /** Numbers of those that have ended, in the order in which they did. */
  readonly ended: number[] = [];

  /** @throws DataError for an event that cannot come after those before */
  apply(event: StudyEvent): TrialRecord {
    const list = this.list as Mutable[];
    const trial = list[event.trial];
    if (event.type === "start") {
      const { attempt, values, budget, continues, time } = event;
      if (event.trial > list.length || (trial && trial.state !== "running")) throw outOfOrder(event);
      list[event.trial] = {
        ...{ number: event.trial, state: "running", values, attempts: attempt, reports: [], startTime: time },
        ...(budget !== undefined && { budget }),
        ...(continues !== undefined && { continues }),
      };
      return list[event.trial];
    }
    if (trial?.state !== "running") throw outOfOrder(event);
    if (event.type === "report") addReport(trial.reports, event);
    else {
      const { type: _, trial: __, time, ...end } = event;
      Object.assign(trial, { ...end, endTime: time });
      this.ended.push(event.trial);
    }
    return trial;
  }
}

/** The later report of one step counts. */
function addReport(reports: Report[], { step, value }: Report): void {
  const known = reports.find((report) => report.step === step);
  if (known) known.value = value;
  else reports.push({ step, value });
}

const outOfOrder = ({ type, trial }: StudyEvent) =>
  new DataError({
    where: `trial ${trial}`,
    expected: "events in the order in which they happen",
    received: `its ${type} at another time`,
    fix: "the file is damaged: remove the lines from there on",
  });

/** JSON has no numbers for these. */
const notFinite = new Map(["NaN", "Infinity", "-Infinity"].map((text) => [text, Number(text)]));

/** A line of trials.jsonl, its end included. */
export const eventLine = (event: StudyEvent): string =>
  `${JSON.stringify(event, (_, value) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  )}\n`;

/** The event of a line; undefined for what is none. */
export function parseEvent(line: string): StudyEvent | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(event) || !Number.isSafeInteger(event.trial) || (event.trial as number) < 0) return undefined;
  if (typeof event.time !== "number") return undefined;
  if (event.type === "start")
    return isObject(event.values) && isCount(event.attempt) ? (event as StudyEvent) : undefined;
  if (event.type === "report") return parseReport(event);
  const isEnd = event.type === "end" && ["complete", "pruned", "failed"].includes(event.state as string);
  const hasValue = event.state !== "complete" || typeof event.value === "number";
  if (!isEnd || !hasValue) return undefined;
  return { ...event, ...(isObject(event.metrics) && { metrics: numbersOf(event.metrics) }) } as StudyEvent;
}

const numberOf = (value: unknown) => (typeof value === "string" ? notFinite.get(value) : value);
const numbersOf = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, numberOf(value)]));

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;

function parseReport(event: Record<string, unknown>): StudyEvent | undefined {
  const value = numberOf(event.value);
  return typeof value === "number" && typeof event.step === "number" ? ({ ...event, value } as StudyEvent) : undefined;
}
