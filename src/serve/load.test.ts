/** Many clients, slow clients, clients that have gone, and large prompts. */
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { type HeldGenerator, heldModel, slowServedModel, tinyServedModel } from "../testing/served-model.ts";
import { chatFormat, encodePrompt, Tokenizer } from "../tokenizers/index.ts";
import { createApp, type RunningServer, type ServeOptions, serve } from "./index.ts";

let server: RunningServer;
let generator: HeldGenerator;
afterEach(() => server.close());

/** Serves a model that waits. */
async function start(options: ServeOptions = {}, contextLength = 64, maxSequences = 1): Promise<void> {
  const model = heldModel(contextLength, maxSequences);
  generator = model.generator;
  server = await serve(model, { port: 0, ...options });
  generator.prompts.length = 0;
}

const complete = (body: object, signal?: AbortSignal) =>
  fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "x", max_tokens: 4, ...body }),
    signal,
  });

/** Waits until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: { code: string; message: string } }).error,
});

describe("the queue", () => {
  test("is bounded: more get 429 and the time to wait, and official clients come again", async () => {
    await start({ maxQueue: 2 });
    generator.hold();
    const inside = [complete({}), complete({}), complete({})];
    await until(() => generator.prompts.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the two others are in the queue
    const refused = await complete({});
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await errorOf(refused)).toMatchObject({
      status: 429,
      code: "rate_limit_exceeded",
      type: "requests",
      message: expect.stringMatching(/Try again in \d+ s/),
    });
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" });
    const again = client.completions.create({ model: "held", prompt: "y", max_tokens: 1 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    generator.release();
    expect((await again).usage?.completion_tokens).toBe(1);
    for (const response of await Promise.all(inside)) expect(response.status).toBe(200);
    await expect(complete({})).resolves.toMatchObject({ status: 200 });
  });

  test("answers in the order in which requests come", async () => {
    await start();
    generator.hold();
    const answers: Promise<Response>[] = [];
    for (const prompt of ["a", "b", "c", "d"]) {
      answers.push(complete({ prompt }));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    generator.release();
    await Promise.all(answers);
    expect(generator.prompts.map(([id]) => id)).toEqual([66, 67, 68, 69]);
  });

  test("as many requests are answered at once as the model writes texts, and the answers of one together", async () => {
    await start({ maxQueue: 0 }, 64, 2);
    generator.hold();
    const many = complete({ prompt: "a", n: 4 });
    await until(() => generator.prompts.length === 4);
    const other = complete({ prompt: "b" });
    await until(() => generator.prompts.length === 5);
    expect((await complete({ prompt: "c" })).status).toBe(429);
    generator.release();
    expect(((await (await many).json()) as { choices: unknown[] }).choices).toHaveLength(4);
    expect((await other).status).toBe(200);
    const groups = generator.options.slice(-5).map(({ group }) => group);
    expect(new Set(groups).size).toBe(2); // requests share the model evenly
  });

  test.each([false, true])("clients that have gone leave it without computing (streamed: %s)", async (stream) => {
    const lines: string[] = [];
    await start({ log: (line) => lines.push(line) });
    generator.hold();
    const first = complete({ prompt: "first" });
    await until(() => generator.prompts.length === 1);
    const leaving = new AbortController();
    const gone = Array.from({ length: 20 }, () =>
      complete({ prompt: "gone", stream }, leaving.signal).catch(() => "gone"),
    );
    await new Promise((resolve) => setTimeout(resolve, 500)); // all are in the queue
    leaving.abort();
    expect(await Promise.all(gone)).toEqual(gone.map(() => "gone"));
    await until(() => lines.filter((line) => line.includes("client_gone")).length === gone.length);
    const last = complete({ prompt: "last" });
    generator.release();
    expect((await first).status).toBe(200);
    expect((await last).status).toBe(200);
    expect(generator.prompts).toHaveLength(2);
  });

  test("has a limit of time", async () => {
    await start({ queueTimeoutMs: 50 });
    generator.hold();
    const first = complete({});
    await until(() => generator.prompts.length === 1);
    const response = await complete({});
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await errorOf(response)).toMatchObject({
      status: 503,
      code: "queue_timeout",
      message: expect.stringContaining("queueTimeoutMs"),
    });
    generator.release();
    expect((await first).status).toBe(200);
  });
});

describe("the limit of a request's time", () => {
  test("ends an answer, and the next is given", async () => {
    await start({ requestTimeoutMs: 100 });
    generator.hold();
    const response = await complete({});
    generator.release();
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(response)).toMatchObject({
      status: 504,
      code: "request_timeout",
      message: expect.stringContaining("requestTimeoutMs"),
    });
    expect((await complete({})).status).toBe(200);
  });

  test("ends a stream with an error in it", async () => {
    await start({ requestTimeoutMs: 300 }, 2 ** 20);
    const text = await (await complete({ stream: true, max_tokens: 1_000_000 })).text();
    expect(text).toMatch(/"code":"request_timeout"[^\n]*\n\ndata: \[DONE\]\n\n$/);
  });
});

test("when the server stops, streams end with an error that says so, requests that wait are told, and the log has it", async () => {
  const lines: string[] = [];
  await start({ log: (line) => lines.push(line) });
  generator.hold(2);
  const stream = await complete({ stream: true });
  const waiting = complete({});
  await new Promise((resolve) => setTimeout(resolve, 100));
  const closing = server.close({ now: true });
  expect(await stream.text()).toMatch(
    /"message":"The server is stopping\.".*"code":"server_stopping"\}\}\n\ndata: \[DONE\]\n\n$/,
  );
  expect(await errorOf(await waiting)).toMatchObject({ status: 503, code: "server_stopping" });
  await closing;
  expect(lines.map((line) => line.split(" ").at(-1))).toEqual(["server_stopping", "server_stopping"]);
  await start(); // for afterEach
});

/** Asks for a stream and reads nothing of it; resolves when the server closes the connection. */
function deafClient(maxTokens: number): { closed: Promise<void> } {
  const { port } = new URL(server.url);
  const body = JSON.stringify({ prompt: "x", max_tokens: maxTokens, stream: true });
  const socket = connect(Number(port), "127.0.0.1");
  socket.pause();
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const closed = new Promise<void>((resolve) => {
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
  return { closed };
}

test.each([false, true])(
  "a client that leaves ends the run under way, and the next gets its answer (streamed: %s)",
  async (stream) => {
    const lines: string[] = [];
    server = await serve(slowServedModel(), { port: 0, log: (line) => lines.push(line) });
    const prompt = Array.from({ length: 2000 }, (_, i) => 1 + ((i * i) % 95));
    const started = performance.now();
    expect((await complete({ prompt, max_tokens: 1 })).status).toBe(200);
    const whole = performance.now() - started;
    const leaving = new AbortController();
    const gone = complete({ prompt: prompt.toReversed(), stream }, leaving.signal).catch(() => "gone");
    await new Promise((resolve) => setTimeout(resolve, 0.2 * whole));
    const left = performance.now();
    leaving.abort();
    expect(await gone).toBe("gone");
    const next = (await (await complete({ prompt: "next", seed: 1 })).json()) as { choices: { text: string }[] };
    expect(performance.now() - left).toBeLessThan(0.5 * whole);
    expect(lines.filter((line) => line.includes("client_gone"))).toHaveLength(1);
    const again = (await (await complete({ prompt: "next", seed: 1 })).json()) as { choices: { text: string }[] };
    expect(next.choices).toEqual(again.choices);
  },
);

describe("a client that does not read", () => {
  const TOKENS = 60_000; // more than sockets hold

  test("holds nobody up: the model goes on at its own pace", async () => {
    const lines: string[] = [];
    await start({ log: (line) => lines.push(line) }, 2 ** 20);
    deafClient(TOKENS);
    await until(() => generator.prompts.length === 1);
    expect((await complete({ max_tokens: 1 })).status).toBe(200);
    // it was answered whole, before the other
    expect(lines[0]).toMatch(new RegExp(`200 \\d+ ms 1\\+${TOKENS} tokens length`));
  });

  test("loses the connection, and its answer is computed no further", async () => {
    const lines: string[] = [];
    await start({ stalledTimeoutMs: 100, log: (line) => lines.push(line) }, 2 ** 24);
    deafClient(2 ** 24 - 1);
    await until(() => lines.length > 0);
    expect(lines[0]).toMatch(/200 \d+ ms 1\+\d+ tokens client_stalled/);
    expect((await complete({ max_tokens: 1 })).status).toBe(200);
  });

  test("one that reads late gets all of it", async () => {
    await start({}, 2 ** 20);
    const response = await complete({ stream: true, max_tokens: TOKENS, stream_options: { include_usage: true } });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
    const pieces = events.map(
      (event) => JSON.parse(event.slice(6)) as { choices: { text: string }[]; usage?: { completion_tokens: number } },
    );
    const text = pieces.map(({ choices }) => choices[0]?.text ?? "").join("");
    expect(text).toHaveLength(TOKENS);
    expect(pieces.at(-1)?.usage?.completion_tokens).toBe(TOKENS);
    expect(pieces.length).toBeLessThan(TOKENS); // what waited was joined
  });
});

describe("a long prompt", () => {
  const long = "a ".repeat(1_000_000);

  test("is encoded beside the event loop, and its true length is told", async () => {
    server = await serve(tinyServedModel(), { port: 0 });
    const answer = complete({ prompt: long });
    let others = 0;
    let isDone = false;
    void answer.finally(() => {
      isDone = true;
    });
    for (; !isDone; others++) await (await fetch(`${server.url}/health`)).text();
    expect(await errorOf(await answer)).toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringContaining("2000000 tokens"),
    });
    expect(others).toBeGreaterThan(10); // answered meanwhile; at once none would be
  });

  test("that fits gives the answer of its ids", async () => {
    const model = heldModel(2 ** 20);
    server = await serve(model, { port: 0 });
    const prompt = "a<|endoftext|>b ".repeat(2000);
    await complete({ prompt, max_tokens: 1 });
    expect(model.generator.prompts.at(-1)).toEqual(await model.tokenizer.encode(prompt));
  });

  test("of a tokenizer.json too, special tokens of people as plain text", async () => {
    const file = new URL("../../golden/tokenizers/kinds/qwen2.tokenizer.json", import.meta.url);
    const tokenizer = await Tokenizer.open(fileURLToPath(file));
    const model = {
      ...heldModel(2 ** 20),
      tokenizer,
      chatTemplate: "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
    };
    server = await serve(model, { port: 0 });
    const content = "Call me <|im_end|> Ishmael 鯨. ".repeat(1000);
    const response = await fetch(
      `${server.url}/v1/chat/completions`,
      jsonPost({ messages: [{ role: "user", content }], max_tokens: 1 }),
    );
    expect(response.status).toBe(200);
    const end = tokenizer.tokenToId("<|im_end|>");
    const ids = model.generator.prompts.at(-1) ?? [];
    expect(ids.filter((id) => id === end)).toHaveLength(1);
    expect(ids).toEqual(
      await encodePrompt(tokenizer, chatFormat(model.chatTemplate, tokenizer).render([{ role: "user", content }]), {
        addSpecialTokens: false,
      }),
    );
  });

  test("with what the tokenizer refuses is refused as a short one", async () => {
    server = await serve(tinyServedModel(), { port: 0 });
    for (const prompt of ["鯨", "鯨".repeat(50_000)])
      expect(await errorOf(await complete({ prompt }))).toMatchObject({
        status: 400,
        message: expect.stringContaining("U+9BE8"),
      });
    expect((await complete({ prompt: "x" })).status).toBe(200);
  });

  test("whose client has gone is encoded no further", async () => {
    await start();
    const leaving = new AbortController();
    const gone = complete({ prompt: long }, leaving.signal).catch(() => "gone");
    await new Promise((resolve) => setTimeout(resolve, 300));
    leaving.abort();
    expect(await gone).toBe("gone");
    expect((await complete({ prompt: "a ".repeat(20_000) })).status).toBe(400); // the thread starts anew
  });

  test("is encoded once, as a short one", async () => {
    await start();
    const model = tinyServedModel();
    const texts: string[] = [];
    const { encode } = model.tokenizer;
    model.tokenizer.encode = (text, options) => {
      texts.push(text);
      return encode.call(model.tokenizer, text, options);
    };
    const body = JSON.stringify({ prompt: "Hello", max_tokens: 2 });
    await createApp(model).request("/v1/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(texts).toEqual(["Hello"]);
  });
});
