import type { ChatEvent, ToolCall } from "../../generate/index.ts";
import type { Shapes } from "../answer.ts";
import type { RequestError } from "../errors.ts";
import type { AnswerPart, StreamEncoding } from "../event-stream.ts";
import type { LogprobShapes } from "../logprobs.ts";
import type { Usage } from "../usage.ts";

export type Endpoint = "chat" | "generate";

/** What an object says of an answer. */
interface Piece {
  content?: string;
  thinking?: string;
  calls?: readonly Omit<ToolCall, "isComplete">[];
}

interface OllamaShapeOptions {
  endpoint: Endpoint;
  model: string;
  /** When the request came, by `performance.now()`. */
  start: number;
  logprobs: LogprobShapes;
}

type StreamItem = AnswerPart | { reason: string } | { usage: Usage } | { error: string };

/** An answer that writes nothing: it asks for the model to be there, and it is, or to go. */
export const loadedAnswer = (endpoint: Endpoint, model: string, isLeaving: boolean): object => ({
  ...head(endpoint, model, {}),
  done: true,
  done_reason: isLeaving ? "unload" : "load",
});

function head(endpoint: Endpoint, model: string, { content = "", thinking, calls }: Piece): object {
  const about = { model, created_at: new Date().toISOString() };
  const thoughts = thinking !== undefined && { thinking };
  if (endpoint === "generate") return { ...about, response: content, ...thoughts };
  const written = calls?.map(({ id, name, arguments: json }, index) => ({
    id,
    function: { index, name, arguments: JSON.parse(json) as object },
  }));
  return { ...about, message: { role: "assistant", content, ...thoughts, ...(written && { tool_calls: written }) } };
}

/** The times of an answer, in Ollama's nanoseconds. */
class Times {
  private readonly start: number;
  private readonly turn = performance.now();
  private first: number | undefined;

  constructor(start: number) {
    this.start = start;
  }

  tokens(): void {
    this.first ??= performance.now();
  }

  durations(usage: Usage): object {
    const end = performance.now();
    const { start, turn, first = end } = this;
    const between = (from: number, to: number) => Math.round((to - from) * 1e6);
    return {
      total_duration: between(start, end),
      load_duration: between(start, turn),
      prompt_eval_count: usage.prompt_tokens,
      prompt_eval_duration: between(turn, first),
      eval_count: usage.completion_tokens,
      eval_duration: between(first, end),
    };
  }
}

const doneReason = (reason: string) => (reason === "length" ? "length" : "stop");

/** The objects of POST /api/chat and /api/generate. */
export function ollamaShapes({ endpoint, model, start, logprobs }: OllamaShapeOptions): Shapes {
  const times = new Times(start);
  const shown = (tokens: AnswerPart["logprobs"]) =>
    tokens?.length ? { logprobs: (logprobs.chat(tokens) as { content: object }).content } : {};
  const done = (reason: string, usage: Usage) => ({
    done: true,
    done_reason: doneReason(reason),
    ...times.durations(usage),
  });
  return {
    onTokens: () => times.tokens(),
    whole: ([{ answer, finishReason, logprobs: tokens }], usage) => {
      const { content, reasoning, calls } = answer;
      const piece = { content, thinking: reasoning || undefined, calls: calls.length > 0 ? calls : undefined };
      return { ...head(endpoint, model, piece), ...shown(tokens), ...done(finishReason, usage) };
    },
    piece: (_, part) => (isEmpty(part.event) && !part.logprobs ? undefined : part),
    last: (_, reason): StreamItem => ({ reason }),
    usage: (usage): StreamItem => ({ usage }),
    error: ollamaError,
    encoding: new LineStream({
      piece: (piece, tokens) => ({ ...head(endpoint, model, piece), done: false, ...shown(tokens) }),
      end: (reason, usage) => ({ ...head(endpoint, model, {}), ...done(reason, usage) }),
    }),
  };
}

const isEmpty = (event: ChatEvent) => "text" in event && event.text === "";

interface Lines {
  piece: (piece: Piece, logprobs: AnswerPart["logprobs"]) => object;
  end: (reason: string, usage: Usage) => object;
}

/** An object a line; calls come when they are whole. */
class LineStream implements StreamEncoding {
  readonly end = "";
  private readonly lines: Lines;
  private reason = "stop";
  private call = { id: "", name: "", arguments: "" };
  /** Of parts that made no line yet. */
  private logprobs: NonNullable<AnswerPart["logprobs"]> = [];

  constructor(lines: Lines) {
    this.lines = lines;
  }

  encode(data: object): string {
    const line = this.lineOf(data as StreamItem);
    return line ? `${JSON.stringify(line)}\n` : "";
  }

  private lineOf(item: StreamItem): object | undefined {
    if ("usage" in item) return this.lines.end(this.reason, item.usage);
    if ("reason" in item) this.reason = item.reason;
    if (!("event" in item)) return "error" in item ? item : undefined;
    this.logprobs = [...this.logprobs, ...(item.logprobs ?? [])];
    const piece = this.pieceOf(item.event);
    if (!piece) return undefined;
    const { logprobs } = this;
    this.logprobs = [];
    return this.lines.piece(piece, logprobs);
  }

  private pieceOf(event: ChatEvent): Piece | undefined {
    if (event.type === "content") return { content: event.text };
    if (event.type === "reasoning") return { thinking: event.text };
    if (event.type === "call-begin") this.call = { id: event.id, name: event.name, arguments: "" };
    if (event.type === "arguments") this.call.arguments += event.text;
    return event.type === "call-end" ? { calls: [this.call] } : undefined;
  }
}

/** An error in Ollama's form. */
export const ollamaError = ({ message }: RequestError): { error: string } => ({ error: message });
