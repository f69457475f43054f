/** Ollama's API, by its official client. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { addCall, callTemplate, lastPromptOf, scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp, type RunningServer, serve } from "../index.ts";
import { chatFields, generateFields, optionFields } from "./requests.ts";

const model = scriptedModel(callTemplate);
const { generator } = model;
let server: RunningServer;
let client: Ollama;
let real: RunningServer;
let realClient: Ollama;
beforeAll(async () => {
  server = await serve(model, { port: 0 });
  client = new Ollama({ host: server.url });
  real = await serve(tinyServedModel({ contextLength: 512 }), { port: 0 });
  realClient = new Ollama({ host: real.url });
});
afterAll(() => Promise.all([server.close(), real.close()]));

const tools = [
  {
    type: "function",
    function: {
      name: "add",
      description: "Adds.",
      parameters: { type: "object", properties: { a: { type: "number" } } },
    },
  },
];
const messages = [{ role: "user", content: "2 + 3?" }];
const request = { model: "scripted", messages };
const lastPrompt = () => lastPromptOf(model);
const callOfAdd = { function: { name: "add", arguments: { a: 5 } } };

type ChatRequest = Omit<Parameters<Ollama["chat"]>[0], "stream">;

/** The pieces of a stream, put together. */
async function streamed(more: Partial<ChatRequest> = {}) {
  const whole = { content: "", thinking: "", calls: [] as unknown[], pieces: 0 };
  for await (const piece of await client.chat({ ...request, ...more, stream: true })) {
    whole.pieces++;
    whole.content += piece.message.content;
    whole.thinking += piece.message.thinking ?? "";
    whole.calls.push(...(piece.message.tool_calls ?? []));
    if (piece.done) return { ...whole, end: piece };
  }
  throw new Error("no end");
}

describe("chats", () => {
  test("are texts, with counts and times", async () => {
    generator.text = "Five.";
    const before = performance.now();
    const whole = await client.chat({ ...request });
    const most = (performance.now() - before) * 1e6;
    expect(whole).toMatchObject({
      model: "scripted",
      message: { role: "assistant", content: "Five." },
      done: true,
      done_reason: "stop",
      prompt_eval_count: 13,
      eval_count: 5,
    });
    const parts = whole.load_duration + whole.prompt_eval_duration + whole.eval_duration;
    expect(Math.abs(whole.total_duration - parts)).toBeLessThan(1e6);
    expect(whole.total_duration).toBeLessThan(most);
    expect(whole.prompt_eval_duration).toBeGreaterThan(0);
    const { content, end } = await streamed();
    expect(content).toBe("Five.");
    expect(end).toMatchObject({ done_reason: "stop", eval_count: 5, prompt_eval_count: 13, message: { content: "" } });
    expect(end.total_duration).toBeGreaterThan(end.eval_duration);
    expect((await streamed({ options: { num_predict: 2 } })).end.done_reason).toBe("length");
    expect(
      (await client.chat({ ...request, model: "scripted:latest", options: { stop: ["v"] } })).message.content,
    ).toBe("Fi");
  });

  test("stream unless they are told not to", async () => {
    generator.text = "Five.";
    const answer = await fetch(`${server.url}/api/chat`, jsonPost(request));
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await answer.text()).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { done: boolean }).done)).toEqual([
      ...lines.slice(1).map(() => false),
      true,
    ]);
  });

  test("call tools", async () => {
    generator.text = `I add.\n${addCall}${addCall}`;
    const { message } = await client.chat({ ...request, tools });
    expect(message).toMatchObject({ content: "I add.", tool_calls: [callOfAdd, callOfAdd] });
    expect(await streamed({ tools })).toMatchObject({
      content: "I add.",
      calls: [callOfAdd, callOfAdd],
      end: { done_reason: "stop" },
    });
  });

  test("have thoughts apart", async () => {
    generator.text = "easy\n</think>\n\nfive";
    expect((await client.chat({ ...request, think: true })).message).toMatchObject({
      thinking: "easy",
      content: "five",
    });
    expect(await streamed({ think: true })).toMatchObject({ thinking: "easy", content: "five" });
    await client.chat({ ...request, think: false });
    expect(await lastPrompt()).not.toMatch(/<think>/);
    await expect(client.chat({ ...request, think: "low" })).rejects.toThrow(
      /'think': the template of this model has no levels/,
    );
  });

  test("with calls and results reach the template", async () => {
    await client.chat({
      ...request,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "2 + 3?" },
        { role: "assistant", content: "", thinking: "(adding)", tool_calls: [callOfAdd, callOfAdd] },
        { role: "tool", content: "5", tool_name: "add" },
        { role: "tool", content: "6", tool_name: "add" },
      ],
    });
    const written = '<tool_call>{"name": "add", "arguments": {"a": 5}}';
    expect(await lastPrompt()).toBe(
      `system: Be brief.\nuser: 2 + 3?\nassistant: (adding)${written}${written}\ntool: 5\ntool: 6\n`,
    );
  });

  test("of no messages ask for the model to be there", async () => {
    expect(await client.chat({ model: "scripted", messages: [] })).toMatchObject({ done: true, done_reason: "load" });
    expect(await client.generate({ model: "scripted", prompt: "", keep_alive: "5m" })).toMatchObject({
      response: "",
      done_reason: "load",
    });
  });
});

describe("texts", () => {
  test("are written by the template, or raw", async () => {
    generator.text = "five";
    const prompt = { model: "scripted", prompt: "2 + 3?" };
    expect(await client.generate({ ...prompt, system: "Hm." })).toMatchObject({ response: "five", eval_count: 4 });
    expect(await lastPrompt()).toBe("system: Hm.\nuser: 2 + 3?\n");
    let text = "";
    for await (const { response } of await client.generate({ ...prompt, raw: true, stream: true })) text += response;
    expect(text).toBe("five");
    expect(await lastPrompt()).toBe("2 + 3?");
    expect(generator.options.at(-1)?.maxNewTokens).toBe(4096 - 6);
  });

  test("follow options, formats and seeds", async () => {
    const options = {
      seed: 7,
      temperature: 0.5,
      top_k: 3,
      top_p: 0.9,
      min_p: 0.1,
      typical_p: 0.8,
      repeat_penalty: 1.5,
      presence_penalty: 0.5,
      frequency_penalty: 0.25,
      num_predict: 9,
      num_thread: 2,
    };
    await client.generate({ model: "scripted", prompt: "a", raw: true, options });
    expect(generator.options.at(-1)).toMatchObject({
      seed: 7,
      doSample: true,
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      minP: 0.1,
      typicalP: 0.8,
      repetitionPenalty: 1.5,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      maxNewTokens: 9,
    });
    const schema = {
      type: "object",
      properties: { age: { type: "integer", minimum: 0, maximum: 99 } },
      required: ["age"],
    };
    const { message } = await realClient.chat({
      model: "tiny",
      messages,
      format: { ...schema, additionalProperties: false },
      options: { seed: 1 },
    });
    expect(JSON.parse(message.content)).toEqual({ age: expect.any(Number) });
    const text = async (more: object) =>
      (await realClient.generate({ model: "tiny", prompt: "Once", options: { num_predict: 8, seed: 3, ...more } }))
        .response;
    expect(await text({})).toBe(await text({}));
    expect(await text({ mirostat: 2, mirostat_tau: 4 })).toHaveLength(8);
  });

  test("tell how probable tokens were", async () => {
    const options = { num_predict: 4, seed: 1 };
    const asked = { model: "tiny", prompt: "Once", logprobs: true, top_logprobs: 2, options };
    const { logprobs = [], response } = await realClient.generate(asked);
    const texts = logprobs.map(({ token }) => token).filter((token) => !token.startsWith("<|")); // no text of it
    expect(texts.join("")).toBe(response);
    expect(logprobs[0].top_logprobs).toHaveLength(2);
    const pieces: unknown[] = [];
    for await (const piece of await realClient.generate({ ...asked, stream: true }))
      pieces.push(...(piece.logprobs ?? []));
    expect(pieces).toEqual(logprobs);
  });
});

test("the model is told of", async () => {
  const { models } = await realClient.list();
  expect(models).toMatchObject([
    { name: "tiny", model: "tiny", digest: expect.stringMatching(/^[0-9a-f]{64}$/), details: { family: "gpt2" } },
  ]);
  const parameters = tinyServedModel({ contextLength: 512 }).generator.model.parameterCount();
  expect(models[0].size).toBe(4 * parameters);
  expect((await realClient.ps()).models[0]).toMatchObject({ name: "tiny", size: models[0].size });
  const shown = await client.show({ model: "scripted" });
  expect(shown).toMatchObject({ template: callTemplate, capabilities: ["completion", "tools", "thinking"] });
  expect((await realClient.show({ model: "tiny" })).model_info).toMatchObject({
    "general.architecture": "gpt2",
    "general.parameter_count": parameters,
    "gpt2.context_length": 512,
    "gpt2.embedding_length": 32,
  });
  const { version } = await client.version();
  expect(version).toBe((createRequire(import.meta.url)("../../../package.json") as { version: string }).version);
});

describe("errors", () => {
  test("have Ollama's form, in a stream too", async () => {
    await expect(client.chat({ ...request, model: "other" })).rejects.toMatchObject({
      status_code: 404,
      error: "The model 'other' is not served here; this is 'scripted'.",
    });
    generator.failure = new Error("the card is gone");
    await expect(streamed()).rejects.toThrow("The server failed to answer");
    generator.failure = undefined;
    expect((await fetch(`${server.url}/api/pull`, { method: "POST" })).status).toBe(404);
  });

  const app = createApp(tinyServedModel());
  const refusal = async (path: string, more: object) => {
    const answer = await app.request(path, jsonPost({ model: "tiny", ...more }));
    const { error } = (await answer.json()) as { error: string };
    expect([answer.status, typeof error]).toEqual([400, "string"]);
    return error;
  };

  test.each([
    [{ model: null }, "model: expected the name of a model"],
    [{ messages: "Hi" }, "messages: expected a list of messages"],
    [{ messages: [1] }, "messages[0]: expected an object"],
    [{ messages: [{ role: "developer", content: "" }] }, "messages[0].role: expected one of system, user"],
    [{ messages: [{ role: "user" }] }, "messages[0].content: expected a text"],
    [{ messages: [{ role: "user", content: "", images: ["aGk="] }] }, "messages[0].images[0]: expected a PNG"],
    [{ messages: [{ role: "tool", content: "5", tool_name: "add" }] }, "messages[0].tool_name: expected a tool"],
    [{ messages: [{ role: "assistant", tool_calls: [{}] }] }, "messages[0].tool_calls[0].function: expected"],
    [{ messages, options: { temperatur: 1 } }, "'options.temperatur'. Did you mean 'options.temperature'?"],
    [{ messages, options: { temperature: "1" } }, "options.temperature: expected a number"],
    [{ messages, options: { num_ctx: 4096 } }, "options.num_ctx: expected at most the 64 tokens"],
    [{ messages, options: { repeat_last_n: 64 } }, "Unsupported parameter: 'options.repeat_last_n'"],
    [{ messages, options: { mirostat: 1 } }, "options.mirostat: expected 0 or 2"],
    [{ messages, options: { mirostat_tau: 1 } }, "options.mirostat_tau: expected mirostat"],
    [{ messages, options: { stop: "a" } }, "options.stop: expected a list"],
    [{ messages, format: "xml" }, 'format: expected "json", or a JSON Schema'],
    [{ messages, stream: 1 }, "stream: expected true or false"],
    [{ messages, think: true }, "'think': this model has no thoughts"],
    [{ messages, tools: [{ type: "function" }] }, "tools[0].function: expected"],
    [{ messages, top_logprobs: 1 }, "top_logprobs: expected logprobs"],
    [{ messages, tool_choice: "none" }, "Unknown parameter: 'tool_choice'"],
  ])("are told by field: %j", async (more, message) => {
    expect(await refusal("/api/chat", more)).toContain(message);
  });

  test.each([
    [{ prompt: 5 }, "prompt: expected a text"],
    [{ prompt: "a", suffix: "b" }, "Unsupported parameter: 'suffix'"],
    [{ prompt: "a", context: [1] }, "Unsupported parameter: 'context'"],
    [{ prompt: "a", raw: true, system: "b" }, "system: expected none beside raw"],
  ])("of texts are told by field: %j", async (more, message) => {
    expect(await refusal("/api/generate", more)).toContain(message);
  });
});

test.each([
  ["ChatRequest", chatFields],
  ["GenerateRequest", generateFields],
  ["Options", optionFields],
] as const)("every field of the client's %s is known", (name, fields) => {
  const source = readFileSync(join(dirname(createRequire(import.meta.url).resolve("ollama")), "browser.d.ts"), "utf8");
  const [, members] = new RegExp(`interface ${name} {\n([^]*?)\n}`).exec(source) as RegExpExecArray;
  const names = [...members.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member]) => member);
  expect(names.length).toBeGreaterThan(7);
  expect(names.filter((member) => !Object.hasOwn(fields, member))).toEqual([]);
});
