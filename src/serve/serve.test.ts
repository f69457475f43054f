import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { type HeldGenerator, heldModel, lastPromptOf, tinyServedModel } from "../testing/served-model.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { createApp, type RunningServer, type ServedModel, serve } from "./index.ts";

let model: ServedModel;
let server: RunningServer;
let client: OpenAI;
beforeAll(async () => {
  model = tinyServedModel();
  server = await serve(model, { port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close());

describe("the official client", () => {
  test("lists models", async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(["tiny"]);
    expect((await client.models.retrieve("tiny")).object).toBe("model");
  });

  test("completes, whole and streamed alike", async () => {
    const body = { model: "tiny", prompt: "Hello", max_tokens: 12, seed: 5 };
    const whole = await client.completions.create(body);
    expect(whole.usage).toEqual({ prompt_tokens: 5, completion_tokens: 12, total_tokens: 17 });
    expect(whole.choices[0].finish_reason).toBe("length");
    let text = "";
    const reasons: unknown[] = [];
    for await (const chunk of await client.completions.create({ ...body, stream: true })) {
      text += chunk.choices[0].text;
      reasons.push(chunk.choices[0].finish_reason);
    }
    expect(text).toBe(whole.choices[0].text);
    expect(reasons.at(-1)).toBe("length");
  });

  test("chats, whole and streamed alike, with usage when asked", async () => {
    const body = {
      model: "tiny",
      messages: [{ role: "user" as const, content: "Hi" }],
      max_tokens: 8,
      seed: 2,
      temperature: 0,
    };
    const whole = await client.chat.completions.create(body);
    expect(whole.choices[0].message.role).toBe("assistant");
    let text = "";
    let usage: unknown;
    for await (const chunk of await client.chat.completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    })) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0].message.content);
    expect(usage).toEqual(whole.usage);
  });

  test("gets errors it understands", async () => {
    await expect(client.completions.create({ model: "other", prompt: "x" })).rejects.toThrow(
      /404.*'other' is not served here/,
    );
    await expect(client.completions.create({ model: "tiny", prompt: "x", temperature: 9 })).rejects.toThrow(
      /400 temperature/,
    );
    await expect(client.completions.create({ model: "tiny", prompt: "日本" })).rejects.toThrow(/400.*U\+65E5/);
    const long = client.chat.completions.create({
      model: "tiny",
      messages: [{ role: "user", content: "x".repeat(99) }],
    });
    await expect(long).rejects.toMatchObject({ status: 400, code: "context_length_exceeded", param: "messages" });
  });
});

test("health, the page, and what does not exist", async () => {
  const app = createApp(model);
  expect(await (await app.request("/health")).json()).toEqual({ status: "ok" });
  const page = await app.request("/");
  expect(page.headers.get("content-type")).toMatch(/html/);
  expect(await page.text()).toContain("tiny");
  expect((await app.request("/v2")).status).toBe(404);
  const post = (body: string) =>
    app.request("/v1/completions", { method: "POST", body, headers: { "content-type": "application/json" } });
  expect((await post("{not json")).status).toBe(400);
  expect((await post(`{"prompt": "${"x".repeat(5_000_000)}"}`)).status).toBe(413);
});

test("a port in use is named, with another to try", async () => {
  await expect(serve(model, { port: server.port })).rejects.toThrow(
    new RegExp(
      `${server.port}: expected a free port; received one that another program is using. Fix: use another, for example --port`,
    ),
  );
  await expect(serve(model, { port: 70000 })).rejects.toThrow(/0 to 65535/);
});

test("it listens on this machine only", () => expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:/));

test("limits and options that cannot be are refused", async () => {
  expect(() => createApp(model, { maxQueue: -1 })).toThrow(/maxQueue from 0/);
  expect(() => createApp(model, { requestTimeoutMs: 0.5 })).toThrow(/requestTimeoutMs from 1/);
  expect(() => createApp(model, { maxQeue: 1 } as object)).toThrow(/did you mean "maxQueue"/);
  await expect(serve(model, { prot: 1 } as object)).rejects.toThrow(/did you mean "port"/);
});

test.each([
  [{ generator: 1, tokenizer: 1 }, /expected a model with an id; received none/],
  [{ id: "m", generatr: 1, tokenizer: 1 }, /expected m with a generator and a tokenizer; received no generator/],
  [{ id: "m", generator: 1 }, /received no tokenizer/],
  [{ id: "m", kind: "embeding", load: () => {} }, /expected m to be of a kind of .*; received embeding.*"embedding"/],
])("what is no model is refused: %j", (wrong, message) => {
  expect(() => createApp(wrong as never)).toThrow(message);
});

test("the model is warm before the server says that it is ready", async () => {
  const { prompts } = (await serveHeld()).generator;
  expect(prompts).toHaveLength(1);
});

test("a model has the chat template of its tokenizer", async () => {
  const config = { chat_template: "{% for m in messages %}<{{ m.content }}>{% endfor %}" };
  const tokenizer = await Tokenizer.fromJson(heldModel().tokenizer.toJson(), config);
  const held = { ...heldModel(), tokenizer };
  const chat = { messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
  expect((await createApp(held).request("/v1/chat/completions", jsonPost(chat))).status).toBe(200);
  expect(await lastPromptOf(held)).toBe("<Hi>");
});

async function serveHeld(): Promise<{ generator: HeldGenerator }> {
  const held = heldModel();
  const running = await serve(held, { port: 0 });
  await running.close();
  return held;
}

test("a model that cannot write is found out at the start, and the port is free again", async () => {
  const broken = tinyServedModel();
  broken.generator.model.generationConfig = { num_beams: 4 };
  await expect(serve(broken, { port: 0 })).rejects.toThrow(/num_beams/);
});

test("a line of the log for each request", async () => {
  const lines: string[] = [];
  const app = createApp(model, { log: (line) => lines.push(line.replace(/^\S+Z /, "").replace(/\d+ ms/, "n ms")) });
  const post = async (path: string, body: object) => {
    const response = await app.request(path, jsonPost(body));
    await response.text();
  };
  await app.request("/health");
  await post("/v1/completions", { prompt: "Hello", max_tokens: 3 });
  await post("/v1/completions", { prompt: "Hello", max_tokens: 3, stream: true });
  await post("/v1/completions", { prompt: "Hello", max_tokens: 300 });
  await app.request("/nothing");
  expect(lines).toEqual([
    "GET /health 200 n ms",
    "POST /v1/completions 200 n ms 5+3 tokens length",
    "POST /v1/completions 200 n ms 5+3 tokens length",
    "POST /v1/completions 400 n ms context_length_exceeded",
    "GET /nothing 404 n ms not_found",
  ]);
});
