import { KindlingError, onAbort } from "../base/index.ts";
import type { Clock } from "../http/index.ts";
import { EventParser, type HttpAnswer, type HttpRequest, type Transport } from "../http/index.ts";

/** Why a request failed. */
export interface Failure {
  /** Of HTTP; undefined where no answer came. */
  status?: number;
  /** The server's or the system's name of the error, such as "rate_limit_exceeded" or "ECONNREFUSED". */
  code: string;
  message: string;
}

/** What became of a request; times are the clock's. */
export type Answer =
  | ({ outcome: "successful" } & AnswerTimes)
  | { outcome: "failed"; failure: Failure; endAt: number }
  /** Given up by the client as planned, or because the whole test was ended. */
  | { outcome: "cancelled" | "unfinished"; outputTokens: number; endAt: number };

export interface AnswerTimes {
  /** The first piece of the answer that has tokens. */
  firstTokenAt: number;
  /** The last piece. */
  endAt: number;
  /** Of the prompt, as the server counts; undefined where it does not say. */
  inputTokens: number | undefined;
  outputTokens: number;
  /** Who counted the tokens: the server for each piece, the server at the end, or the client, which counts pieces. */
  countedBy: "piece" | "answer" | "client";
  /** Time between tokens, one for each after those of the first piece; pieces that came together share theirs. */
  gapsMs: number[];
  /** Reads of the network that brought tokens. */
  arrivals: number;
}

interface AskOptions {
  transport: Transport;
  clock: Clock;
  /** Tokens after which the client goes away. @default never */
  cancelAfter?: number;
  /** Gets the text of the answer, piece by piece. @default nobody */
  onText?: (text: string) => void;
}

/** Sends a request and follows its answer. Never throws. */
export async function ask(
  request: Omit<HttpRequest, "method" | "signal">,
  signal: AbortSignal,
  { transport, clock, cancelAfter = Number.POSITIVE_INFINITY, onText = () => {} }: AskOptions,
): Promise<Answer> {
  const reader = new AnswerReader(onText);
  const connection = new AbortController();
  const stop = onAbort(signal, () => connection.abort());
  try {
    signal.throwIfAborted();
    const answer = await transport({ ...request, method: "POST", signal: connection.signal });
    if (answer.status !== 200 || !answer.contentType.startsWith("text/event-stream"))
      return { outcome: "failed", failure: await refusalOf(answer), endAt: clock.now() };
    const parser = new EventParser();
    for await (const bytes of answer.body) {
      reader.read(parser.push(bytes), clock.now());
      if (reader.failure || reader.isDone) break;
      if (reader.outputTokens >= cancelAfter && !reader.isFinished)
        return { outcome: "cancelled", outputTokens: reader.outputTokens, endAt: clock.now() };
    }
    if (reader.isDone) answer.release();
    else reader.read(parser.end(), clock.now());
    return reader.answer(clock.now());
  } catch (error) {
    const endAt = clock.now();
    if (signal.aborted) return { outcome: "unfinished", outputTokens: reader.outputTokens, endAt };
    return { outcome: "failed", failure: failureOf(error), endAt };
  } finally {
    stop();
    if (!reader.isDone) connection.abort();
  }
}

interface ServerEvent {
  choices?: {
    text?: string;
    delta?: {
      content?: unknown;
      reasoning_content?: unknown;
      reasoning?: unknown;
      refusal?: unknown;
      tool_calls?: unknown;
    };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  error?: unknown;
}

/** Puts the events of an answer together. */
class AnswerReader {
  failure: Failure | undefined;
  isFinished = false;
  /** After "[DONE]". */
  isDone = false;
  private firstTokenAt: number | undefined;
  private lastTokenAt = 0;
  private endAt: number | undefined;
  private pieces = 0;
  private arrivals = 0;
  private readonly gapsMs: number[] = [];
  /** As the server said, in the course of the answer and at its end. */
  private tokensSoFar: number | undefined;
  private usage: { input: number | undefined; output: number } | undefined;
  private readonly onText: (text: string) => void;

  constructor(onText: (text: string) => void) {
    this.onText = onText;
  }

  /** Tokens so far. */
  get outputTokens(): number {
    return this.usage?.output ?? this.tokensSoFar ?? this.pieces;
  }

  /** The events that one read of the network brought: nobody can tell when each of them was sent. */
  read(events: readonly string[], at: number): void {
    const before = { tokens: this.tokensSoFar ?? 0, pieces: this.pieces };
    for (const data of events) {
      if (this.isDone || this.failure) break;
      if (data === "[DONE]") this.isDone = true;
      else this.readEvent(data, at);
    }
    const pieces = this.pieces - before.pieces;
    const tokens = this.tokensSoFar === undefined ? pieces : this.tokensSoFar - before.tokens;
    if (tokens > 0) this.arrive(tokens, at);
    else if (pieces > 0) this.firstTokenAt ??= at;
  }

  private arrive(tokens: number, at: number): void {
    this.arrivals++;
    if (this.firstTokenAt === undefined) this.firstTokenAt = at;
    else for (let i = 0; i < tokens; i++) this.gapsMs.push((at - this.lastTokenAt) / tokens);
    this.lastTokenAt = at;
  }

  private readEvent(data: string, at: number): void {
    const event = parsed(data);
    if (event === undefined) {
      this.failure = { status: 200, code: "invalid_event", message: `an event that is no JSON: ${data.slice(0, 100)}` };
      return;
    }
    if (event.error) {
      this.failure = { status: 200, ...errorParts(event) };
      return;
    }
    const { usage } = event;
    const choice = event.choices?.[0];
    if (choice) {
      this.endAt = at;
      if (hasText(choice)) this.pieces++;
      const text = choice.text ?? choice.delta?.content;
      if (typeof text === "string" && text !== "") this.onText(text);
      if (choice.finish_reason) this.isFinished = true;
      if (usage?.completion_tokens !== undefined) this.tokensSoFar = usage.completion_tokens;
    }
    if (usage?.completion_tokens !== undefined)
      this.usage = { input: usage.prompt_tokens, output: usage.completion_tokens };
  }

  /** @param now the end of the stream */
  answer(now: number): Answer {
    const { failure, endAt = now } = this;
    if (failure) return { outcome: "failed", failure, endAt: now };
    if (!this.isFinished && !this.isDone) {
      const message = "the stream ended before the answer did";
      return { outcome: "failed", failure: { status: 200, code: "stream_cut", message }, endAt: now };
    }
    const countedBy = this.tokensSoFar !== undefined ? "piece" : this.usage ? "answer" : "client";
    return {
      outcome: "successful",
      firstTokenAt: this.firstTokenAt ?? endAt, // an answer without text, as of special tokens
      endAt,
      inputTokens: this.usage?.input,
      outputTokens: this.outputTokens,
      countedBy,
      gapsMs: this.gapsMs,
      arrivals: this.arrivals,
    };
  }
}

/** A first event with the role alone brings no token. */
function hasText({ text, delta = {} }: NonNullable<ServerEvent["choices"]>[number]): boolean {
  return Boolean(
    text || delta.content || delta.reasoning_content || delta.reasoning || delta.refusal || delta.tool_calls,
  );
}

function parsed(data: string): ServerEvent | undefined {
  try {
    const json: unknown = JSON.parse(data);
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Characters of an error's body that are read, and of its message that are kept. */
const MOST_BODY = 65_536;
const MOST_MESSAGE = 300;
const MOST_CODE = 60;

/** The failure that an answer with an error, or without a stream, is. */
export async function refusalOf({ status, contentType, body }: HttpAnswer): Promise<Failure> {
  const text = await textOf(body);
  if (status === 200) {
    const message = `expected server-sent events; received ${contentType || "no content type"}`;
    return { status, code: "not_a_stream", message };
  }
  const json = parsed(text);
  return { status, ...(json ? errorParts(json) : { code: "", message: text.slice(0, MOST_MESSAGE) }) };
}

/** The beginning of a body as text. */
export async function textOf(body: AsyncIterable<Uint8Array>, mostLength = MOST_BODY): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > mostLength) break;
  }
  return text;
}

/** OpenAI's form, older vLLM's without "error", and FastAPI's "detail". */
function errorParts(json: object): { code: string; message: string } {
  const { error = json, detail } = json as { error?: unknown; detail?: unknown };
  const { message, code, type } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const shown = message ?? (typeof error === "string" ? error : undefined) ?? detail ?? json;
  const name = typeof code === "string" && code !== "" ? code : (type ?? "");
  return {
    code: String(name).slice(0, MOST_CODE),
    message: (typeof shown === "string" ? shown : JSON.stringify(shown)).slice(0, MOST_MESSAGE),
  };
}

/** What the network, or a stream that cannot be read, threw. */
export function failureOf(error: unknown): Failure {
  const { code, message, errors } = error as NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] };
  // a name of several addresses gives an error for each
  const first = errors?.[0];
  if (error instanceof KindlingError) return { code: "invalid_event", message: error.message };
  return {
    code: code ?? first?.code ?? "error",
    message: (message || first?.message || String(error)).slice(0, MOST_MESSAGE),
  };
}
