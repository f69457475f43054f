import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isObject } from "../base/index.ts";
import { exists, writeFileAtomic } from "../files/index.ts";
import { AppendFile } from "./append-file.ts";
import { type QueueOptions, queuedTracker, type TrackerSink } from "./queued.ts";
import type { RunDescription, TrackedEntry, Tracker } from "./tracker.ts";

/** Where a tracker writes its file. */
export interface FileOptions extends QueueOptions {
  /** @default tracked.csv or tracked.jsonl in the run's folder */
  path?: string;
}

/**
 * Writes numbers as CSV: `step,time` and a column for each number, a line for what was measured together. A number that
 * comes later gets a column at the end, and the file is written anew. Texts, histograms and pictures are left out.
 * @throws OptionError for wrong options
 */
export function csv({ path, ...options }: FileOptions = {}): Tracker {
  return queuedTracker(new CsvFile(path), options);
}

/**
 * Writes numbers and texts as JSON Lines: `{"step": 3, "time": "2026-...Z", "train/loss": 2.5}`, and
 * `{"step": 3, "time": ..., "name": "sample", "text": "..."}`. Histograms and pictures are left out.
 * @throws OptionError for wrong options
 */
export function jsonl({ path, ...options }: FileOptions = {}): Tracker {
  return queuedTracker(new JsonlFile(path), options);
}

const isoTime = (timeMs: number) => new Date(timeMs).toISOString();

/** What a file holds so far; nothing where a new run begins. */
const readSoFar = async (path: string, resumedStep: number): Promise<string> =>
  resumedStep > 0 && (await exists(path)) ? readFile(path, "utf8") : "";

class JsonlFile implements TrackerSink {
  readonly name = "JSON Lines";
  private path: string | undefined;
  private file: AppendFile | undefined;

  constructor(path: string | undefined) {
    this.path = path;
  }

  async open({ folder }: RunDescription, resumedStep: number): Promise<void> {
    this.path ??= join(folder, "tracked.jsonl");
    const lines = (await readSoFar(this.path, resumedStep)).split("\n").filter((line) => stepOf(line) <= resumedStep);
    await writeFileAtomic(this.path, lines.map((line) => `${line}\n`).join(""));
    this.file = await AppendFile.open(this.path);
  }

  async write(entries: readonly TrackedEntry[]): Promise<void> {
    const lines = entries.flatMap((entry) => {
      const { step, timeMs } = entry;
      const begin = { step, time: isoTime(timeMs) };
      if (entry.type === "values") return JSON.stringify({ ...begin, ...entry.values });
      return entry.type === "text" ? JSON.stringify({ ...begin, name: entry.name, text: entry.text }) : [];
    });
    await this.file?.append(lines.map((line) => `${line}\n`).join(""));
  }

  async close(): Promise<void> {
    await this.file?.close();
  }
}

/** The step of a line; infinity for one that a kill has torn. */
function stepOf(line: string): number {
  try {
    const entry = JSON.parse(line);
    return isObject(entry) && typeof entry.step === "number" ? entry.step : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

const FIRST_COLUMNS = ["step", "time"];

class CsvFile implements TrackerSink {
  readonly name = "CSV";
  private path: string | undefined;
  private file: AppendFile | undefined;
  private columns: readonly string[] = FIRST_COLUMNS;

  constructor(path: string | undefined) {
    this.path = path;
  }

  async open({ folder }: RunDescription, resumedStep: number): Promise<void> {
    this.path ??= join(folder, "tracked.csv");
    const [header = "", ...rows] = (await readSoFar(this.path, resumedStep)).split("\n");
    this.columns = header === "" ? FIRST_COLUMNS : cellsOf(header);
    const { length } = this.columns;
    // cells of rows are numbers and times, which have no commas
    const kept = rows.filter((row) => row.split(",").length === length && Number.parseInt(row, 10) <= resumedStep);
    await this.rewrite(kept);
  }

  async write(entries: readonly TrackedEntry[]): Promise<void> {
    const rows = entries.filter((entry) => entry.type === "values");
    const known = new Set(this.columns);
    const additional = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))].filter(
      (name) => !known.has(name),
    );
    if (additional.length > 0) await this.addColumns(additional);
    const lines = rows.map(({ step, timeMs, values }) => {
      const numbers = this.columns.slice(FIRST_COLUMNS.length).map((name) => values[name] ?? "");
      return `${[step, isoTime(timeMs), ...numbers].join(",")}\n`;
    });
    await this.file?.append(lines.join(""));
  }

  async close(): Promise<void> {
    await this.file?.close();
  }

  private async addColumns(names: readonly string[]): Promise<void> {
    const rows = (await readFile(this.path as string, "utf8")).split("\n").slice(1);
    const before = this.columns;
    this.columns = [...before, ...names];
    try {
      const empty = ",".repeat(names.length);
      await this.rewrite(rows.filter((row) => row !== "").map((row) => `${row}${empty}`));
    } catch (error) {
      this.columns = before;
      throw error;
    }
  }

  private async rewrite(rows: readonly string[]): Promise<void> {
    const path = this.path as string;
    const lines = [this.columns.map(cellOf).join(","), ...rows];
    await writeFileAtomic(path, lines.map((line) => `${line}\n`).join(""));
    const before = this.file;
    this.file = await AppendFile.open(path);
    await before?.close();
  }
}

/** A name as a cell, RFC 4180. */
const cellOf = (name: string) =>
  /[",\r\n]/.test(name) ? `"${name.replace(/"/g, '""').replace(/[\r\n]+/g, " ")}"` : name;

/** The names of a header that `cellOf` wrote. */
const cellsOf = (header: string): string[] =>
  [...header.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
    .slice(0, -1) // the empty match at the end
    .map(([, cell]) => (cell.startsWith('"') ? cell.slice(1, -1).replace(/""/g, '"') : cell));
