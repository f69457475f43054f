import { type Clock, systemClock } from "./clock.ts";

/** How long a thread may be idle, and by which clock. */
export interface IdleOptions {
  /** How long it stays that has nothing to do, in milliseconds. @default 60000 */
  idleMs?: number;
  /** @default the system's */
  clock?: Clock;
}

/** A thread keeps some ten megabytes, and what it has loaded; to start it anew takes some tenths of a second. */
const IDLE_MS = 60_000;

/** Ends what has had nothing to do for a while. */
export class IdleEnd {
  private readonly end: () => void;
  private readonly idleMs: number;
  private readonly clock: Clock;
  private cancel = () => {};

  constructor(end: () => void, { idleMs = IDLE_MS, clock = systemClock }: IdleOptions = {}) {
    this.end = end;
    this.idleMs = idleMs;
    this.clock = clock;
  }

  /** From now on it has nothing to do. */
  begin(): void {
    this.cancel();
    this.cancel = this.clock.after(this.idleMs, this.end);
  }

  /** It has something to do, or is gone. */
  stop(): void {
    this.cancel();
  }
}
