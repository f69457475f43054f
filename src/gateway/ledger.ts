import { RuntimeError } from "../base/index.ts";
import type { UsageRow, UsageStore } from "./usage-store.ts";

export interface LedgerOptions {
  store: UsageStore;
  /** Gets what the store refused, each time it does. */
  onError: (error: unknown) => void;
  /** Longest time that a row waits, in milliseconds. @default 1000 */
  delayMs?: number;
}

/** Rows that may wait while the store refuses. */
const MOST_ROWS = 100_000;
/** How often the rest is tried when the gateway ends. */
const LAST_TRIES = 5;

/** Writes usage in batches, off the way of requests. What the store refuses is kept and tried again. */
export class Ledger {
  private rows: UsageRow[] = [];
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private readonly options: LedgerOptions;

  constructor(options: LedgerOptions) {
    this.options = options;
  }

  /** Whether so much waits that nothing more should be spent. */
  get isFull(): boolean {
    return this.rows.length >= MOST_ROWS;
  }

  /** Rows that wait. */
  get size(): number {
    return this.rows.length;
  }

  add(row: UsageRow): void {
    this.rows.push(row);
    this.schedule();
  }

  /** Writes what waits. Never throws: what is refused waits on. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.writing = this.writing.then(() => this.write());
    return this.writing;
  }

  private schedule(): void {
    this.timer ??= setTimeout(() => void this.flush(), this.options.delayMs ?? 1000);
  }

  private async write(): Promise<void> {
    const batch = this.rows;
    if (batch.length === 0) return;
    this.rows = [];
    try {
      await this.options.store.add(batch);
    } catch (error) {
      this.rows = [...batch, ...this.rows];
      this.options.onError(error);
      this.schedule();
    }
  }

  /** Writes all and closes the store. @throws RuntimeError where rows are left that it refused each time */
  async close(): Promise<void> {
    for (let i = 0; i < LAST_TRIES; i++) {
      await this.flush();
      if (this.rows.length === 0) break;
    }
    clearTimeout(this.timer);
    const left = this.rows.length;
    await this.options.store.close();
    if (left === 0) return;
    throw new RuntimeError({
      where: "gateway usage",
      expected: "a store that takes all rows",
      received: `one that refused ${left} of them`,
      fix: "check the database: the usage of these requests is lost",
    });
  }
}
