/** Spans of requests, by OpenTelemetry's SDK, which the program brings. */
import { SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeEach, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { heldModel, scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";

const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
afterAll(() => trace.disable());
beforeEach(() => exporter.reset());

const app = createApp(tinyServedModel(), { apiKey: "secret" });
const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  app.request(`http://localhost:8080${path}`, jsonPost(body, { authorization: "Bearer secret", ...headers }));
const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
const milliseconds = ([seconds, nanoseconds]: readonly [number, number]) => seconds * 1000 + nanoseconds / 1e6;
/** The span of the only request, and those of its phases. */
function spans(): { request: ReadableSpan; phases: ReadableSpan[] } {
  const all = exporter.getFinishedSpans();
  const request = all.find(({ kind }) => kind === SpanKind.SERVER) as ReadableSpan;
  return { request, phases: all.filter((span) => span !== request) };
}

test.each([false, true])("a request is a span with its phases (streamed: %s)", async (stream) => {
  const body = { prompt: "Hello", max_tokens: 3, temperature: 0.5, top_p: 0.9, seed: 7, n: 1, stream };
  const answer = await post("/v1/completions", body, { "x-request-id": "mine" });
  await answer.text();
  const { request, phases } = spans();
  expect(request.name).toBe("text_completion tiny");
  expect(request.attributes).toEqual({
    "gen_ai.operation.name": "text_completion",
    "gen_ai.provider.name": "kindling",
    "gen_ai.request.model": "tiny",
    "gen_ai.request.max_tokens": 3,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.request.seed": 7,
    "gen_ai.request.choice.count": 1,
    "gen_ai.response.model": "tiny",
    "gen_ai.response.finish_reasons": ["length"],
    "gen_ai.usage.input_tokens": 5,
    "gen_ai.usage.output_tokens": 3,
    "server.address": "localhost",
    "server.port": 8080,
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "http.route": "/v1/completions",
    "kindling.request.id": "mine",
    "kindling.key.name": "api-key",
  });
  expect(phases.map(({ name }) => name)).toEqual(["queue", "prefill", "decode"]);
  for (const phase of phases) expect(phase.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  const times = phases.flatMap(({ startTime, endTime }) => [milliseconds(startTime), milliseconds(endTime)]);
  const all = [milliseconds(request.startTime), ...times, milliseconds(request.endTime)];
  for (const [i, time] of all.entries()) if (i > 0) expect(time).toBeGreaterThanOrEqual(all[i - 1] - 0.01);
  expect(Math.abs(all[0] - Date.now())).toBeLessThan(60_000); // since 1970
});

test("it belongs to the caller's trace, when that is right", async () => {
  await post("/v1/completions", { prompt: "Hello", max_tokens: 1 }, { traceparent: `00-${traceId}-${spanId}-01` });
  expect(spans().request.spanContext().traceId).toBe(traceId);
  expect(spans().request.parentSpanContext).toMatchObject({ spanId, isRemote: true });
  for (const wrong of [`00-${"0".repeat(32)}-${spanId}-01`, `ff-${traceId}-${spanId}-01`, "x", `00-${traceId}-01`]) {
    exporter.reset();
    await post("/v1/completions", { prompt: "Hello", max_tokens: 1 }, { traceparent: wrong });
    expect(spans().request.parentSpanContext).toBeUndefined();
  }
});

test("a refused request has its error, which is no fault of the server; one without a key has no span", async () => {
  await post("/v1/completions", { prompt: "Hello", max_tokens: 1000 });
  const { request, phases } = spans();
  expect(request.attributes).toMatchObject({
    "error.type": "context_length_exceeded",
    "http.response.status_code": 400,
  });
  expect([request.status.code, phases]).toEqual([SpanStatusCode.UNSET, []]);
  exporter.reset();
  await post("/v1/completions", { prompt: "Hello" }, { authorization: "Bearer wrong" });
  await app.request("/health");
  expect(exporter.getFinishedSpans()).toEqual([]);
});

test("a fault in a stream is one of the span, whose status was sent before", async () => {
  const broken = scriptedModel("{{ messages[0].content }}");
  broken.generator.text = "ab";
  broken.generator.failure = new Error("the card is gone");
  const answer = await createApp(broken, { log: () => {} }).request(
    "/v1/chat/completions",
    jsonPost({ messages: [{ role: "user", content: "x" }], stream: true }),
  );
  await answer.text();
  const { request } = spans();
  expect(request.name).toBe("chat scripted");
  expect(request.status.code).toBe(SpanStatusCode.ERROR);
  expect(request.attributes).toMatchObject({ "error.type": "internal_error", "http.response.status_code": 200 });
});

test("no text of a prompt or an answer is in a span", async () => {
  const held = heldModel();
  await createApp(held).request(
    "/v1/completions",
    jsonPost({ prompt: "Hidden", max_tokens: 3, stop: ["Hidden"], user: "Hidden" }),
  );
  const texts = exporter.getFinishedSpans().map(({ name, attributes, events }) => ({ name, attributes, events }));
  expect(JSON.stringify(texts)).not.toContain("Hidden");
});
