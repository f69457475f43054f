import { Worker } from "node:worker_threads";
import { onAbort } from "../../base/index.ts";
import { type JobAnswer, type JobMessage, jobResult } from "../../generate/index.ts";
import { ClientTurns } from "../client-turns.ts";
import { RequestError } from "../errors.ts";
import { IdleEnd, type IdleOptions } from "../idle-end.ts";

/** A program of its own; from source, as in tests, the built one: Node 20 reads no TypeScript. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts")
    ? "../../../dist/generate/grammar-jobs/worker.js"
    : "../../generate/grammar-jobs/worker.js",
  import.meta.url,
);

/** What a job may take, in milliseconds. The limits of grammars bound it to a second or two on an idle machine. */
const MOST_MS = 10_000;

export interface JobOptions {
  /** Whose it is: clients have turns. */
  client: string;
  /** Aborted when nobody waits for it any more. */
  signal: AbortSignal;
}

interface Job extends JobOptions {
  messages: Iterable<JobMessage>;
  settle: (settled: { answer: JobAnswer<unknown> } | { error: unknown }) => void;
}

/**
 * A thread that makes grammars, one after the other. Clients have turns: who sends many waits for them alone. How many
 * wait is bounded by the places of the queue of requests, of which each waits for one at a time.
 */
export class GrammarThread {
  private readonly mostMs: number;
  private readonly waiting = new ClientTurns<Job>();
  private current: Job | undefined;
  private worker: Worker | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly idle: IdleEnd;

  /** @param options.mostMs what a job may take. @default 10000 */
  constructor({ mostMs = MOST_MS, ...options }: IdleOptions & { mostMs?: number } = {}) {
    this.mostMs = mostMs;
    this.idle = new IdleEnd(() => void this.dispose(), options);
  }

  /**
   * What a job comes to.
   * @param messages the last of which is answered
   * @throws what the job is refused for; RequestError 400 when it takes too long; the signal's reason; Error when the
   *   thread ends
   */
  async run<T>(messages: Iterable<JobMessage>, { client, signal }: JobOptions): Promise<T> {
    signal.throwIfAborted();
    const answer = await new Promise<JobAnswer<unknown>>((resolve, reject) => {
      const stop = onAbort(signal, () => this.abandon(job));
      const job: Job = {
        messages,
        client,
        signal,
        settle: (settled) => {
          stop();
          if ("answer" in settled) resolve(settled.answer);
          else reject(settled.error);
        },
      };
      this.waiting.add(job);
      this.next();
    });
    return jobResult(answer as JobAnswer<T>);
  }

  /** Ends the thread; it starts anew when there is something to do. */
  async dispose(): Promise<void> {
    const { worker } = this;
    this.idle.stop();
    clearTimeout(this.timer);
    this.worker = undefined;
    await worker?.terminate();
  }

  private next(): void {
    if (this.current) return;
    this.current = this.waiting.take();
    if (!this.current) {
      if (!this.worker) return;
      this.worker.unref(); // an idle thread keeps no program alive, and ends after a while
      this.idle.begin();
      return;
    }
    this.idle.stop();
    const isReady = this.worker !== undefined;
    this.worker ??= this.start();
    this.worker.ref();
    if (isReady) this.post(this.current, this.worker);
  }

  /** The messages of the job, one in each turn of the event loop. */
  private post(job: Job, worker: Worker): void {
    const messages = job.messages[Symbol.iterator]();
    const send = () => {
      if (this.current !== job || this.worker !== worker) return;
      const { value, done } = messages.next();
      if (done) {
        this.timer = setTimeout(() => this.giveUp(), this.mostMs);
        return;
      }
      worker.postMessage(value);
      setImmediate(send);
    };
    send();
  }

  private start(): Worker {
    // the program's arguments, such as conditions of imports, may not fit the built file
    const worker = new Worker(workerFile, { execArgv: [] });
    const isCurrent = () => this.worker === worker;
    worker.on("message", (message: "ready" | JobAnswer<unknown>) => {
      if (!isCurrent()) return;
      if (message !== "ready") this.finish({ answer: message });
      else if (this.current) this.post(this.current, worker);
    });
    const onEnd = (error: unknown) => {
      if (!isCurrent()) return;
      this.worker = undefined;
      this.finish({ error });
    };
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`the thread that makes grammars ended with code ${code}`)));
    return worker;
  }

  private finish(settled: Parameters<Job["settle"]>[0]): void {
    clearTimeout(this.timer);
    const job = this.current;
    this.current = undefined;
    job?.settle(settled);
    this.next();
  }

  private giveUp(): void {
    void this.dispose();
    this.finish({ error: tookTooLong(this.mostMs) });
  }

  /** Nobody waits for this job any more. */
  private abandon(job: Job): void {
    const error = job.signal.reason;
    if (job === this.current) {
      void this.dispose();
      this.finish({ error });
      return;
    }
    this.waiting.remove(job);
    job.settle({ error });
  }
}

function tookTooLong(mostMs: number): RequestError {
  const message = `grammar: expected one that is made in at most ${mostMs / 1000} s (limit grammarSeconds); received one that takes longer. Ask for less at once: shorter counted repetitions, fewer alternatives, fewer patterns.`;
  return new RequestError({ status: 400, message, code: "invalid_value" });
}
