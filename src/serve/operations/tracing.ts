import {
  type Attributes,
  type Context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  context as spanContext,
  trace,
} from "@opentelemetry/api";
import { isObject } from "../../base/index.ts";
import type { Asked, RequestRecord } from "../log.ts";

/** What each endpoint does, by the names of OpenTelemetry's conventions for generative AI. */
const operationNames: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "chat",
  "/v1/messages": "chat",
  "/v1/responses": "chat",
  "/api/chat": "chat",
  "/v1/completions": "text_completion",
  "/api/generate": "text_completion",
  "/v1/embeddings": "embeddings",
  "/api/embed": "embeddings",
};

/** Fields of requests that are attributes, by the conventions. */
const requestAttributes: Readonly<Record<string, string>> = {
  max_tokens: "gen_ai.request.max_tokens",
  max_completion_tokens: "gen_ai.request.max_tokens",
  max_output_tokens: "gen_ai.request.max_tokens",
  temperature: "gen_ai.request.temperature",
  top_p: "gen_ai.request.top_p",
  top_k: "gen_ai.request.top_k",
  frequency_penalty: "gen_ai.request.frequency_penalty",
  presence_penalty: "gen_ai.request.presence_penalty",
  seed: "gen_ai.request.seed",
  n: "gen_ai.request.choice.count",
};

/** What a trace takes from a request beside its record. */
export interface TracedRequest {
  headers: Headers;
  url: string;
}

/**
 * Makes a span of a request to a model, with a child for each of its phases: the wait for its turn, the prompt up to
 * the first token, the tokens after it. Without an SDK of OpenTelemetry in the program nothing is kept of it.
 */
export function traceRequest(record: RequestRecord, request: TracedRequest): void {
  const operation = operationNames[record.path];
  if (record.method !== "POST" || operation === undefined) return;
  record.onAsked((asked) => {
    const startMs = performance.timeOrigin + performance.now() - record.ms;
    const parent = parentOf(request.headers);
    const span = tracer().startSpan(
      `${operation} ${asked.model}`,
      { kind: SpanKind.SERVER, startTime: startMs, attributes: attributesOf(operation, asked, record, request) },
      parent,
    );
    record.onEnd((status) => endSpan(span, record, { status, startMs, parent }));
  });
}

const tracer = () => trace.getTracer("kindling");

/** The caller's span: as the program's propagators read it; without any, by W3C's `traceparent`. */
function parentOf(headers: Headers): Context {
  const active = spanContext.active();
  if (propagation.fields().length > 0)
    return propagation.extract(active, headers, {
      get: (carrier, key) => carrier.get(key) ?? undefined,
      keys: (carrier) => [...carrier.keys()],
    });
  if (active !== ROOT_CONTEXT) return active; // an instrumentation of HTTP has read it
  const [, traceId, spanId, flags] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(headers.get("traceparent") ?? "") ?? [];
  const caller = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return flags !== undefined && isSpanContextValid(caller) ? trace.setSpanContext(active, caller) : active;
}

function attributesOf(
  operation: string,
  { model, json }: Asked,
  { id, key, path, method }: RequestRecord,
  { url }: TracedRequest,
): Attributes {
  const { hostname, port, protocol } = new URL(url);
  const attributes: Attributes = {
    "gen_ai.operation.name": operation,
    "gen_ai.provider.name": "kindling",
    "gen_ai.request.model": model,
    "server.address": hostname,
    "server.port": Number(port || (protocol === "https:" ? 443 : 80)),
    "http.request.method": method,
    "http.route": path,
    "kindling.request.id": id,
    ...(key && { "kindling.key.name": key.name }),
  };
  if (!isObject(json)) return attributes;
  for (const [field, name] of Object.entries(requestAttributes))
    if (typeof json[field] === "number") attributes[name] = json[field];
  return attributes;
}

interface SpanEnd {
  status: number;
  /** Milliseconds since 1970. */
  startMs: number;
  parent: Context;
}

function endSpan(span: Span, record: RequestRecord, { status, startMs, parent }: SpanEnd): void {
  const endMs = startMs + record.ms;
  const { usage, finishReasons, errorCode, model } = record;
  if (span.isRecording()) {
    addPhases(record, { startMs, endMs, parent: trace.setSpan(parent, span) });
    span.setAttribute("http.response.status_code", status);
    if (model !== undefined && status < 400) span.setAttribute("gen_ai.response.model", model);
    if (usage)
      span.setAttributes({
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
      });
    if (finishReasons.length > 0) span.setAttribute("gen_ai.response.finish_reasons", [...finishReasons]);
    if (errorCode !== undefined) span.setAttribute("error.type", errorCode);
    // a request that is wrong is no fault of the server; one that fails in its stream has the status 200
    const isFault = errorCode !== undefined && (status < 400 || status >= 500);
    if (isFault) span.setStatus({ code: SpanStatusCode.ERROR, message: errorCode });
  }
  span.end(endMs);
}

/** The phases as far as it came; of one that had no turn, none. */
function addPhases(
  { turnMs, firstTokenMs }: RequestRecord,
  { startMs, endMs, parent }: { startMs: number; endMs: number; parent: Context },
): void {
  if (turnMs === undefined) return;
  const moments = [startMs, turnMs, firstTokenMs].map((moment, i) => (i === 0 || !moment ? moment : startMs + moment));
  for (const [i, name] of ["queue", "prefill", "decode"].entries()) {
    const startTime = moments[i];
    if (startTime === undefined) return;
    tracer()
      .startSpan(name, { startTime }, parent)
      .end(moments[i + 1] ?? endMs);
  }
}
