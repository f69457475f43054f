import { checkOptions, numberRules, type OnWarning, requireNumbers, warnOnConsole } from "../base/index.ts";
import type { Picture, RunDescription, RunSummary, TrackedEntry, Tracker } from "./tracker.ts";

/** Where entries go: a file or a server. Its calls come one after another, and may fail. */
export interface TrackerSink {
  /** For warnings, such as "MLflow at http://127.0.0.1:5000". */
  readonly name: string;
  /** Called again when it failed. Aborts with the signal. */
  open(run: RunDescription, resumedStep: number, signal: AbortSignal): Promise<void>;
  /** Writes all or nothing where it can: what failed is given again. */
  write(entries: readonly TrackedEntry[], signal: AbortSignal): Promise<void>;
  /** Called once, after the last write; also where `open` never worked, to let go of what it holds. */
  close(summary: RunSummary, signal: AbortSignal): Promise<void>;
}

/** How long entries wait, and how many. */
export interface QueueOptions {
  /** Time from one write to the next. After a failure it doubles, up to a minute. @default 2000 */
  flushIntervalMs?: number;
  /** Most entries that wait; one more drops the oldest. @default 10000 */
  mostQueued?: number;
  /** How long `finish` waits for what is left, which is dropped then. @default 10000 */
  finishTimeoutMs?: number;
  /** Gets the first failure, and at the end what was lost. @default warnOnConsole */
  onWarning?: OnWarning;
}

const optionNames: readonly (keyof QueueOptions)[] = ["flushIntervalMs", "mostQueued", "finishTimeoutMs", "onWarning"];
/** Entries of one write: a failure gives no more than these again. */
const WRITE_ENTRIES = 1000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * A tracker that hands entries to a sink in the background. Entries wait in a queue, are written every
 * `flushIntervalMs`, and are written again after a failure; a queue that is full drops its oldest. The first failure is
 * warned of, and at the end how many entries were lost; nothing else is said, and nothing is thrown.
 * @throws OptionError for wrong options
 */
export function queuedTracker(sink: TrackerSink, options: QueueOptions = {}): Tracker {
  return new QueuedTracker(sink, options);
}

class QueuedTracker implements Tracker {
  private readonly sink: TrackerSink;
  private readonly options: Required<QueueOptions>;
  private queue: TrackedEntry[] = [];
  private begin: { run: RunDescription; resumedStep: number } | undefined;
  private readonly ending = new AbortController();
  private isOpen = false;
  private isFinished = false;
  private hasWarned = false;
  private lost = 0;
  private pauseMs: number;
  private timer: NodeJS.Timeout | undefined;
  /** The drain under way, or the last one. */
  private work: Promise<void> = Promise.resolve();
  private isBusy = false;

  constructor(sink: TrackerSink, options: QueueOptions) {
    const where = `tracker ${sink.name}`;
    checkOptions(where, options, optionNames);
    const defaults = { flushIntervalMs: 2000, mostQueued: 10_000, finishTimeoutMs: 10_000, onWarning: warnOnConsole };
    this.sink = sink;
    this.options = { ...defaults, ...options };
    const { flushIntervalMs, mostQueued, finishTimeoutMs } = this.options;
    const { positive, positiveInteger } = numberRules;
    requireNumbers(
      where,
      { flushIntervalMs, mostQueued, finishTimeoutMs },
      { flushIntervalMs: positive, mostQueued: positiveInteger, finishTimeoutMs: positive },
    );
    this.pauseMs = flushIntervalMs;
  }

  start(run: RunDescription, resumedStep: number): void {
    this.begin = { run, resumedStep };
    this.schedule(0);
  }

  log(step: number, values: Readonly<Record<string, number>>): void {
    this.push({ type: "values", step, timeMs: Date.now(), values: { ...values } });
  }

  text(step: number, name: string, text: string): void {
    this.push({ type: "text", step, timeMs: Date.now(), name, text });
  }

  histogram(step: number, name: string, values: ArrayLike<number>): void {
    this.push({ type: "histogram", step, timeMs: Date.now(), name, values: Float64Array.from(values) });
  }

  image(step: number, name: string, picture: Picture): void {
    const { width, height, rgb } = picture;
    if (width * height * 3 === rgb.length && rgb.length > 0)
      this.push({ type: "image", step, timeMs: Date.now(), name, picture: { width, height, rgb: rgb.slice() } });
    else this.warnOnce(`the picture ${name} has ${rgb.length} bytes for ${width} x ${height} pixels and is left out.`);
  }

  async finish(summary: RunSummary): Promise<void> {
    if (this.isFinished) return;
    this.isFinished = true;
    clearTimeout(this.timer);
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.ending.abort(new Error("the time for what is left is over"));
        resolve();
      }, this.options.finishTimeoutMs);
    });
    await Promise.race([this.end(summary), tooLate]);
    clearTimeout(timer);
    const lost = this.lost + this.queue.length;
    if (lost > 0) this.warn(`${lost} entries are lost`);
  }

  /** Writes what is left, once, and closes the sink whatever comes of it. */
  private async end(summary: RunSummary): Promise<void> {
    await this.work;
    if (this.begin) await this.drain();
    await this.sink.close(summary, this.ending.signal).catch((error) => this.warnOnce(error));
  }

  private push(entry: TrackedEntry): void {
    if (this.isFinished) return;
    this.queue.push(entry);
    this.trim();
    if (this.begin) this.schedule(this.pauseMs);
  }

  private trim(): void {
    const excess = this.queue.length - this.options.mostQueued;
    if (excess <= 0) return;
    this.queue.splice(0, excess);
    this.lost += excess;
  }

  private schedule(pauseMs: number): void {
    if (this.timer || this.isBusy || this.isFinished) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.work = this.drain();
    }, pauseMs);
    this.timer.unref(); // `finish` writes what is left
  }

  /** Opens the sink where that is to be done, and writes what waits. Never rejects. */
  private async drain(): Promise<void> {
    const { begin, ending, sink } = this;
    if (!begin) return;
    this.isBusy = true;
    let batch: TrackedEntry[] = [];
    try {
      if (!this.isOpen) await sink.open(begin.run, begin.resumedStep, ending.signal);
      this.isOpen = true;
      while (this.queue.length > 0) {
        batch = this.queue.splice(0, WRITE_ENTRIES);
        await sink.write(batch, ending.signal);
        batch = [];
      }
      this.pauseMs = this.options.flushIntervalMs;
    } catch (error) {
      this.queue = [...batch, ...this.queue];
      this.trim();
      this.pauseMs = Math.min(2 * this.pauseMs, Math.max(LONGEST_PAUSE_MS, this.options.flushIntervalMs));
      this.warnOnce(error);
    }
    this.isBusy = false;
    if (this.queue.length > 0) this.schedule(this.pauseMs);
  }

  private warnOnce(error: unknown): void {
    if (this.hasWarned) return;
    this.hasWarned = true;
    const message = error instanceof Error ? error.message : String(error);
    const reason = /[.!?]$/.test(message) ? message : `${message}.`;
    this.warn(`${reason} Training goes on; the last ${this.options.mostQueued} entries wait, and are tried again`);
  }

  private warn(note: string): void {
    this.options.onWarning({ where: this.sink.name, notes: [note] });
  }
}
