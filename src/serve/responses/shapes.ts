import type { Shapes } from "../answer.ts";
import type { RequestError } from "../errors.ts";
import type { AnswerPart, StreamEncoding } from "../event-stream.ts";
import type { Usage } from "../usage.ts";
import { freshId } from "./items.ts";
import type { OutputItem, OutputWriter, ResponseEvent } from "./output.ts";
import { effortOf, type FunctionTool, type ResponseRequest, type TextFormat } from "./requests.ts";

/** What a response is at a time. */
interface ResponseState {
  status: "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";
  completed_at: number | null;
  error: { code: string; message: string } | null;
  incomplete_details: { reason: string } | null;
  output: readonly OutputItem[];
  usage: object | null;
}

/** A response as OpenAI shows it. */
export interface ResponseObject extends ResponseState {
  readonly id: string;
}

interface BeginOptions {
  model: string;
  request: ResponseRequest;
  tools: readonly FunctionTool[];
  format: TextFormat;
}

const seconds = () => Math.floor(Date.now() / 1000);

/** A response of which nothing is written. */
export function begunResponse({ model, request, tools, format }: BeginOptions): ResponseObject {
  return {
    id: freshId("resp"),
    ...({ object: "response", created_at: seconds() } as object),
    status: "in_progress",
    completed_at: null,
    background: request.background ?? false,
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: request.metadata ?? {},
    model,
    output: [],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: effortOf(request) ?? null, summary: null },
    store: request.store ?? true,
    temperature: request.temperature ?? null,
    text: { format },
    tool_choice: request.tool_choice ?? "auto",
    tools,
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? null,
    truncation: request.truncation ?? "disabled",
    usage: null,
  } as ResponseObject;
}

/** What has come of a response that was not written to its end. */
export const failedResponse = (response: ResponseObject, { status, message }: RequestError): ResponseObject => ({
  ...response,
  status: "failed",
  error: { code: status === 429 ? "rate_limit_exceeded" : status < 500 ? "invalid_prompt" : "server_error", message },
});

const usageOf = (
  { prompt_tokens: input, completion_tokens: output, total_tokens: total }: Usage,
  thoughts: number,
) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: thoughts },
  total_tokens: total,
});

/** A response at its end. */
function ended(response: ResponseObject, output: readonly OutputItem[], reason: string): ResponseObject {
  const isCut = reason === "length";
  return {
    ...response,
    status: isCut ? "incomplete" : "completed",
    completed_at: isCut ? null : seconds(),
    incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
    output,
  };
}

/** What comes to the stream. */
type StreamItem =
  | { begun: true }
  | { part: AnswerPart }
  | { reason: string }
  | { usage: object }
  | { error: RequestError };
const item = (value: StreamItem): object => value;

interface ResponseShapeOptions {
  response: ResponseObject;
  writer: OutputWriter;
  /** Keeps the response in its last state. */
  keep: (response: ResponseObject) => void;
}

/** The objects of POST /v1/responses. */
export function responseShapes({ response, writer, keep }: ResponseShapeOptions): Shapes {
  const kept = (last: ResponseObject) => {
    keep(last);
    return last;
  };
  return {
    onPart: (part) => void writer.push(part),
    whole: ([{ finishReason }], usage, thoughts) => {
      writer.end(finishReason !== "length");
      return kept({ ...ended(response, writer.items, finishReason), usage: usageOf(usage, thoughts) });
    },
    first: () => item({ begun: true }),
    piece: (_, part) => item({ part }),
    last: (_, reason) => item({ reason }),
    usage: (usage, thoughts) => item({ usage: usageOf(usage, thoughts) }),
    error: (error) => item({ error }),
    encoding: new ResponseStream(response, writer, kept),
  };
}

/** Server-sent events with names and numbers. */
class ResponseStream implements StreamEncoding {
  readonly end = "";
  private count = 0;
  private response: ResponseObject;
  private readonly writer: OutputWriter;
  private readonly kept: (response: ResponseObject) => ResponseObject;

  constructor(response: ResponseObject, writer: OutputWriter, kept: (response: ResponseObject) => ResponseObject) {
    this.response = response;
    this.writer = writer;
    this.kept = kept;
  }

  encode(data: object): string {
    return this.eventsOf(data as StreamItem)
      .map((event) => {
        const numbered = { ...event, sequence_number: this.count++ };
        return `event: ${event.type}\ndata: ${JSON.stringify(numbered)}\n\n`;
      })
      .join("");
  }

  private eventsOf(next: StreamItem): ResponseEvent[] {
    if ("part" in next) return this.writer.push(next.part);
    if ("begun" in next) return [this.state("created"), this.state("in_progress")];
    if ("reason" in next) {
      const events = this.writer.end(next.reason !== "length");
      this.response = ended(this.response, this.writer.items, next.reason);
      return events;
    }
    if ("usage" in next) {
      this.response = this.kept({ ...this.response, usage: next.usage });
      return [this.state(this.response.status)];
    }
    this.response = this.kept({ ...failedResponse(this.response, next.error), output: this.writer.items });
    return [this.state("failed")];
  }

  private state(type: string): ResponseEvent {
    return { type: `response.${type}`, response: this.response } as ResponseEvent;
  }
}
