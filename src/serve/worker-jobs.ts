import type { Worker } from "node:worker_threads";
import { currentClient } from "./client.ts";
import { ClientTurns } from "./client-turns.ts";
import { IdleEnd, type IdleOptions } from "./idle-end.ts";

/** The file of a worker of this folder. From source, as in tests, the built one: Node 20 reads no TypeScript. */
export const workerFile = (name: string): URL =>
  new URL(import.meta.url.endsWith(".ts") ? `../../dist/serve/${name}.js` : `./${name}.js`, import.meta.url);

interface Job<Request, Answer> {
  request: Request;
  /** Whose it is. */
  client: string;
  signal: AbortSignal;
  /** Whether the thread ends after this answer, to give back its working memory. */
  isLast: (answer: Answer) => boolean;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

interface AskOptions<Answer> {
  signal: AbortSignal;
  /** Whether the thread ends after this answer, to give back its working memory. @default it stays */
  isLast?: (answer: Answer) => boolean;
}

/**
 * Asks a thread one thing after another: clients have turns, and requests of a client that ask for several things one
 * after another. It starts with the first; an idle one keeps no program alive, and ends after a while.
 */
export class WorkerJobs<Request, Answer> {
  private readonly start: () => Worker;
  private readonly waiting = new ClientTurns<Job<Request, Answer>>();
  private worker: Worker | undefined;
  private current: Job<Request, Answer> | undefined;
  private readonly idle: IdleEnd;

  /** @param start the thread, which answers each message with one */
  constructor(start: () => Worker, options?: IdleOptions) {
    this.start = start;
    this.idle = new IdleEnd(() => void this.dispose(), options);
  }

  /**
   * The thread's answer. When the signal is aborted, the request is no longer worked on.
   * @throws the signal's reason, and what ends the thread
   */
  async ask(request: Request, { signal, isLast = () => false }: AskOptions<Answer>): Promise<Answer> {
    signal.throwIfAborted();
    return new Promise<Answer>((resolve, reject) => {
      const onAbort = () => this.abandon(job);
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener("abort", onAbort);
          then(value);
        };
      const job: Job<Request, Answer> = {
        request,
        client: currentClient(),
        signal,
        isLast,
        resolve: settled(resolve),
        reject: settled(reject),
      };
      signal.addEventListener("abort", onAbort);
      this.waiting.add(job);
      this.next();
    });
  }

  /** Ends the thread; it starts anew when there is something to ask. */
  async dispose(): Promise<void> {
    const { worker } = this;
    this.idle.stop();
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
    this.worker ??= this.started();
    this.worker.ref();
    this.worker.postMessage(this.current.request);
  }

  private started(): Worker {
    const worker = this.start();
    const isCurrent = () => this.worker === worker;
    worker.on("message", (answer: Answer) => {
      if (!isCurrent()) return;
      if (this.current?.isLast(answer)) void this.dispose();
      this.finish((job) => job.resolve(answer));
    });
    const onEnd = (cause: unknown) => {
      if (!isCurrent()) return;
      this.worker = undefined;
      this.finish((job) => job.reject(cause));
    };
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`a thread of the server ended with code ${code}`)));
    return worker;
  }

  private finish(settle: (job: Job<Request, Answer>) => void): void {
    const job = this.current;
    this.current = undefined;
    if (job) settle(job);
    this.next();
  }

  /** Nobody waits for this answer any more. */
  private abandon(job: Job<Request, Answer>): void {
    this.waiting.remove(job);
    job.reject(job.signal.reason);
    if (job !== this.current) return;
    void this.dispose();
    this.finish(() => {});
  }
}
