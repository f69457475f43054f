import { RequestError } from "./errors.ts";

export interface QueueOptions {
  /** Most requests that wait while others are answered; more get 429. @default 64 */
  maxQueue?: number;
  /** How long a request may wait for its turn, in milliseconds. @default 300000 */
  queueTimeoutMs?: number;
}

/** Turns of which the mean length is taken, weighted so that recent ones count most. */
const RECENT_TURNS = 8;
/** Official clients wait as they are told if it is less than a minute. */
const LONGEST_RETRY_S = 59;

interface Waiting {
  start: () => void;
}

/** As many requests are answered at the same time as the model writes texts; others wait, in their order. */
export class RequestQueue {
  private readonly maxQueue: number;
  private readonly queueTimeoutMs: number;
  private readonly concurrency: number;
  private readonly waiting = new Set<Waiting>();
  /** Requests that are answered. */
  private answered = 0;
  /** Requests inside: those being read or encoded, waiting, and answered. */
  private inside = 0;
  /** Requests of batches. */
  private aside = 0;
  private meanTurnMs = 1000;
  private readonly idlers: (() => void)[] = [];

  /** @param concurrency requests that are answered at the same time */
  constructor(concurrency: number, { maxQueue = 64, queueTimeoutMs = 300_000 }: QueueOptions = {}) {
    this.concurrency = concurrency;
    this.maxQueue = maxQueue;
    this.queueTimeoutMs = queueTimeoutMs;
  }

  /**
   * Takes a place for a request that is to be worked on; `leave` gives it back.
   * @throws RequestError 429 when all places are taken
   */
  enter(): Place {
    if (this.inside >= this.concurrency + this.maxQueue) {
      const turns = this.inside / this.concurrency;
      const seconds = Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil((this.meanTurnMs * turns) / 1000)));
      throw new RequestError({
        status: 429,
        message: `The server is busy: ${this.inside} requests are under way, and it takes no more. Try again in ${seconds} s.`,
        type: "requests",
        code: "rate_limit_exceeded",
        headers: { "retry-after": String(seconds) },
      });
    }
    this.inside++;
    return new Place({
      turn: (signal) => this.turn(signal),
      leave: (turnMs) => this.leave(turnMs),
    });
  }

  /**
   * Takes a place for a request of a batch, which is in nobody's way: its priority is low, and the model leaves its
   * text aside while it has others to write.
   */
  enterAside(): Place {
    this.aside++;
    const leave = () => {
      this.aside--;
      this.wakeIdlers();
    };
    return new Place({ turn: async (signal) => signal.throwIfAborted(), leave });
  }

  /** Resolves when no request is inside. */
  async idle(): Promise<void> {
    if (this.inside + this.aside > 0) await new Promise<void>((resolve) => this.idlers.push(resolve));
  }

  /** Waits until one of those that are answered ends, and all that came before have begun or gone. */
  private async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.answered < this.concurrency) {
      this.answered++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const settle = (then: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        this.waiting.delete(entry);
        then();
      };
      const entry: Waiting = { start: () => settle(resolve) };
      const onAbort = () => settle(() => reject(signal.reason));
      const timer = setTimeout(() => settle(() => reject(this.timeoutError())), this.queueTimeoutMs);
      signal.addEventListener("abort", onAbort);
      this.waiting.add(entry);
    });
  }

  private timeoutError(): RequestError {
    const message = `The request waited ${this.queueTimeoutMs / 1000} s for its turn (queueTimeoutMs).`;
    return new RequestError({
      status: 503,
      message,
      code: "queue_timeout",
      headers: { "retry-after": String(LONGEST_RETRY_S) },
    });
  }

  /** @param turnMs how long the turn took, or undefined for a request that has none */
  private leave(turnMs: number | undefined): void {
    this.inside--;
    this.wakeIdlers();
    if (turnMs !== undefined) this.next(turnMs);
  }

  private wakeIdlers(): void {
    if (this.inside + this.aside === 0) for (const resolve of this.idlers.splice(0)) resolve();
  }

  private next(turnMs: number): void {
    this.meanTurnMs += (turnMs - this.meanTurnMs) / RECENT_TURNS;
    const [next] = this.waiting;
    if (next) next.start();
    else this.answered--;
  }
}

/** A request's place in the queue. */
export class Place {
  private readonly queue: {
    turn: (signal: AbortSignal) => Promise<void>;
    leave: (turnMs: number | undefined) => void;
  };
  private turnStart: number | undefined;
  private hasLeft = false;

  constructor(queue: Place["queue"]) {
    this.queue = queue;
  }

  /** Waits for the turn; `leave` ends it. @throws the signal's reason, or RequestError 503 when it takes too long */
  async turn(signal: AbortSignal): Promise<void> {
    await this.queue.turn(signal);
    this.turnStart = performance.now();
  }

  leave(): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    this.queue.leave(this.turnMs);
  }

  private get turnMs(): number | undefined {
    return this.turnStart === undefined ? undefined : performance.now() - this.turnStart;
  }
}
