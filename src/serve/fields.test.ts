/** What is done with every field of a request. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import type { Field, Fields } from "./fields.ts";
import { createApp } from "./index.ts";
import { messageFields } from "./messages.ts";
import { chatFields, completionFields } from "./requests.ts";

const app = createApp(tinyServedModel());
const endpoints = {
  "/v1/completions": {
    fields: completionFields,
    body: { prompt: "Hello", max_tokens: 2 },
    types: ["completions.d.ts", "CompletionCreateParamsBase"],
  },
  "/v1/chat/completions": {
    fields: chatFields,
    body: { messages: [{ role: "user", content: "Hi" }], max_tokens: 2 },
    types: ["chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase"],
  },
} as const;

async function post(path: string, body: unknown) {
  const response = await app.request(path, jsonPost(body));
  return {
    status: response.status,
    body: (await response.json()) as { error: { message: string; param: string; code: string } },
  };
}

const treatment = (field: Field) =>
  field === "harmless" ? field : "accepts" in field ? "followed" : `only ${JSON.stringify(field)}`;
const treatments = (fields: Fields) =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, treatment(field)]));

/** Values of every kind that no field of those refused takes for nothing. */
const asking = [true, 0.5, "x", ["x"], { x: 1 }];

describe.each(Object.entries(endpoints))("%s", (path, { fields, body, types: [file, name] }) => {
  test("knows every field of OpenAI's own types", () => {
    const openai = dirname(createRequire(import.meta.url).resolve("openai"));
    const source = readFileSync(join(openai, "resources", file), "utf8");
    const [, members] = new RegExp(`interface ${name} {\n([^]*?)\n}`).exec(source) as RegExpExecArray;
    const names = [...members.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member]) => member);
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((member) => !Object.hasOwn(fields, member))).toEqual([]);
  });

  test("null stands for a field that is left out", async () => {
    const optional = Object.keys(fields).filter((field) => !Object.hasOwn(body, field));
    expect((await post(path, { ...body, ...Object.fromEntries(optional.map((field) => [field, null])) })).status).toBe(
      200,
    );
  });

  test("harmless fields are taken, with any value", async () => {
    const harmless = Object.keys(fields).filter((field) => (fields as Fields)[field] === "harmless");
    for (const value of asking)
      expect(
        (await post(path, { ...body, ...Object.fromEntries(harmless.map((field) => [field, value])) })).status,
      ).toBe(200);
  });

  const refused = Object.entries(fields as Fields).filter((entry): entry is [string, readonly unknown[]] =>
    Array.isArray(entry[1]),
  );
  test.each(refused)("%s is refused by name, unless it asks for nothing", async (field, neutral) => {
    for (const value of neutral) expect((await post(path, { ...body, [field]: value })).status).toBe(200);
    for (const value of asking) {
      const answer = await post(path, { ...body, [field]: value });
      expect(answer).toMatchObject({
        status: 400,
        body: { error: { type: "invalid_request_error", param: field, code: "unsupported_parameter" } },
      });
      expect(answer.body.error.message).toContain(`'${field}'`);
    }
  });

  test("an unknown field is refused with the nearest", async () => {
    const { status, body: answer } = await post(path, { ...body, temprature: 1 });
    expect({ status, ...answer.error }).toMatchObject({ status: 400, param: "temprature", code: "unknown_parameter" });
    expect(answer.error.message).toBe("Unknown parameter: 'temprature'. Did you mean 'temperature'?");
    expect((await post(path, { ...body, constructor: 1, __proto__: null })).body.error.message).toMatch(
      /Unknown parameter: 'constructor'/,
    );
  });
});

test("tools are checked, and the field that is wrong is named", async () => {
  const { body } = endpoints["/v1/chat/completions"];
  const paramOf = async (more: object) => (await post("/v1/chat/completions", { ...body, ...more })).body.error?.param;
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
  expect((await post("/v1/chat/completions", { ...body, tools, tool_choice: "none" })).status).toBe(200);
  expect(await paramOf({ tools: [{ type: "function", function: { name: "f g" } }] })).toBe("tools[0].function.name");
  expect(await paramOf({ tools: [...tools, ...tools] })).toBe("tools[1].function.name");
  expect(await paramOf({ tools, tool_choice: "sometimes" })).toBe("tool_choice");
  expect(await paramOf({ response_format: { type: "json" } })).toBe("response_format.type");
  expect(await paramOf({ response_format: { type: "json_schema", json_schema: { name: "a" } } })).toBe(
    "response_format.json_schema.schema",
  );
  expect(await paramOf({ structured_outputs: { regex: "a", choice: ["b"] } })).toBe("structured_outputs");
  expect(await paramOf({ grammar: 'root ::= "a"', response_format: { type: "json_object" } })).toBe("grammar");
  expect(await paramOf({ top_logprobs: 2 })).toBe("top_logprobs");
});

test("what is done with each field of a completion", () =>
  expect(treatments(completionFields)).toMatchInlineSnapshot(`
    {
      "best_of": "followed",
      "echo": "followed",
      "frequency_penalty": "followed",
      "grammar": "followed",
      "ignore_eos": "followed",
      "logit_bias": "followed",
      "logprobs": "followed",
      "max_tokens": "followed",
      "min_p": "followed",
      "min_tokens": "followed",
      "model": "followed",
      "n": "followed",
      "presence_penalty": "followed",
      "priority": "followed",
      "prompt": "followed",
      "prompt_logprobs": "followed",
      "repetition_penalty": "followed",
      "seed": "followed",
      "stop": "followed",
      "stop_token_ids": "followed",
      "stream": "followed",
      "stream_options": "followed",
      "structured_outputs": "followed",
      "suffix": "followed",
      "temperature": "followed",
      "top_k": "followed",
      "top_p": "followed",
      "typical_p": "followed",
      "user": "harmless",
    }
  `));
test("what is done with each field of a chat", () =>
  expect(treatments(chatFields)).toMatchInlineSnapshot(`
    {
      "audio": "only []",
      "chat_template_kwargs": "followed",
      "frequency_penalty": "followed",
      "function_call": "only ["none","auto"]",
      "functions": "only [[]]",
      "grammar": "followed",
      "ignore_eos": "followed",
      "logit_bias": "followed",
      "logprobs": "followed",
      "max_completion_tokens": "followed",
      "max_tokens": "followed",
      "messages": "followed",
      "metadata": "harmless",
      "min_p": "followed",
      "min_tokens": "followed",
      "modalities": "only [["text"]]",
      "model": "followed",
      "moderation": "only []",
      "n": "followed",
      "parallel_tool_calls": "followed",
      "prediction": "harmless",
      "presence_penalty": "followed",
      "priority": "followed",
      "prompt_cache_key": "harmless",
      "prompt_cache_options": "harmless",
      "prompt_cache_retention": "harmless",
      "prompt_logprobs": "followed",
      "reasoning_effort": "only []",
      "repetition_penalty": "followed",
      "response_format": "followed",
      "safety_identifier": "harmless",
      "seed": "followed",
      "service_tier": "harmless",
      "stop": "followed",
      "stop_token_ids": "followed",
      "store": "harmless",
      "stream": "followed",
      "stream_options": "followed",
      "structured_outputs": "followed",
      "temperature": "followed",
      "thinking_token_budget": "followed",
      "tool_choice": "followed",
      "tools": "followed",
      "top_k": "followed",
      "top_logprobs": "followed",
      "top_p": "followed",
      "typical_p": "followed",
      "user": "harmless",
      "verbosity": "only ["medium"]",
      "web_search_options": "only []",
    }
  `));
test("what is done with each field of a message", () =>
  expect(treatments(messageFields)).toMatchInlineSnapshot(`
  {
    "annotations": "harmless",
    "audio": "only []",
    "content": "followed",
    "function_call": "followed",
    "name": "followed",
    "parsed": "harmless",
    "reasoning_content": "followed",
    "refusal": "followed",
    "role": "followed",
    "tool_call_id": "followed",
    "tool_calls": "followed",
  }
`));

test("docs/serving.md names them all", () => {
  const docs = readFileSync(new URL("../../docs/serving.md", import.meta.url), "utf8");
  const names = Object.keys({ ...completionFields, ...chatFields });
  expect(names.filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

const wrong: [object, string][] = [
  [{}, "prompt: expected a text, a list of token ids, or a list of texts or of such lists; received nothing"],
  [{ prompt: 5 }, "prompt: expected a text, a list of token ids, or a list of texts or of such lists; received 5"],
  [
    { prompt: ["a", 1] },
    "prompt: expected a text, a list of token ids, or a list of texts or of such lists; received a list of 2",
  ],
  [{ prompt: "x", temperature: 9 }, "temperature: expected a number from 0 to 2; received 9"],
  [{ prompt: "x", top_p: 0 }, "top_p: expected a number above 0 and at most 1; received 0"],
  [{ prompt: "x", max_tokens: 1.5 }, "max_tokens: expected a whole number from 0; received 1.5"],
  [{ prompt: "x", n: 0 }, "n: expected a whole number from 1 to 128; received 0"],
  [
    { prompt: "x", stop: [""] },
    "stop: expected a text, or a list of at most 16 texts, none of them empty; received a list of 1",
  ],
  [{ prompt: "x", stream: "yes" }, 'stream: expected true or false; received "yes"'],
  [{ prompt: "x", seed: "1" }, 'seed: expected a whole number; received "1"'],
  [
    { prompt: "x", stream_options: { include_usages: true } },
    "Unknown parameter: 'stream_options.include_usages'. Did you mean 'stream_options.include_usage'?",
  ],
];
test.each(wrong)("%j: the message says what is expected", async (body, message) => {
  const answer = await post("/v1/completions", body);
  expect(answer.body.error.message).toBe(message);
  expect(answer.status).toBe(400);
});

const wrongMessages: [unknown, string][] = [
  ["hello", 'messages[0]: expected an object; received "hello"'],
  [
    { content: "x" },
    "messages[0].role: expected one of system, developer, user, assistant, tool, function; received nothing",
  ],
  [
    { role: "bot", content: "x" },
    'messages[0].role: expected one of system, developer, user, assistant, tool, function; received "bot"',
  ],
  [{ role: "user" }, "messages[0].content: expected a text, or a list of parts; received nothing"],
  [{ role: "user", content: null }, "messages[0].content: expected a text, or a list of parts; received null"],
  [
    { role: "user", content: [{ type: "image_url", image_url: {} }] },
    "messages[0].content[0].image_url.url: expected the address of an image: data:, https: or http:; received nothing",
  ],
  [
    { role: "user", content: [{ type: "input_audio", input_audio: {} }] },
    'messages[0].content[0].type: expected "text" or "image_url": this server takes no other parts; received "input_audio"',
  ],
  [
    { role: "tool", content: "3" },
    "messages[0].tool_call_id: expected the id of the call that this answers; received nothing",
  ],
  [{ role: "user", contnet: "x" }, "Unknown parameter: 'messages[0].contnet'. Did you mean 'messages[0].content'?"],
  [
    { role: "assistant", tool_calls: [{ id: "1", type: "function", function: {} }] },
    "messages[0].tool_calls[0].function.name: expected the name of a function; received nothing",
  ],
];
test.each(wrongMessages)("%j: the message says where", async (message, expected) => {
  const answer = await post("/v1/chat/completions", { messages: [message] });
  expect(answer.body.error.message).toBe(expected);
  expect(answer.status).toBe(400);
});
