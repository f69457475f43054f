import { Worker } from "node:worker_threads";
import { DataError, limits } from "../base/index.ts";
import { type ChatFormat, chatFormat, encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import type { ChatPrompt, EncodeAnswer, EncodeRequest, WorkerData } from "./encode-worker.ts";
import { RequestError } from "./errors.ts";
import { endOf } from "./prompt-end.ts";
import { WorkerJobs, workerFile } from "./worker-jobs.ts";

/** Longer prompts, in characters, are encoded in a thread of their own. A shorter one takes some milliseconds. */
const LONG = 1 << 14;
/** After a prompt of more characters, some hundred MB of working memory are given back by ending the thread. */
const HUGE = 1 << 18;

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
  private readonly thread: WorkerJobs<EncodeRequest, EncodeAnswer>;

  constructor(tokenizer: Tokenizer, chatTemplate: string | undefined) {
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.format = chatFormat(chatTemplate, tokenizer);
    this.thread = new WorkerJobs(() => this.start());
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
    if (length > limits.promptCharacters) throw tooManyCharacters();
    if (length <= LONG) {
      const text = typeof source === "string" ? source : this.render(source);
      return { ids: await encodePrompt(this.tokenizer, text, { addSpecialTokens }), end: endOf(text) };
    }
    const isLast = (encoded: EncodeAnswer) => "ids" in encoded && length > HUGE;
    const answer = await this.thread.ask({ prompt, addSpecialTokens, maxTokens }, { signal, isLast });
    if ("ids" in answer || "atLeast" in answer) return answer;
    if ("unrendered" in answer) throw templateError(answer.unrendered);
    throw "refusal" in answer ? new DataError(answer.refusal) : new Error(answer.failure);
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
  dispose(): Promise<void> {
    return this.thread.dispose();
  }

  private start(): Worker {
    const { tokenizer, chatTemplate } = this;
    const workerData: WorkerData = { json: tokenizer.packedJson, config: tokenizer.configToJson(), chatTemplate };
    // the program's arguments, such as conditions of imports, may not fit the built file
    return new Worker(workerFile("encode-worker"), { workerData, execArgv: [] });
  }
}

function tooManyCharacters(): RequestError {
  const message = `expected at most ${limits.promptCharacters} characters of texts (limit promptCharacters); received more`;
  return new RequestError({ status: 413, message, code: "request_too_large" });
}

function templateError(message: string): RequestError {
  return new RequestError({ status: 400, message, param: "messages", code: "chat_template_error" });
}
