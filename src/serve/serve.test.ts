import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { CharacterTokenizer } from "../tokenizers/index.ts";
import { createApp, type RunningServer, type ServedModel, serve } from "./index.ts";

let model: ServedModel;
let server: RunningServer;
let client: OpenAI;
beforeAll(async () => {
  const tokenizer = new CharacterTokenizer(Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).concat("\n"));
  const config = { vocabSize: tokenizer.vocabSize, maxPositionEmbeddings: 64, hiddenSize: 32, numLayers: 1, numHeads: 2, bosTokenId: 0, eosTokenId: null };
  model = { id: "tiny", generator: new Generator(new GPT2LMHeadModel(config, randomKey(1))), tokenizer };
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
    const body = { model: "tiny", messages: [{ role: "user" as const, content: "Hi" }], max_tokens: 8, seed: 2, temperature: 0 };
    const whole = await client.chat.completions.create(body);
    expect(whole.choices[0].message.role).toBe("assistant");
    let text = "";
    let usage: unknown;
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0].message.content);
    expect(usage).toEqual(whole.usage);
  });

  test("gets errors it understands", async () => {
    await expect(client.completions.create({ model: "other", prompt: "x" })).rejects.toThrow(/404.*"other" is not served here/);
    await expect(client.completions.create({ model: "tiny", prompt: "x", temperature: 9 })).rejects.toThrow(/400 temperature/);
    await expect(client.completions.create({ model: "tiny", prompt: "日本" })).rejects.toThrow(/400.*U\+65E5/);
  });
});

test("health, the page, and what does not exist", async () => {
  const app = createApp(model);
  expect(await (await app.request("/health")).json()).toEqual({ status: "ok" });
  const page = await app.request("/");
  expect(page.headers.get("content-type")).toMatch(/html/);
  expect(await page.text()).toContain("tiny");
  expect((await app.request("/v2")).status).toBe(404);
  const post = (body: string) => app.request("/v1/completions", { method: "POST", body, headers: { "content-type": "application/json" } });
  expect((await post("{not json")).status).toBe(400);
  expect((await post(`{"prompt": "${"x".repeat(5_000_000)}"}`)).status).toBe(413);
});

test("a port in use is named, with another to try", async () => {
  await expect(serve(model, { port: server.port })).rejects.toThrow(
    new RegExp(`${server.port}: expected a free port; received one that another program is using. Fix: use another, for example --port`),
  );
  await expect(serve(model, { port: 70000 })).rejects.toThrow(/0 to 65535/);
});

test("it listens on this machine only", () => expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:/));

test("a client that goes away stops its generation, and others are served", async () => {
  const controller = new AbortController();
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    signal: controller.signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "x", max_tokens: 30000, stream: true }),
  });
  await response.body?.getReader().read();
  controller.abort();
  const after = await client.completions.create({ model: "tiny", prompt: "y", max_tokens: 2 });
  expect(after.usage?.completion_tokens).toBe(2);
}, 20_000);
