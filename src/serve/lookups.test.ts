/** Requests that take no place in a queue: who leaves, and what ends them. */
import { afterEach, expect, test, vi } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp, type RunningServer, type ServeOptions, serve } from "./index.ts";

let server: RunningServer | undefined;
let release = () => {};
afterEach(async () => {
  vi.restoreAllMocks();
  release();
  await server?.close({ now: true });
  server = undefined;
});

/** A server whose tokenizer comes to no end before the test does. */
async function start(options: ServeOptions = {}): Promise<{ url: string; lines: string[]; asked: Promise<void> }> {
  const model = tinyServedModel();
  const lines: string[] = [];
  server = await serve(model, { port: 0, log: (line) => lines.push(line), ...options });
  const end = new Promise<void>((resolve) => (release = resolve));
  const asked = new Promise<void>((resolve) => {
    const waiting = <T>(result: T) => {
      resolve();
      return end.then(() => result);
    };
    vi.spyOn(model.tokenizer, "decode").mockImplementation(() => waiting(""));
    vi.spyOn(model.tokenizer, "encode").mockImplementation(() => waiting([1]));
  });
  return { url: server.url, lines, asked };
}

const paths = [
  ["/tokenize", { prompt: "x" }],
  ["/detokenize", { tokens: [1] }],
  ["/v1/messages/count_tokens", { messages: [{ role: "user", content: "x" }] }],
] as const;

test.each(paths)("%s is over when its client has gone", async (path, body) => {
  const { url, lines, asked } = await start();
  const leaving = new AbortController();
  const answer = fetch(url + path, { ...jsonPost(body), signal: leaving.signal }).catch(() => {});
  await asked;
  leaving.abort();
  await answer;
  await expect.poll(() => lines).toEqual([expect.stringMatching(/ 499 \d+ ms client_gone$/)]);
});

test.each(paths)("%s is told that the server stops", async (path, body) => {
  const { url, asked } = await start({ drainTimeoutMs: 10 });
  const answer = fetch(url + path, jsonPost(body));
  await asked;
  const closing = server?.close();
  expect((await answer).status).toBe(503);
  expect(await (await answer).text()).toContain("The server is stopping.");
  release();
  await closing;
});

test("one that takes too long is refused", async () => {
  const { url } = await start({ requestTimeoutMs: 20 });
  expect((await fetch(`${url}/detokenize`, jsonPost({ tokens: [1] }))).status).toBe(504);
});

test("a request that ends with what is no Error has ended", async () => {
  const lines: string[] = [];
  const app = createApp(tinyServedModel(), { log: (line) => lines.push(line) });
  app.get("/v1/strange", () => {
    throw "no Error";
  });
  expect((await app.request("/v1/strange")).status).toBe(500);
  expect(lines).toEqual([expect.stringMatching(/ GET \/v1\/strange 500 .* no Error$/)]);
});

test("tokens are shown each by its text, wherever it is again", async () => {
  const app = createApp(tinyServedModel());
  const answer = await app.request("/tokenize", jsonPost({ prompt: "abba", return_token_strs: true }));
  expect(await answer.json()).toMatchObject({ token_strs: ["a", "b", "b", "a"] });
});
