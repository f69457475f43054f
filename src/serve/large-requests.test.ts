/** Requests of more parts than clients send: refused before they cost anything, or worked on beside the event loop. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { createApp } from "./index.ts";
import { leastTokensOf } from "./least-tokens.ts";

type TestApp = ReturnType<typeof createApp>;

async function post(path: string, body: object | string, app: TestApp = createApp(tinyServedModel())) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: text,
  });
  const { error } = (await response.json()) as { error?: { message: string; param: string | null; code: string } };
  return { status: response.status, ...error };
}

describe("more than clients send is refused by the limit's name", () => {
  const message = { role: "user", content: "a" };
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
  test.each([
    ["messages", "/v1/chat/completions", { messages: Array(40_000).fill(message) }, "requestContainers"],
    [
      "parts",
      "/v1/chat/completions",
      { messages: [{ role: "user", content: Array(100_000).fill({ type: "text", text: "a" }) }] },
      "requestContainers",
    ],
    ["fields", "/v1/completions", { prompt: "a", ...fields(200_000) }, "requestFields"],
    [
      "fields of what is harmless",
      "/v1/chat/completions",
      { messages: [message], metadata: fields(200_000) },
      "requestFields",
    ],
    ["answers", "/v1/completions", { prompt: Array(2048).fill("a"), n: 128 }, "requestAnswers"],
  ])("%s", async (_, path, body, limit) => {
    expect(await post(path, body)).toMatchObject({
      status: 400,
      code: "invalid_value",
      message: expect.stringContaining(`(limit ${limit})`),
    });
  });

  test("as many answers as the limit are taken", async () => {
    expect(
      (await post("/v1/completions", { prompt: Array(32).fill("a"), n: 128, max_tokens: 1 }, createApp(heldModel())))
        .status,
    ).toBe(200);
  });

  test("an unknown field with a long name is found out at once, and its name is cut", async () => {
    const body = { prompt: "a", ["temperature".repeat(100_000)]: 1 };
    const start = performance.now();
    const answer = await post("/v1/completions", body);
    expect(performance.now() - start).toBeLessThan(500); // comparing it with every name took seconds
    expect(answer).toMatchObject({ status: 400, code: "unknown_parameter" });
    expect(answer.message?.length).toBeLessThan(200);
  });
});

const goldenFile = (kind: string) =>
  fileURLToPath(new URL(`../../golden/tokenizers/kinds/${kind}.tokenizer.json`, import.meta.url));

describe("a text that is sure to be too long", () => {
  test("is refused before it is encoded, with the fewest tokens that it can have", async () => {
    const model = { ...tinyServedModel(), tokenizer: await Tokenizer.open(goldenFile("qwen2")) };
    const answer = await post("/v1/completions", { prompt: "Call me Ishmael. ".repeat(100_000) }, createApp(model));
    expect(answer).toMatchObject({ status: 400, code: "context_length_exceeded", param: "prompt" });
    expect(answer.message).toMatch(/your prompt resulted in at least \d+ tokens\. Please reduce/);
  });

  test.each(["qwen2", "gpt2", "llama2", "llama3", "gemma", "mistral", "deepseek", "o200k", "smollm"])(
    "%s: never more than it has",
    async (kind) => {
      const leastTokens = leastTokensOf(JSON.parse(readFileSync(goldenFile(kind), "utf8")));
      const tokenizer = await Tokenizer.open(goldenFile(kind));
      for (const text of [
        "Call me Ishmael.",
        "\u1100\u1161\u11a8".repeat(50),
        " \n".repeat(100),
        "-".repeat(300),
        "鯨".repeat(99),
        "<|endoftext|>".repeat(9),
      ]) {
        const { length } = await tokenizer.encode(text, { addSpecialTokens: false });
        expect(leastTokens?.(text) ?? 0).toBeLessThanOrEqual(length);
      }
    },
  );

  test.each(["bert-uncased", "t5", "word-level", "bpe-unknown-fused"])(
    "%s: one token may stand for any text, so there is no bound",
    (kind) => {
      expect(leastTokensOf(JSON.parse(readFileSync(goldenFile(kind), "utf8")))).toBeUndefined();
    },
  );
});

describe("many messages", () => {
  const messages = Array(5000).fill({ role: "user", content: "a" });

  test("are rendered beside the event loop, as few are", async () => {
    const model = heldModel(2 ** 20);
    const app = createApp({ ...model, chatTemplate: "{% for m in messages %}{{ m.content }}{{ mark }}{% endfor %}" });
    expect(
      await post("/v1/chat/completions", { messages, max_tokens: 1, chat_template_kwargs: { mark: "-" } }, app),
    ).toEqual({ status: 200 });
    expect(await model.tokenizer.decode([...model.generator.prompts[0]])).toBe("a-".repeat(5000));
  });

  test("that the template refuses are refused in its words", async () => {
    const app = createApp(tinyServedModel({ chatTemplate: "{{ raise_exception('roles must alternate') }}" }));
    expect(await post("/v1/chat/completions", { messages }, app)).toMatchObject({
      status: 400,
      param: "messages",
      code: "chat_template_error",
      message: expect.stringContaining("roles must alternate"),
    });
  });
});
