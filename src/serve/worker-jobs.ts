import type { Worker } from "node:worker_threads";
import { onAbort } from "../base/index.ts";
import { currentClient } from "./client.ts";
import { ClientTurns } from "./client-turns.ts";
import { IdleEnd, type IdleOptions } from "./idle-end.ts";

/**
 * The file of a worker, by its path from this folder. From source, as in tests, the built one: Node 20 reads no
 * TypeScript.
 */
export const workerFile = (path: string): URL =>
  new URL(import.meta.url.endsWith(".ts") ? `../../dist/serve/${path}.js` : `./${path}.js`, import.meta.url);

export interface AskOptions<Answer> {
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal;
  /** Who asks: clients have turns. @default whose request is worked on */
  client?: string;
  /** Whether the thread ends after this answer, to give back its working memory. @default it stays */
  isLast?: (answer: Answer) => boolean;
}

/** What an answer may take, from when the thread has begun and has the request. */
interface TimeLimit {
  mostMs: number;
  /** What a request is refused with that takes longer. */
  refusal: () => Error;
}

interface Job<Request, Answer> {
  request: Request;
  client: string;
  isLast: (answer: Answer) => boolean;
  settle: (settled: Settled<Answer>) => void;
}

type Settled<Answer> = { answer: Answer } | { error: unknown };

/**
 * Asks a thread one thing after another. It starts with the first; an idle one keeps no program alive, and ends after a
 * while. Clients have turns: who asks much waits for it alone. The thread's program says "ready" first, then answers
 * each request with a message.
 */
export class WorkerJobs<Request, Answer> {
  private readonly start: () => Worker;
  private readonly limit: TimeLimit | undefined;
  private readonly waiting = new ClientTurns<Job<Request, Answer>>();
  private worker: Worker | undefined;
  private current: Job<Request, Answer> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly idle: IdleEnd;

  /** @param start the thread @param options when it ends, and what an answer may take. @default as long as it takes */
  constructor(start: () => Worker, { limit, ...idle }: IdleOptions & { limit?: TimeLimit } = {}) {
    this.start = start;
    this.limit = limit;
    this.idle = new IdleEnd(() => void this.endThread(), idle);
  }

  /**
   * The thread's answer. When the signal is aborted, the request is no longer worked on.
   * @throws the signal's reason, the limit's refusal, and what ends the thread
   */
  async ask(
    request: Request,
    { signal, client = currentClient(), isLast = () => false }: AskOptions<Answer>,
  ): Promise<Answer> {
    signal.throwIfAborted();
    return new Promise<Answer>((resolve, reject) => {
      const stop = onAbort(signal, () => this.abandon(job, signal.reason));
      const settle = (settled: Settled<Answer>) => {
        stop();
        if ("answer" in settled) resolve(settled.answer);
        else reject(settled.error);
      };
      const job = { request, client, isLast, settle };
      this.waiting.add(job);
      this.next();
    });
  }

  /** Ends the thread. What it is asked is refused; it starts anew when there is something else to ask. */
  async dispose(): Promise<void> {
    const ended = this.endThread();
    const { current } = this;
    this.current = undefined;
    for (let job = current; job; job = this.waiting.take()) job.settle({ error: new Error("the thread was ended") });
    await ended;
  }

  private async endThread(): Promise<void> {
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
      this.worker.unref();
      this.idle.begin();
      return;
    }
    this.idle.stop();
    const isReady = this.worker !== undefined;
    this.worker ??= this.started();
    this.worker.ref();
    if (isReady) this.post(this.current, this.worker);
  }

  private post({ request }: Job<Request, Answer>, worker: Worker): void {
    if (this.limit) this.timer = setTimeout(this.giveUp, this.limit.mostMs, this.limit);
    worker.postMessage(request);
  }

  private started(): Worker {
    const worker = this.start();
    const isCurrent = () => this.worker === worker;
    worker.on("message", (message: "ready" | Answer) => {
      if (!isCurrent()) return;
      if (message !== "ready") this.answered(message);
      else if (this.current) this.post(this.current, worker);
    });
    const onEnd = (error: unknown) => {
      if (!isCurrent()) return;
      this.worker = undefined;
      this.finish({ error });
    };
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`a thread of the server ended with code ${code}`)));
    return worker;
  }

  private answered(answer: Answer): void {
    if (this.current?.isLast(answer)) void this.endThread();
    this.finish({ answer });
  }

  private finish(settled: Settled<Answer>): void {
    clearTimeout(this.timer);
    const job = this.current;
    this.current = undefined;
    job?.settle(settled);
    this.next();
  }

  private readonly giveUp = ({ refusal }: TimeLimit): void => {
    void this.endThread();
    this.finish({ error: refusal() });
  };

  /** Nobody waits for this answer any more. */
  private abandon(job: Job<Request, Answer>, error: unknown): void {
    if (job === this.current) {
      void this.endThread();
      this.finish({ error });
      return;
    }
    this.waiting.remove(job);
    job.settle({ error });
  }
}
