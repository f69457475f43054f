import type { ApiKey } from "../keys/index.ts";
import type { RequestError } from "./errors.ts";
import type { AnswerPart } from "./event-stream.ts";
import type { Usage } from "./usage.ts";

/** What a request asks, when its body is read. */
export interface Asked {
  /** The model that it gets. */
  model: string;
  /** Its body; undefined where that is a form. */
  json: unknown;
}

/** What is known of one request from its door to its end; logs, traces and quotas are told by it. */
export class RequestRecord {
  readonly id: string;
  readonly method: string;
  /** As the client wrote it: it may hold any character. */
  readonly path: string;
  /** Whose key it came with. */
  key: ApiKey | undefined;
  model: string | undefined;
  /** Its body, where that is JSON. */
  json: unknown;
  /** How its answers ended: "stop", "length". */
  finishReasons: readonly string[] = [];
  /** Of the error that it got in place of an answer, or in it. */
  errorCode: string | undefined;
  /** What went wrong in the server. */
  cause: unknown;
  /** Whether the answer goes on after its status is sent. */
  isStreamed = false;
  /** Milliseconds from the start until its turn has come. */
  turnMs: number | undefined;
  /** Milliseconds from the start until the first token was there. */
  firstTokenMs: number | undefined;
  /** Text of the answers, piece by piece, where a log wants it. */
  answer: string[] | undefined;
  private readonly start = performance.now();
  private usageSource: (() => Usage) | undefined;
  private readonly askedListeners: ((asked: Asked) => void)[] = [];
  private readonly endListeners: ((status: number) => void)[] = [];

  constructor({ id, method, path }: { id: string; method: string; path: string }) {
    this.id = id;
    this.method = method;
    this.path = path;
  }

  /** Milliseconds since the start. */
  get ms(): number {
    return performance.now() - this.start;
  }

  /** Calls back when it is known which model is asked. @param listener may throw a RequestError, a refusal */
  onAsked(listener: (asked: Asked) => void): void {
    this.askedListeners.push(listener);
  }

  /** Calls back when the request has ended, with its status. */
  onEnd(listener: (status: number) => void): void {
    this.endListeners.push(listener);
  }

  /** It is for this model. @throws RequestError when it may not ask that */
  asked(model: string): void {
    this.model = model;
    const { json } = this;
    for (const listener of this.askedListeners) listener({ model, json });
  }

  /** Its turn has come. */
  turned(): void {
    this.turnMs ??= this.ms;
  }

  /** Its tokens are counted from now on. */
  countUsage(source: () => Usage): void {
    this.usageSource = source;
  }

  /** Tokens of its prompt and answers, also of those that were cut off. */
  get usage(): Usage | undefined {
    return this.usageSource?.();
  }

  /** It has so many tokens of an answer, of which these parts are new. */
  piece(tokens: number, parts: readonly AnswerPart[]): void {
    if (tokens > 0) this.firstTokenMs ??= this.ms;
    if (this.answer) for (const { event } of parts) if ("text" in event) this.answer.push(event.text);
  }

  /** It gets an error. @param cause what was thrown, which is noted where the server is at fault */
  failed(cause: unknown, { status, body }: RequestError): void {
    this.errorCode = body.error.code ?? "invalid_request";
    if (status === 500) this.cause = cause;
  }

  /** The request has ended. */
  end(status: number): void {
    for (const listener of this.endListeners) listener(status);
  }
}
