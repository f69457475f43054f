import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AppendFile } from "../append-file.ts";
import { Message } from "../message.ts";
import { type QueueOptions, queuedTracker, type TrackerSink } from "../queued.ts";
import type { ConfigValue, RunDescription, RunSummary, TrackedEntry, Tracker } from "../tracker.ts";
import { histogramOf } from "./histogram.ts";
import { recordOf } from "./record.ts";
import {
  endValue,
  experimentValue,
  histogramValue,
  imageValue,
  optionsValue,
  scalarValue,
  textValue,
} from "./summary.ts";

/** What is compared on the page HPARAMS. */
const COMPARED = ["train/loss", "validation/loss"];
/** The version of event files in which a start takes back what is written of later steps. */
const FILE_VERSION = "brain.Event:2";
const START = 1;
const fileName = /^events\.out\.tfevents\.(\d{10})\./;

/**
 * Writes event files that TensorBoard reads, a file for each session: numbers, texts, histograms, pictures, and the
 * options of the run for its page HPARAMS. `tensorboard --logdir runs` shows all runs.
 * @param options folder: of the event files. @default tensorboard/ in the run's folder
 * @throws OptionError for wrong options
 */
export function tensorBoard({ folder, ...options }: QueueOptions & { folder?: string } = {}): Tracker {
  return queuedTracker(new EventFile(folder), options);
}

class EventFile implements TrackerSink {
  readonly name = "TensorBoard";
  private readonly folder: string | undefined;
  private file: AppendFile | undefined;

  constructor(folder: string | undefined) {
    this.folder = folder;
  }

  async open({ name, folder, config }: RunDescription, resumedStep: number): Promise<void> {
    const place = this.folder ?? join(folder, "tensorboard");
    const timeMs = Date.now();
    this.file ??= await AppendFile.open(join(place, `events.out.tfevents.${await nextSecond(place, timeMs)}.kindling`));
    await this.file.append(joinedRecords(firstEvents({ name, config, resumedStep, timeMs })));
  }

  async write(entries: readonly TrackedEntry[]): Promise<void> {
    const events = entries.flatMap((entry) => {
      const values = valuesOf(entry);
      return values.length > 0 ? [summaryEvent(entry.step, entry.timeMs, values)] : [];
    });
    await this.file?.append(joinedRecords(events));
  }

  async close({ end, step }: RunSummary): Promise<void> {
    const timeMs = Date.now();
    try {
      await this.file?.append(joinedRecords([summaryEvent(step, timeMs, [endValue(end, timeMs / 1000)])]));
    } finally {
      await this.file?.close();
    }
  }
}

/** The time of a new file, in seconds: later than that of all others, for files are read by their names' order. */
async function nextSecond(folder: string, timeMs: number): Promise<string> {
  const names = await readdir(folder).catch(() => []);
  const times = names.map((name) => Number(fileName.exec(name)?.[1] ?? 0));
  return String(Math.max(Math.floor(timeMs / 1000), 1 + Math.max(0, ...times))).padStart(10, "0");
}

interface Session {
  name: string;
  config: Readonly<Record<string, ConfigValue>>;
  resumedStep: number;
  timeMs: number;
}

function firstEvents({ name, config, resumedStep, timeMs }: Session): Message[] {
  const timeSeconds = timeMs / 1000;
  // of the first start TensorBoard takes nothing back, so that a new run has one too
  const start = eventOf(resumedStep + 1, timeMs).message(7, new Message().int(1, START));
  const events = [eventOf(0, timeMs).text(3, FILE_VERSION), start];
  const values = [experimentValue(config, COMPARED, timeSeconds), optionsValue(config, { group: name, timeSeconds })];
  return [...events, summaryEvent(0, timeMs, values)];
}

// tensorboard/compat/proto/event.proto
const eventOf = (step: number, timeMs: number): Message => new Message().double(1, timeMs / 1000).int(2, step);

function summaryEvent(step: number, timeMs: number, values: readonly Message[]): Message {
  const summary = new Message();
  for (const value of values) summary.message(1, value);
  return eventOf(step, timeMs).message(5, summary);
}

function valuesOf(entry: TrackedEntry): Message[] {
  switch (entry.type) {
    case "values":
      return Object.entries(entry.values).map(([name, value]) => scalarValue(name, value));
    case "text":
      return [textValue(entry.name, entry.text)];
    case "image":
      return [imageValue(entry.name, entry.picture)];
    case "histogram": {
      const histogram = histogramOf(entry.values);
      return histogram ? [histogramValue(entry.name, histogram)] : [];
    }
  }
}

const joinedRecords = (events: readonly Message[]): Uint8Array =>
  Buffer.concat(events.map((event) => recordOf(event.bytes())));
