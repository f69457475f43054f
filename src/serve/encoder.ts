import { Worker } from "node:worker_threads";
import { DataError } from "../base/index.ts";
import { type ChatFormat, chatFormat, encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import type { ChatPrompt, EncodeAnswer, EncodeRequest, WorkerData } from "./encode-worker.ts";
import { RequestError } from "./errors.ts";
import { endOf } from "./prompt-end.ts";

/** Longer prompts, in characters, are encoded in a thread of their own. A shorter one takes some milliseconds. */
const LONG = 1 << 14;
/** After a prompt of more characters, some hundred MB of working memory are given back by ending the thread. */
const HUGE = 1 << 18;

/** From source, as in tests, the built one: Node 20 reads no TypeScript. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/serve/encode-worker.js" : "./encode-worker.js",
  import.meta.url,
);

interface Job extends EncodeRequest {
  signal: AbortSignal;
  length: number;
  resolve: (encoded: Encoded) => void;
  reject: (error: unknown) => void;
}

/** The ids of a prompt and the end of its text; or how many there are at least, where that is more than wanted. */
export type Encoded = { ids: ArrayLike<number>; end: string } | { atLeast: number };

export interface EncodeOptions {
  addSpecialTokens: boolean;
  /** A long prompt that is sure to have more tokens is not encoded. */
  maxTokens: number;
  signal: AbortSignal;
}

/**
 * Renders and encodes prompts without holding up the event loop: long ones, one at a time, in a thread that has the
 * same tokenizer.
 */
export class PromptEncoder {
  readonly format: ChatFormat;
  private readonly tokenizer: Tokenizer;
  private readonly chatTemplate: string | undefined;
  private readonly jobs: Job[] = [];
  private worker: Worker | undefined;
  private current: Job | undefined;

  constructor(tokenizer: Tokenizer, chatTemplate: string | undefined) {
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.format = chatFormat(chatTemplate, tokenizer);
  }

  /**
   * Ids of a prompt as `encodePrompt` gives them, of messages as the template renders them. When the signal is aborted,
   * a long prompt is no longer encoded.
   * @throws the signal's reason, what the tokenizer throws, or RequestError 400 for messages that the template cannot
   *   render
   */
  async encode(source: string | ChatPrompt, { addSpecialTokens, maxTokens, signal }: EncodeOptions): Promise<Encoded> {
    const prompt = typeof source === "string" ? source : { chat: JSON.stringify(source) };
    const { length } = typeof prompt === "string" ? prompt : prompt.chat;
    if (length <= LONG) {
      const text = typeof source === "string" ? source : this.render(source);
      return { ids: await encodePrompt(this.tokenizer, text, { addSpecialTokens }), end: endOf(text) };
    }
    signal.throwIfAborted();
    return new Promise<Encoded>((resolve, reject) => {
      const onAbort = () => this.abandon(job);
      const settled = <T>(then: (value: T) => void) => {
        return (value: T) => {
          signal.removeEventListener("abort", onAbort);
          then(value);
        };
      };
      const job: Job = {
        prompt,
        length,
        addSpecialTokens,
        maxTokens,
        signal,
        resolve: settled(resolve),
        reject: settled(reject),
      };
      signal.addEventListener("abort", onAbort);
      this.jobs.push(job);
      this.next();
    });
  }

  /** Whatever a template throws, it is these messages that it cannot render. */
  private render({ messages, variables, tools }: ChatPrompt): string {
    try {
      return this.format.render(messages, { variables, tools });
    } catch (error) {
      throw templateError(error instanceof Error ? error.message : String(error));
    }
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
    const { prompt, addSpecialTokens, maxTokens } = this.current;
    this.worker.postMessage({ prompt, addSpecialTokens, maxTokens } satisfies EncodeRequest);
  }

  private start(): Worker {
    const { tokenizer, chatTemplate } = this;
    const workerData: WorkerData = { json: tokenizer.toJson(), config: tokenizer.configToJson(), chatTemplate };
    // the program's arguments, such as conditions of imports, may not fit the built file
    const worker = new Worker(workerFile, { workerData, execArgv: [] });
    const isCurrent = () => this.worker === worker;
    worker.on("message", (answer: EncodeAnswer) => {
      if (!isCurrent()) return;
      if ("ids" in answer && this.current && this.current.length > HUGE) void this.dispose();
      this.finish((job) => {
        if ("ids" in answer || "atLeast" in answer) job.resolve(answer);
        else if ("unrendered" in answer) job.reject(templateError(answer.unrendered));
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

function templateError(message: string): RequestError {
  return new RequestError({ status: 400, message, param: "messages", code: "chat_template_error" });
}
