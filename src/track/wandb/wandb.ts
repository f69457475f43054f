import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { exists, makeFolder, readJson, writeFileAtomic, writeJson } from "../../files/index.ts";
import { AppendFile } from "../append-file.ts";
import { type QueueOptions, queuedTracker, type TrackerSink } from "../queued.ts";
import type { RunDescription, RunSummary, TrackedEntry, Tracker } from "../tracker.ts";
import { exitRecord, headerRecord, historyRecord, kindOf, runRecord, summaryRecord } from "./records.ts";
import { logBytes, logRecords } from "./transaction-log.ts";

/** How a run is named in W&B. */
export interface WandbOptions extends QueueOptions {
  /** @default "kindling" */
  project?: string;
  /** Team or user. @default that of who syncs */
  entity?: string;
  /** Folder of offline runs. @default wandb/ in the working directory, where `wandb sync` looks */
  folder?: string;
}

/**
 * Writes an offline run of Weights & Biases, which `wandb sync` uploads: numbers, texts and histograms by step. No
 * account and no network are needed. A run that goes on writes to the same file, after what it takes back; one that was
 * synced in between gets a new file, with the same id. Pictures are left out.
 * @throws OptionError for wrong options
 */
export function wandb({ project = "kindling", entity, folder = "wandb", ...options }: WandbOptions = {}): Tracker {
  return queuedTracker(new OfflineRun({ project, entity, folder }), options);
}

/** What is kept in wandb.json in the run's folder, to go on. */
interface Stored {
  id: string;
  file: string;
}

const BINS = 64;

class OfflineRun implements TrackerSink {
  readonly name = "W&B";
  private readonly options: { project: string; entity: string | undefined; folder: string };
  private file: AppendFile | undefined;
  private bytes = 0;
  private number = 0;
  private startMs = Date.now();
  /** Of the last step, until another comes: W&B has a row for each. */
  private pending: { step: number; values: Record<string, unknown> } | undefined;
  private last: Record<string, unknown> = {};

  constructor(options: OfflineRun["options"]) {
    this.options = options;
  }

  async open({ name, folder, config, tags = {} }: RunDescription, resumedStep: number): Promise<void> {
    const { project, entity } = this.options;
    const stored = resumedStep > 0 ? await readStored(folder) : undefined;
    const id = stored?.id ?? randomBytes(4).toString("hex");
    const kept = stored && !(await exists(`${stored.file}.synced`)) ? await recordsUntil(stored.file, resumedStep) : [];
    const file = kept.length > 0 && stored ? stored.file : await this.newFile(id);
    this.number = kept.length;
    const run = { id, entity, project, name, config, tags: Object.values(tags), startMs: this.startMs };
    const records = kept.length > 0 ? kept : [headerRecord(this.next()), runRecord(this.next(), run)];
    const bytes = logBytes(records, 0);
    await writeFileAtomic(file, bytes);
    await writeJson(join(folder, "wandb.json"), { id, file });
    await this.file?.close();
    this.file = await AppendFile.open(file);
    this.bytes = bytes.length;
  }

  async write(entries: readonly TrackedEntry[]): Promise<void> {
    const before = { number: this.number, pending: this.pending, last: this.last };
    const records = entries.flatMap((entry) => this.recordsOf(entry));
    try {
      await this.append(records);
    } catch (error) {
      Object.assign(this, before); // the same entries come again
      throw error;
    }
  }

  async close({ end, values }: RunSummary): Promise<void> {
    try {
      const rest = this.pending ? [this.rowOf(this.pending)] : [];
      const seconds = (Date.now() - this.startMs) / 1000;
      const summary = summaryRecord(this.next(), { ...this.last, ...values });
      await this.append([...rest, summary, exitRecord(this.next(), end, seconds)]);
    } finally {
      await this.file?.close();
    }
  }

  private next(): number {
    return ++this.number;
  }

  private async newFile(id: string): Promise<string> {
    const time = new Date(this.startMs).toISOString().replace(/[-:]/g, "").replace("T", "_").slice(0, 15);
    const folder = join(this.options.folder, `offline-run-${time}-${id}`);
    await makeFolder(join(folder, "files"));
    return join(folder, `run-${id}.wandb`);
  }

  private async append(records: readonly Uint8Array[]): Promise<void> {
    if (records.length === 0) return;
    const bytes = logBytes(records, this.bytes);
    await this.file?.append(bytes);
    this.bytes += bytes.length;
  }

  /** The row of the step before, when this entry is of another. */
  private recordsOf(entry: TrackedEntry): Uint8Array[] {
    const values = valuesOf(entry);
    if (!values) return [];
    const { step, timeMs } = entry;
    const times = { _timestamp: timeMs / 1000, _runtime: (timeMs - this.startMs) / 1000 };
    this.last = { ...this.last, ...values };
    const earlier = this.pending;
    if (earlier?.step === step) {
      this.pending = { step, values: { ...earlier.values, ...values, ...times } };
      return [];
    }
    this.pending = { step, values: { ...values, ...times } };
    return earlier ? [this.rowOf(earlier)] : [];
  }

  private rowOf({ step, values }: NonNullable<OfflineRun["pending"]>): Uint8Array {
    return historyRecord(this.next(), step, values);
  }
}

function valuesOf(entry: TrackedEntry): Record<string, unknown> | undefined {
  if (entry.type === "values") return entry.values;
  if (entry.type === "text") return { [entry.name]: entry.text };
  return entry.type === "histogram"
    ? { [entry.name]: histogramOf(Array.from(entry.values).filter(Number.isFinite)) }
    : undefined;
}

/** As W&B's Histogram is in JSON: counts in bins of one width, and the limits of the bins. */
function histogramOf(values: readonly number[]): object {
  const [low, high] = [values.reduce((a, b) => Math.min(a, b), 0), values.reduce((a, b) => Math.max(a, b), 0)];
  const width = (high - low || 1) / BINS;
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - low) / width))]++;
  return { _type: "histogram", values: counts, bins: Array.from({ length: BINS + 1 }, (_, i) => low + i * width) };
}

async function readStored(folder: string): Promise<Stored | undefined> {
  const { id, file } = await readJson(join(folder, "wandb.json")).catch(() => ({}) as Record<string, unknown>);
  return typeof id === "string" && typeof file === "string" ? { id, file } : undefined;
}

/** The records of a file up to a step, without its end. */
async function recordsUntil(file: string, lastStep: number): Promise<Uint8Array[]> {
  const records = logRecords(await readFile(file).catch(() => new Uint8Array()));
  return records.filter((record) => {
    const { kind, step } = kindOf(record);
    return kind === "head" || (kind === "history" && step <= lastStep);
  });
}
