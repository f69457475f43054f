import { Worker } from "node:worker_threads";
import { OptionError } from "../../base/index.ts";
import { type JobAnswer, type JobMessage, jobResult } from "../../generate/index.ts";
import type { IdleOptions } from "../idle-end.ts";
import { WorkerJobs, workerFile } from "../worker-jobs.ts";

/** What a job may take, in milliseconds. The limits of grammars bound it to a second or two on an idle machine. */
const MOST_MS = 10_000;

export interface JobOptions {
  /** Whose it is: clients have turns. */
  client: string;
  /** Aborted when nobody waits for it any more. */
  signal: AbortSignal;
}

/**
 * A thread that makes grammars, one after the other. Clients have turns: who sends many waits for them alone. How many
 * wait is bounded by the places of the queue of requests, of which each waits for one at a time.
 */
export class GrammarThread {
  private readonly jobs: WorkerJobs<JobMessage, JobAnswer<unknown>>;

  /** @param options.mostMs what a job may take. @default 10000 */
  constructor({ mostMs = MOST_MS, ...idle }: IdleOptions & { mostMs?: number } = {}) {
    const file = workerFile("../generate/grammar-jobs/worker");
    // the program's arguments, such as conditions of imports, may not fit the built file
    const start = () => new Worker(file, { execArgv: [] });
    this.jobs = new WorkerJobs(start, { ...idle, limit: { mostMs, refusal: () => tookTooLong(mostMs) } });
  }

  /**
   * What a job comes to.
   * @throws what the job is refused for; OptionError when it takes too long; the signal's reason; Error when the
   *   thread ends
   */
  async run<T>(job: JobMessage, options: JobOptions): Promise<T> {
    return jobResult((await this.jobs.ask(job, options)) as JobAnswer<T>);
  }

  /** Ends the thread; it starts anew when there is something to do. */
  dispose(): Promise<void> {
    return this.jobs.dispose();
  }
}

const tookTooLong = (mostMs: number): OptionError =>
  new OptionError({
    where: "grammar",
    expected: `one that is made in at most ${mostMs / 1000} s (limit grammarSeconds)`,
    received: "one that takes longer",
    fix: "ask for less at once: shorter counted repetitions, fewer alternatives, fewer patterns",
  });
