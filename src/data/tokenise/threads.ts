import { Worker } from "node:worker_threads";
import { RuntimeError } from "../../base/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type EncodedTexts, type EncodeTextsOptions, textsEncoder } from "./encode-texts.ts";
import type { WorkerAnswer, WorkerData } from "./worker.ts";

/** From source, as in tests, the built file: Node 20 reads no TypeScript. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/data/tokenise/worker.js" : "./worker.js",
  import.meta.url,
);

/** Encodes texts; several calls at a time are worked on at the same time. */
export interface TextsEncoder {
  encode(texts: readonly string[]): Promise<EncodedTexts>;
  /** Calls that are worked on at the same time. */
  readonly width: number;
  dispose(): Promise<void>;
}

/** Encodes in so many threads; with none in this one. */
export function encoderThreads(tokenizer: Tokenizer, options: EncodeTextsOptions, count: number): TextsEncoder {
  if (count === 0) return { encode: textsEncoder(tokenizer, options), width: 1, dispose: async () => {} };
  const data: WorkerData = { json: tokenizer.packedJson, config: tokenizer.configToJson(), options };
  const threads = Array.from({ length: count }, () => new EncoderThread(data));
  let turn = 0;
  return {
    width: count,
    encode: (texts) => threads[turn++ % count].encode(texts),
    dispose: async () => {
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}

type Settle = { resolve: (texts: EncodedTexts) => void; reject: (reason: Error) => void };

/** A thread, which answers in the order in which it is asked. */
class EncoderThread {
  private readonly worker: Worker;
  private readonly waiting: Settle[] = [];
  private failure: Error | undefined;

  constructor(workerData: WorkerData) {
    // the program's arguments, such as conditions of imports, may not fit the built file
    this.worker = new Worker(workerFile, { workerData, execArgv: [] });
    this.worker.on("message", (answer: WorkerAnswer) => {
      const settle = this.waiting.shift();
      if ("failure" in answer) settle?.reject(failed(answer.failure));
      else settle?.resolve(answer);
    });
    this.worker.on("error", (error) => this.fail(failed(String(error))));
    this.worker.on("exit", (code) => this.fail(failed(`the thread ended with code ${code}`)));
  }

  encode(texts: readonly string[]): Promise<EncodedTexts> {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(texts);
    });
  }

  async end(): Promise<void> {
    this.failure ??= failed("it was ended");
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}

const failed = (received: string) =>
  new RuntimeError({
    where: "tokeniseRows",
    expected: "the tokens of a thread",
    received,
    fix: "try again with fewer threads",
  });
