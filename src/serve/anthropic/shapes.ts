import { randomUUID } from "node:crypto";
import type { ChatEvent } from "../../generate/index.ts";
import type { Shapes } from "../answer.ts";
import type { RequestError } from "../errors.ts";
import type { StreamEncoding } from "../event-stream.ts";
import type { Usage } from "../usage.ts";

/** An event of a stream, under Anthropic's name. */
interface NamedEvent {
  type: string;
}
type Block =
  | { type: "text"; text: string; citations: null }
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "tool_use"; id: string; name: string; input: unknown };
/** What comes to the stream: events as they are, parts of blocks, and the end with its reason. */
type StreamItem = NamedEvent | { part: ChatEvent } | { stop: Stop } | { usage: Usage };

interface Stop {
  stop_reason: string;
  stop_sequence: string | null;
}

interface MessageShapeOptions {
  model: string;
  promptTokens: number;
  /** The request's own. */
  stopSequences: readonly string[];
}

const usageOf = (promptTokens: number, answerTokens: number) => ({
  input_tokens: promptTokens,
  output_tokens: answerTokens,
  cache_creation_input_tokens: null,
  cache_read_input_tokens: null,
});

/** The objects of POST /v1/messages. */
export function messageShapes({ model, promptTokens, stopSequences }: MessageShapeOptions): Shapes {
  const head = { id: `msg_${randomUUID().replaceAll("-", "")}`, type: "message", role: "assistant", model };
  const stopOf = (reason: string, stopText: string | undefined): Stop => {
    if (stopText !== undefined && stopSequences.includes(stopText))
      return { stop_reason: "stop_sequence", stop_sequence: stopText };
    const reasons: Record<string, string> = { length: "max_tokens", tool_calls: "tool_use" };
    return { stop_reason: reasons[reason] ?? "end_turn", stop_sequence: null };
  };
  const item = (value: StreamItem) => value;
  return {
    whole: ([{ events, finishReason, stopText }], usage) => ({
      ...head,
      content: blocksOf(events),
      ...stopOf(finishReason, stopText),
      usage: usageOf(usage.prompt_tokens, usage.completion_tokens),
    }),
    first: () => {
      const message = { ...head, content: [], stop_reason: null, stop_sequence: null, usage: usageOf(promptTokens, 0) };
      return { type: "message_start", message };
    },
    piece: (_, { event }) => (event.type === "call-end" || isEmpty(event) ? undefined : item({ part: event })),
    last: (_, reason, stopText) => item({ stop: stopOf(reason, stopText) }),
    usage: (usage) => item({ usage }),
    error: anthropicError,
    encoding: new MessageStream(),
  };
}

const isEmpty = (event: ChatEvent) => "text" in event && event.text === "";

/** The blocks of a whole answer, whose calls are whole. */
function blocksOf(events: readonly ChatEvent[]): Block[] {
  const blocks: Block[] = [];
  for (const event of events) {
    const last = blocks.at(-1);
    if (event.type !== "arguments" && event.type !== "call-end") blocks.push(blockOf(event));
    else if (event.type === "arguments" && last?.type === "tool_use") last.input = JSON.parse(event.text);
  }
  return blocks;
}

function blockOf(event: Exclude<ChatEvent, { type: "arguments" | "call-end" }>): Block {
  if (event.type === "content") return { type: "text", text: event.text, citations: null };
  // Anthropic signs thoughts so that they can be trusted when they come back; here they are shown to the template
  if (event.type === "reasoning") return { type: "thinking", thinking: event.text, signature: "" };
  return { type: "tool_use", id: event.id, name: event.name, input: {} };
}

/** Server-sent events with names: blocks that begin, grow and end one after the other. */
class MessageStream implements StreamEncoding {
  readonly end = "";
  private index = -1;
  /** What is being written: "content", "reasoning" or a call. */
  private current: string | undefined;
  private stop: Stop | undefined;

  encode(data: object): string {
    const events = this.eventsOf(data as StreamItem);
    return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  }

  private eventsOf(item: StreamItem): NamedEvent[] {
    if ("part" in item) return this.grown(item.part);
    if ("stop" in item) {
      this.stop = item.stop;
      return this.closed();
    }
    if (!("usage" in item)) return [item];
    const { prompt_tokens: promptTokens, completion_tokens: answerTokens } = item.usage;
    const delta = { type: "message_delta", delta: this.stop, usage: usageOf(promptTokens, answerTokens) };
    return [delta, { type: "message_stop" }];
  }

  private grown(event: ChatEvent): NamedEvent[] {
    if (event.type === "call-end") return [];
    const isNext = event.type === "call-begin" || (event.type !== "arguments" && event.type !== this.current);
    const begun = isNext ? [...this.closed(), ...this.opened(event)] : [];
    const delta = deltaOf(event);
    return delta ? [...begun, { type: "content_block_delta", index: this.index, delta } as NamedEvent] : begun;
  }

  private opened(event: Exclude<ChatEvent, { type: "arguments" | "call-end" }>): NamedEvent[] {
    this.index++;
    this.current = event.type;
    const empty = "text" in event ? { ...event, text: "" } : event;
    return [{ type: "content_block_start", index: this.index, content_block: blockOf(empty) } as NamedEvent];
  }

  private closed(): NamedEvent[] {
    if (this.current === undefined) return [];
    this.current = undefined;
    return [{ type: "content_block_stop", index: this.index } as NamedEvent];
  }
}

function deltaOf(event: ChatEvent): object | undefined {
  if (event.type === "content") return { type: "text_delta", text: event.text };
  if (event.type === "reasoning") return { type: "thinking_delta", thinking: event.text };
  if (event.type === "arguments") return { type: "input_json_delta", partial_json: event.text };
  return undefined;
}

const errorTypes: Partial<Record<RequestError["status"], string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** An error in Anthropic's form. */
export function anthropicError({ status, message }: RequestError): NamedEvent & { error: object } {
  return { type: "error", error: { type: errorTypes[status] ?? "invalid_request_error", message } };
}
