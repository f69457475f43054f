import { Worker } from "node:worker_threads";
import { DataError } from "../ir/index.ts";
import { encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import type { EncodeAnswer, EncodeRequest, WorkerTokenizer } from "./encode-worker.ts";

/** Longer prompts, in characters, are encoded in a thread of their own. A shorter one takes some milliseconds. */
const LONG = 1 << 14;

/** From source, as in tests, the built one: Node 20 reads no TypeScript. */
const workerFile = new URL(import.meta.url.endsWith(".ts") ? "../../dist/serve/encode-worker.js" : "./encode-worker.js", import.meta.url);

interface Job extends EncodeRequest {
  signal: AbortSignal;
  resolve: (ids: Int32Array) => void;
  reject: (error: unknown) => void;
}

/**
 * Encodes prompts without holding up the event loop: long ones, one at a time, in a thread that has the same tokenizer.
 */
export class PromptEncoder {
  private readonly tokenizer: Tokenizer;
  private readonly jobs: Job[] = [];
  private worker: Worker | undefined;
  private current: Job | undefined;

  constructor(tokenizer: Tokenizer) {
    this.tokenizer = tokenizer;
  }

  /**
   * Ids of a prompt as `encodePrompt` gives them. When the signal is aborted, a long prompt is no longer encoded.
   * @throws the signal's reason, or what the tokenizer throws
   */
  async encode(prompt: string, addSpecialTokens: boolean, signal: AbortSignal): Promise<ArrayLike<number>> {
    if (prompt.length <= LONG) return encodePrompt(this.tokenizer, prompt, { addSpecialTokens });
    signal.throwIfAborted();
    return new Promise<Int32Array>((resolve, reject) => {
      const onAbort = () => this.abandon(job);
      const settled = <T>(then: (value: T) => void) => {
        return (value: T) => {
          signal.removeEventListener("abort", onAbort);
          then(value);
        };
      };
      const job: Job = { prompt, addSpecialTokens, signal, resolve: settled(resolve), reject: settled(reject) };
      signal.addEventListener("abort", onAbort);
      this.jobs.push(job);
      this.next();
    });
  }

  /** Ends the thread; it starts anew when a long prompt comes. */
  async dispose(): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    await worker?.terminate();
  }

  private next(): void {
    if (this.current) return;
    this.current = this.jobs.shift();
    if (!this.current) {
      this.worker?.unref(); // an idle thread keeps no program alive
      return;
    }
    this.worker ??= this.start();
    this.worker.ref();
    const { prompt, addSpecialTokens } = this.current;
    this.worker.postMessage({ prompt, addSpecialTokens } satisfies EncodeRequest);
  }

  private start(): Worker {
    const { tokenizer } = this;
    const workerData: WorkerTokenizer = { json: tokenizer.toJson(), config: tokenizer.configToJson() };
    const worker = new Worker(workerFile, { workerData });
    const isCurrent = () => this.worker === worker;
    worker.on("message", (answer: EncodeAnswer) => {
      if (!isCurrent()) return;
      this.finish((job) => {
        if ("ids" in answer) job.resolve(answer.ids);
        else job.reject("refusal" in answer ? new DataError(answer.refusal) : new Error(answer.failure));
      });
    });
    const onEnd = (cause: unknown) => {
      if (!isCurrent()) return;
      this.worker = undefined;
      this.finish((job) => job.reject(cause));
    };
    worker.on("error", onEnd);
    worker.on("exit", (code) => onEnd(new Error(`the thread that encodes prompts ended with code ${code}`)));
    return worker;
  }

  private finish(settle: (job: Job) => void): void {
    const job = this.current;
    this.current = undefined;
    if (job) settle(job);
    this.next();
  }

  /** Nobody waits for this prompt any more. */
  private abandon(job: Job): void {
    const at = this.jobs.indexOf(job);
    if (at >= 0) this.jobs.splice(at, 1);
    job.reject(job.signal.reason);
    if (job !== this.current) return;
    void this.dispose();
    this.finish(() => {});
  }
}
