/** Anthropic's API, by its official client. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { addCall, callTemplate, lastPromptOf, scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp, type RunningServer, serve } from "../index.ts";
import { countFields, messagesFields } from "./requests.ts";

const model = scriptedModel(callTemplate);
const { generator } = model;
let server: RunningServer;
let client: Anthropic;
beforeAll(async () => {
  server = await serve(model, { port: 0 });
  client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close());

const tools: Anthropic.Tool[] = [
  { name: "add", description: "Adds.", input_schema: { type: "object", properties: { a: { type: "number" } } } },
];
const request = { model: "scripted", max_tokens: 200, messages: [{ role: "user" as const, content: "2 + 3?" }] };
const lastPrompt = () => lastPromptOf(model);

/** The same answer, whole and streamed. */
async function both(text: string, more: Partial<Anthropic.MessageCreateParamsNonStreaming> = {}) {
  generator.text = text;
  const whole = await client.messages.create({ ...request, ...more });
  const streamed = await client.messages.stream({ ...request, ...more }).finalMessage();
  return [whole, streamed];
}

describe("answers", () => {
  test("are texts, with usage and the reason of their end", async () => {
    for (const answer of await both("Five."))
      expect(answer).toMatchObject({
        type: "message",
        role: "assistant",
        model: "scripted",
        content: [{ type: "text", text: "Five." }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: { input_tokens: 13, output_tokens: 5 },
      });
    for (const answer of await both("Five.", { max_tokens: 2 }))
      expect(answer).toMatchObject({ content: [{ text: "Fi" }], stop_reason: "max_tokens" });
  });

  test("end at a stop sequence, which is told", async () => {
    for (const answer of await both("one\ntwo three", { stop_sequences: ["three", "two"] }))
      expect(answer).toMatchObject({
        content: [{ type: "text", text: "one\n" }],
        stop_reason: "stop_sequence",
        stop_sequence: "two",
      });
  });

  test("call tools", async () => {
    for (const answer of await both(`I add.\n${addCall}`, { tools }))
      expect(answer).toMatchObject({
        content: [
          { type: "text", text: "I add." },
          { type: "tool_use", id: expect.stringMatching(/^call_/), name: "add", input: { a: 5 } },
        ],
        stop_reason: "tool_use",
      });
    for (const answer of await both(addCall + addCall, { tools, tool_choice: { type: "auto" } }))
      expect(answer.content).toHaveLength(2);
    const single = { type: "auto" as const, disable_parallel_tool_use: true };
    for (const answer of await both(addCall + addCall, { tools, tool_choice: single }))
      expect(answer.content).toHaveLength(1);
    for (const answer of await both(addCall, { tools, tool_choice: { type: "none" } }))
      expect(answer).toMatchObject({ content: [{ type: "text", text: addCall }], stop_reason: "end_turn" });
    const named = { type: "tool" as const, name: "add" };
    for (const answer of await both(addCall, { tools, tool_choice: named }))
      expect(answer).toMatchObject({ content: [{ type: "tool_use", name: "add" }], stop_reason: "tool_use" });
  });

  test("have thoughts apart", async () => {
    const thinking = { type: "enabled" as const, budget_tokens: 100 };
    for (const answer of await both("easy\n</think>\n\nfive", { thinking }))
      expect(answer.content).toMatchObject([
        { type: "thinking", thinking: "easy" },
        { type: "text", text: "five" },
      ]);
    expect(await lastPrompt()).toMatch(/<think>\n$/);
    await both("five", { thinking: { type: "disabled" } });
    expect(await lastPrompt()).not.toMatch(/<think>/);
  });

  test("are streamed as named events, in Anthropic's order", async () => {
    generator.text = `Hm.\n${addCall}`;
    const names: string[] = [];
    let json = "";
    for await (const event of await client.messages.create({ ...request, tools, stream: true })) {
      if (event.type === "content_block_start") names.push(`start ${event.index} ${event.content_block.type}`);
      else if (event.type === "content_block_delta") {
        if (event.delta.type === "input_json_delta") json += event.delta.partial_json;
        const name = `delta ${event.index} ${event.delta.type}`;
        if (names.at(-1) !== name) names.push(name);
      } else names.push(event.type);
    }
    expect(names).toEqual([
      "message_start",
      "start 0 text",
      "delta 0 text_delta",
      "content_block_stop",
      "start 1 tool_use",
      "delta 1 input_json_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(JSON.parse(json)).toEqual({ a: 5 });
  });
});

test("a conversation with thoughts, calls and results reaches the template", async () => {
  generator.text = "Five.";
  await client.messages.create({
    ...request,
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    messages: [
      { role: "user", content: "2" },
      { role: "user", content: [{ type: "text", text: "+ 3?" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "(adding) ", signature: "" },
          { type: "text", text: "I add." },
          { type: "tool_use", id: "c1", name: "add", input: { a: 5 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "none" }], is_error: true },
          { type: "text", text: "Well?" },
        ],
      },
    ],
    tools,
    tool_choice: { type: "none" },
  });
  expect(await lastPrompt()).toBe(
    'system: Be brief.\nuser: 2\n+ 3?\nassistant: (adding) I add.<tool_call>{"name": "add", "arguments": {"a": 5}}\ntool: Error:\nnone\nuser: Well?\n',
  );
});

test("tokens are counted as they are read", async () => {
  const { messages } = request;
  generator.text = "x";
  const { usage } = await client.messages.create({ ...request, tools });
  expect(await client.messages.countTokens({ model: "scripted", messages, tools })).toEqual({
    input_tokens: usage.input_tokens,
  });
});

test("an answer follows a schema", async () => {
  const real = await serve(tinyServedModel({ contextLength: 512 }), { port: 0 });
  const schema = {
    type: "object",
    properties: { age: { type: "integer", minimum: 0, maximum: 99 } },
    required: ["age"],
    additionalProperties: false,
  };
  const other = new Anthropic({ baseURL: real.url, apiKey: "none", maxRetries: 0 });
  const { content } = await other.messages.create({
    ...request,
    model: "tiny",
    output_config: { format: { type: "json_schema", schema } },
  });
  expect(JSON.parse(content[0].type === "text" ? content[0].text : "")).toEqual({ age: expect.any(Number) });
  await real.close();
});

describe("errors", () => {
  test("have Anthropic's form, and are known to the client", async () => {
    await expect(client.messages.create({ ...request, model: "other" })).rejects.toThrow(Anthropic.NotFoundError);
    await expect(client.messages.create({ ...request, max_tokens: 5000 })).rejects.toMatchObject({
      status: 400,
      error: { type: "error", error: { type: "invalid_request_error", message: /maximum context length is 4096/ } },
    });
  });

  test("in a stream are an event", async () => {
    generator.text = "Five";
    generator.failure = new Error("the card is gone");
    const stream = client.messages.stream(request);
    await expect(stream.finalMessage()).rejects.toThrow(/api_error.*The server failed to answer/);
    generator.failure = undefined;
  });

  const app = createApp(tinyServedModel());
  const refusal = async (more: object, path = "/v1/messages") => {
    const answer = await app.request(path, jsonPost({ ...request, model: "tiny", max_tokens: 5, ...more }));
    const body = (await answer.json()) as { type: string; error: { type: string; message: string } };
    expect([answer.status, body.type, body.error?.type]).toEqual([400, "error", "invalid_request_error"]);
    return body.error.message;
  };
  const user = (content: unknown) => ({ messages: [{ role: "user", content }] });

  test.each([
    [{ messages: [] }, "messages: expected a list of at least one message"],
    [{ messages: "Hi" }, "messages: expected a list"],
    [{ messages: [1] }, "messages[0]: expected an object"],
    [{ messages: [{ role: "tool", content: "" }] }, "messages[0].role: expected one of user, assistant, system"],
    [{ messages: [{ role: "user" }] }, "messages[0].content: expected a text, or a list"],
    [user([]), "messages[0].content: expected a text, or a list of at least one block; received a list of 0"],
    [user([{ type: "image", source: {} }]), "messages[0].content[0].source.type: expected one of base64, url"],
    [user([{ type: "document", source: {} }]), "messages[0].content[0].type: expected text or image or tool_result"],
    [user([{ type: "text", txt: "" }]), "Unknown parameter: 'messages[0].content[0].txt'. Did you mean"],
    [user([{ type: "tool_result", tool_use_id: "c" }]), "messages[0].content[0].tool_use_id: expected the id"],
    [
      { messages: [{ role: "assistant", content: "I" }] },
      "messages[0].role: expected the last message to be of the user",
    ],
    [{ max_tokens: null }, "max_tokens: expected a whole number from 0; received nothing"],
    [{ max_tokens: "5" }, "max_tokens: expected a whole number"],
    [{ temperature: 1.5 }, "temperature: expected a number from 0 to 1"],
    [{ stop_sequences: "a" }, "stop_sequences: expected a list"],
    [{ stop_sequences: [""] }, "stop_sequences: expected a list"],
    [{ system: [{ type: "image" }] }, "system[0].type: expected text"],
    [{ max_token: 5 }, "Unknown parameter: 'max_token'. Did you mean 'max_tokens'?"],
    [{ container: "c" }, "Unsupported parameter: 'container'"],
    [{ thinking: { type: "enabled" } }, "thinking.budget_tokens: expected a whole number from 1; received nothing"],
    [{ thinking: { type: "enabled", budget_tokens: 5 } }, "'thinking': this model has no thoughts"],
    [{ thinking: { type: "often" } }, "thinking.type: expected one of enabled, adaptive, disabled"],
    [{ output_config: { effort: "low" } }, "Unsupported parameter: 'output_config.effort'"],
    [{ output_config: { format: { type: "json" } } }, "output_config.format.type: expected"],
    [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "Unsupported parameter: 'tools[0].type'"],
    [{ tools: [{ name: "f" }] }, "tools[0].input_schema: expected"],
    [{ tools: [{ name: "f g", input_schema: {} }] }, "tools[0].name: expected"],
    [{ tools: [{ name: "f", input_schema: { type: "array" } }] }, "tools[0].input_schema.type: expected"],
    [{ tools, tool_choice: "auto" }, "tool_choice: expected an object"],
    [{ tools, tool_choice: { type: "tool" } }, "tool_choice.name: expected the name of one of the tools"],
    [{ tools, tool_choice: { type: "tool", name: "sub" } }, "tool_choice.name: expected one of the tools add"],
  ])("are told by field: %j", async (more, message) => {
    expect(await refusal(more)).toContain(message);
  });

  test("of counting are told alike", async () => {
    expect(await refusal({}, "/v1/messages/count_tokens")).toContain("Unknown parameter: 'max_tokens'");
  });
});

test.each([
  ["MessageCreateParamsBase", messagesFields],
  ["MessageCountTokensParams", countFields],
] as const)("every field of the client's %s is known", (name, fields) => {
  const client = dirname(createRequire(import.meta.url).resolve("@anthropic-ai/sdk"));
  const source = readFileSync(join(client, "resources/messages/messages.d.ts"), "utf8");
  const [, members] = new RegExp(`interface ${name} {\n([^]*?)\n}`).exec(source) as RegExpExecArray;
  const names = [...members.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member]) => member);
  const headers = ["user_profile_id", "workspace_id"];
  expect(names.length).toBeGreaterThan(7);
  expect(names.filter((member) => !headers.includes(member) && !Object.hasOwn(fields, member))).toEqual([]);
});
