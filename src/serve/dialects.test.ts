/** What all APIs have in common: access, the queue, and clients that go. */
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { heldModel } from "../testing/served-model.ts";
import { createApp, type RunningServer, serve } from "./index.ts";

const model = heldModel(4096);
const { generator } = model;
let server: RunningServer;
let anthropic: Anthropic;
let ollama: Ollama;
beforeAll(async () => {
  server = await serve(model, { port: 0, maxQueue: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  ollama = new Ollama({ host: server.url });
});
afterAll(() => server.close());

const request = { model: "held", messages: [{ role: "user" as const, content: "Hi" }] };

test("a full queue and a client that goes", async () => {
  generator.hold(3);
  const stream = anthropic.messages.stream({ ...request, max_tokens: 100 });
  await new Promise((resolve) => stream.once("text", resolve));
  await expect(anthropic.messages.create({ ...request, max_tokens: 1 })).rejects.toThrow(Anthropic.RateLimitError);
  await expect(ollama.chat({ ...request })).rejects.toMatchObject({ status_code: 429 });
  stream.abort();
  await expect(stream.finalMessage()).rejects.toThrow(Anthropic.APIUserAbortError);
  const signal = generator.options.at(-1)?.signal as AbortSignal;
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));

  const chat = () => ollama.chat({ ...request, options: { num_predict: 100 }, stream: true });
  const next = await vi.waitUntil(() => chat().catch(() => undefined), 5000); // the place is free in a moment
  for await (const piece of next) {
    expect(piece.done).toBe(false);
    break;
  }
  next.abort();
  const other = generator.options.at(-1)?.signal as AbortSignal;
  if (!other.aborted) await new Promise((resolve) => other.addEventListener("abort", resolve));
  generator.release();
});

test("foreign names, and what is no JSON, are refused in the form of the API", async () => {
  const app = createApp(heldModel());
  const ask = async (path: string, headers: Record<string, string>) => {
    const answer = await app.request(path, { method: "POST", headers, body: "{" });
    return [answer.status, await answer.json()];
  };
  const foreign = { host: "evil.example", "content-type": "application/json" };
  const message = expect.stringContaining("evil.example");
  expect(await ask("/v1/messages", foreign)).toMatchObject([
    403,
    { type: "error", error: { type: "permission_error", message } },
  ]);
  expect(await ask("/api/chat", foreign)).toMatchObject([403, { error: message }]);
  expect(await ask("/api/chat", { "content-type": "text/plain" })).toMatchObject([415, {}]);
  expect(await ask("/v1/messages", { "content-type": "application/json" })).toMatchObject([
    400,
    { type: "error", error: { type: "invalid_request_error" } },
  ]);
});
