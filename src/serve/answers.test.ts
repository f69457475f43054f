/** What answers have besides text: tools, thoughts, log probabilities, forms; and several of them at once. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { addCall, heldModel, ScriptedGenerator, tinyServedModel } from "../testing/served-model.ts";
import { createApp, type RunningServer, serve } from "./index.ts";

const hermes =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{% if think %}<think>\n{% endif %}{# <think></think> #}";
const held = heldModel(2048);
const generator = new ScriptedGenerator(held.generator.model as never, { maxSequences: 4 });
let server: RunningServer;
let client: OpenAI;
beforeAll(async () => {
  generator.text = "x";
  server = await serve({ ...held, id: "scripted", generator, chatTemplate: hermes }, { port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close());

const tools = [
  {
    type: "function" as const,
    function: { name: "add", parameters: { type: "object", properties: { a: { type: "number" } } } },
  },
];
const closedTools = [
  {
    type: "function",
    function: {
      name: "add",
      strict: true,
      parameters: {
        type: "object",
        properties: { a: { type: "integer", minimum: 0, maximum: 99 } },
        required: ["a"],
        additionalProperties: false,
      },
    },
  },
];
const messages = [{ role: "user" as const, content: "2 + 3?" }];
const request = { model: "scripted", messages };

describe("tools", () => {
  test("are called by the official client, and the text beside calls is content", async () => {
    generator.text = `I add.\n${addCall}`;
    const { choices } = await client.chat.completions.create({ ...request, tools });
    expect(choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: {
        content: "I add.",
        tool_calls: [{ type: "function", function: { name: "add", arguments: '{"a": 5}' } }],
      },
    });
  });

  test("and their messages, as the client has parsed them, go back", async () => {
    generator.text = addCall;
    const strict = [{ ...tools[0], function: { ...tools[0].function, strict: true } }];
    const whole = await client.chat.completions.parse({ ...request, tools: strict });
    const streamed = await client.chat.completions.stream({ ...request, tools: strict }).finalChatCompletion();
    generator.text = "It is 5.";
    for (const { choices } of [whole, streamed]) {
      const [{ message }] = choices;
      const [{ id = "", function: called }] = message.tool_calls ?? [];
      expect(called).toMatchObject({ parsed_arguments: { a: 5 } });
      const result = { role: "tool" as const, tool_call_id: id, content: "5" };
      const after = await client.chat.completions.create({ ...request, messages: [...messages, message, result] });
      expect(after.choices[0].message.content).toBe("It is 5.");
    }
  });

  test("are streamed as they are written", async () => {
    generator.text = addCall;
    const stream = client.chat.completions.stream({ ...request, tools });
    const pieces: string[] = [];
    stream.on("tool_calls.function.arguments.delta", ({ arguments_delta: piece }) => pieces.push(piece));
    const { choices } = await stream.finalChatCompletion();
    expect(choices[0].finish_reason).toBe("tool_calls");
    expect(choices[0].message.tool_calls?.[0]).toMatchObject({ function: { name: "add", arguments: '{"a": 5}' } });
    expect(choices[0].message.content ?? "").toBe("");
    expect(pieces.length).toBeGreaterThan(1);
  });

  test("that are not offered, or may not be called, are text", async () => {
    generator.text = addCall;
    for (const more of [{}, { tools, tool_choice: "none" as const }]) {
      const { choices } = await client.chat.completions.create({ ...request, ...more });
      expect(choices[0]).toMatchObject({ finish_reason: "stop", message: { content: addCall } });
    }
  });
});

test("thoughts come apart from the answer, whole and streamed", async () => {
  generator.text = "easy\n</think>\n\nfive";
  const body = { ...request, chat_template_kwargs: { think: true } } as typeof request;
  const { choices } = await client.chat.completions.create(body);
  expect(choices[0].message).toMatchObject({ content: "five", reasoning_content: "easy" });
  let [thoughts, content] = ["", ""];
  for await (const { choices: pieces } of await client.chat.completions.create({ ...body, stream: true })) {
    const delta = pieces[0].delta as { content?: string; reasoning_content?: string };
    thoughts += delta.reasoning_content ?? "";
    content += delta.content ?? "";
  }
  expect([thoughts, content]).toEqual(["easy", "five"]);
});

describe("by a model", () => {
  const app = createApp(tinyServedModel({ contextLength: 2048 }));
  const post = async (path: string, body: object) => {
    const answer = await app.request(path, jsonPost(body));
    // biome-ignore lint/suspicious/noExplicitAny: whatever the endpoint gives
    return { status: answer.status, body: (await answer.json()) as any };
  };
  const complete = (body: object) => post("/v1/completions", { prompt: "Once", max_tokens: 6, seed: 1, ...body });
  const chat = (body: object) => post("/v1/chat/completions", { messages, max_tokens: 200, seed: 1, ...body });

  test("log probabilities of a completion are those of its tokens, and of the likeliest", async () => {
    const { body } = await complete({ logprobs: 2, temperature: 0 });
    const [{ text, logprobs }] = body.choices;
    expect(logprobs.tokens.join("")).toBe(text);
    expect(logprobs.text_offset).toEqual([0, 1, 2, 3, 4, 5]);
    logprobs.top_logprobs.forEach((top: Record<string, number>, i: number) => {
      expect(Math.max(...Object.values(top))).toBe(logprobs.token_logprobs[i]); // greedy
      expect(top[logprobs.tokens[i]]).toBe(logprobs.token_logprobs[i]);
    });
    expect((await complete({})).body.choices[0].logprobs).toBeNull();
  });

  test("with echo, those of the prompt stand in front: with no tokens asked for, a prompt is scored", async () => {
    const scored = async (more: object) => {
      const { body } = await complete({ echo: true, logprobs: 1, temperature: 0, ...more });
      return body.choices[0];
    };
    const { text, logprobs, finish_reason: reason } = await scored({ max_tokens: 0 });
    expect([text, logprobs.tokens.join(""), reason]).toEqual(["Once", "Once", "length"]);
    expect(logprobs.text_offset[0]).toBe(0);
    expect([logprobs.token_logprobs[0], logprobs.top_logprobs[0]]).toEqual([null, null]);
    for (const logprob of logprobs.token_logprobs.slice(1)) expect(logprob).toBeLessThan(0);
    const longer = await scored({ max_tokens: 3 });
    expect(longer.logprobs.token_logprobs.slice(0, logprobs.tokens.length)).toEqual(logprobs.token_logprobs);
    expect(longer.logprobs.tokens.join("")).toBe(longer.text);
    // what the model writes by itself is scored alike when it is a prompt
    const again = await scored({ prompt: longer.text, max_tokens: 0 });
    again.logprobs.token_logprobs.slice(1).forEach((logprob: number, i: number) => {
      expect(logprob).toBeCloseTo(longer.logprobs.token_logprobs[i + 1], 4);
    });
    const { body } = await complete({ echo: true, logprobs: 0, n: 2, best_of: 3, max_tokens: 2 });
    for (const choice of body.choices) expect(choice.logprobs.tokens.join("")).toBe(choice.text);
  });

  test("the token that ends a completion is the last of its log probabilities, whole and streamed", async () => {
    const ends = { logit_bias: { 66: 100 }, stop_token_ids: [66], logprobs: 1, temperature: 0, max_tokens: 1 };
    const { text, logprobs, finish_reason: reason } = (await complete(ends)).body.choices[0];
    expect([text, logprobs.tokens, reason]).toEqual(["", ["a"], "stop"]);
    expect(logprobs.token_logprobs[0]).toBe(logprobs.top_logprobs[0].a); // the picked one is told of beside the likeliest
    expect(Object.keys(logprobs.top_logprobs[0])).toHaveLength(2);
    const { logprobs: echoed } = (await complete({ ...ends, echo: true })).body.choices[0];
    expect(echoed.tokens).toEqual([..."Once", "a"]); // what lm-evaluation-harness counts on
    const streamed = await app.request("/v1/completions", jsonPost({ prompt: "Once", seed: 1, ...ends, stream: true }));
    const events = (await streamed.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
    expect(events.flatMap((event) => JSON.parse(event.slice(6)).choices[0].logprobs ?? [])).toEqual([logprobs]);
  });

  test("log probabilities of a chat, whole and streamed, are the same", async () => {
    const { body } = await chat({ logprobs: true, top_logprobs: 3, max_tokens: 5 });
    const { content } = body.choices[0].logprobs;
    expect(content).toHaveLength(5);
    expect(content[0]).toMatchObject({ bytes: expect.any(Array), top_logprobs: { length: 3 } });
    const streamed = await app.request(
      "/v1/chat/completions",
      jsonPost({ messages, max_tokens: 5, seed: 1, logprobs: true, top_logprobs: 3, stream: true }),
    );
    const events = (await streamed.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
    const pieces = events.flatMap((event) => JSON.parse(event.slice(6)).choices[0].logprobs?.content ?? []);
    expect(pieces).toEqual(content);
  });

  test("best_of gives the likeliest answers, and a stream of them is refused", async () => {
    const mean = (choice: { logprobs: { token_logprobs: number[] } }) =>
      choice.logprobs.token_logprobs.reduce((a, b) => a + b, 0) / choice.logprobs.token_logprobs.length;
    const all = (await complete({ n: 6, logprobs: 0 })).body.choices.map(mean);
    const best = (await complete({ n: 2, best_of: 6, logprobs: 0 })).body;
    expect(best.choices.map(({ index }: { index: number }) => index)).toEqual([0, 1]);
    const likeliest = all.toSorted((a: number, b: number) => b - a).slice(0, 2);
    for (const [i, choice] of best.choices.entries()) expect(mean(choice)).toBeCloseTo(likeliest[i], 5);
    expect(best.usage.completion_tokens).toBe(36);
    expect((await complete({ best_of: 2, stream: true })).status).toBe(400);
    expect((await complete({ n: 3, best_of: 2 })).body.error.param).toBe("best_of");
  });

  test("the answers of one request are those of requests with the next seeds", async () => {
    const { body } = await complete({ n: 4, max_tokens: 12 });
    for (const [i, { text }] of body.choices.entries())
      expect((await complete({ seed: 1 + i, max_tokens: 12 })).body.choices[0].text).toBe(text);
  });

  test("a schema, a regular expression, choices and grammars are followed", async () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 5 }, age: { type: "integer", minimum: 0, maximum: 99 } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    for (let seed = 1; seed <= 5; seed++) {
      const format = { type: "json_schema", json_schema: { name: "person", schema } };
      const { choices } = (await chat({ response_format: format, seed })).body;
      expect(choices[0].finish_reason).toBe("stop");
      expect(JSON.parse(choices[0].message.content)).toEqual({ name: expect.any(String), age: expect.any(Number) });
    }
    const text = async (body: object) => (await complete({ max_tokens: 40, ...body })).body.choices[0].text;
    expect(await text({ structured_outputs: { regex: "[ab]{3}c" } })).toMatch(/^[ab]{3}c$/);
    expect(["yes", "no"]).toContain(await text({ structured_outputs: { choice: ["yes", "no"] } }));
    expect(await text({ structured_outputs: { json: JSON.stringify({ enum: [42] }) } })).toBe("42");
    expect(await text({ grammar: 'root ::= "a" [0-9] "z"' })).toMatch(/^a\dz$/);
    expect(await text({ structured_outputs: { grammar: 'start: "q" /[xy]/' } })).toMatch(/^q[xy]$/);
    const refused = await chat({
      response_format: {
        type: "json_schema",
        json_schema: { name: "a", schema: { type: "array", uniqueItems: true } },
      },
    });
    expect(refused).toMatchObject({ status: 400, body: { error: { message: expect.stringMatching(/uniqueItems/) } } });
  });

  test("tools that must be called are, by any model", async () => {
    for (let seed = 1; seed <= 3; seed++) {
      for (const choice of ["required", { type: "function", function: { name: "add" } }]) {
        const { body } = await chat({ tools: closedTools, tool_choice: choice, parallel_tool_calls: false, seed });
        const [{ message }] = body.choices;
        expect(message.tool_calls).toHaveLength(1);
        const { name, arguments: json } = message.tool_calls[0].function;
        expect(name).toBe("add");
        expect(Object.keys(JSON.parse(json))).toEqual(["a"]);
      }
    }
  });

  test("penalties and biases are followed", async () => {
    const biased = (await complete({ logit_bias: { 66: 100 }, temperature: 0 })).body.choices[0].text;
    expect(biased).toBe("aaaaaa");
    const spread = (await complete({ logit_bias: { 66: 3, 67: 2.9 }, presence_penalty: 2, temperature: 0 })).body;
    expect(new Set(spread.choices[0].text).size).toBeGreaterThan(1);
  });
});

describe("beside answers", () => {
  const model = tinyServedModel({
    contextLength: 128,
    chatTemplate: "{% for m in messages %}{{ m.content }}{% endfor %}",
  });
  const app = createApp(model);
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    const answer = await app.request(path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };

  test("texts and messages become tokens, and tokens texts", async () => {
    expect((await post("/tokenize", { prompt: "abc", return_token_strs: true })).body).toEqual({
      tokens: [66, 67, 68],
      count: 3,
      max_model_len: 128,
      token_strs: ["a", "b", "c"],
    });
    expect((await post("/tokenize", { messages: [{ role: "user", content: "ab" }] })).body).toMatchObject({
      tokens: [66, 67],
    });
    expect((await post("/detokenize", { tokens: [66, 67] })).body).toEqual({ prompt: "ab" });
    expect((await post("/detokenize", { tokens: [66, 9999] })).status).toBe(400);
    expect((await post("/tokenize", { prompt: "a", messages: [] })).status).toBe(400);
    expect((await post("/tokenize", { prompt: "a", model: "other" })).status).toBe(404);
  });

  test("numbers for Prometheus have vLLM's names, and count what was done", async () => {
    await post("/v1/completions", { prompt: "abcd", max_tokens: 5, seed: 1, n: 2 });
    await post("/v1/completions", { prompt: "abcd", max_tokens: 0 });
    const answer = await app.request("/metrics");
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
    const lines = (await answer.text()).split("\n");
    const numberOf = (name: string) =>
      Number(
        lines
          .find((line) => line.startsWith(`kindling:${name}{`))
          ?.split(" ")
          .at(-1),
      );
    expect(numberOf("prompt_tokens_total")).toBe(8);
    expect(numberOf("generation_tokens_total")).toBe(10);
    expect(numberOf("time_to_first_token_seconds_count")).toBe(1);
    expect(numberOf("time_per_output_token_seconds_count")).toBe(8);
    expect(numberOf("e2e_request_latency_seconds_count")).toBe(2);
    expect(numberOf("num_requests_running")).toBe(0);
    expect(numberOf("prefix_cache_hits_total")).toBe(4); // the second answer's prompt
    expect(lines).toContain('kindling:request_success_total{finished_reason="length",model_name="tiny"} 3');
  });
});

test("texts of several requests are written beside one another, each as it is alone", async () => {
  const model = tinyServedModel({ contextLength: 256 });
  const app = createApp(model);
  const ask = async (prompt: string, seed: number) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ prompt, seed, max_tokens: 30 });
    const answer = await app.request("/v1/completions", { method: "POST", headers, body });
    return ((await answer.json()) as { choices: { text: string }[] }).choices[0].text;
  };
  const prompts = Array.from({ length: 12 }, (_, i) => "Call me Ishmael. ".slice(0, 4 + i));
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, model.generator.load.running);
  }, 1);
  const together = await Promise.all(prompts.map(ask));
  clearInterval(timer);
  expect(most).toBeGreaterThan(4);
  for (const [i, prompt] of prompts.entries()) expect(await ask(prompt, i)).toBe(together[i]);
});
