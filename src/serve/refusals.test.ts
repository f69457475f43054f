/** What no answer can be: each refusal names the field, in the words of the API that was asked, and has a code. */
import { describe, expect, test } from "vitest";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";

const app = createApp(tinyServedModel({ contextLength: 512 }));
async function refusal(path: string, body: object) {
  const response = await app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as { error: unknown } };
}

const messages = [{ role: "user", content: "Hi" }];
const badSchema = { type: "objekt" };
const tool = (schema: object, more: object = {}) => ({
  type: "function",
  function: { name: "f", parameters: { type: "object", properties: { a: schema } }, ...more },
});
const named = (schema: unknown) => ({
  response_format: { type: "json_schema", json_schema: { name: "x", schema } },
});

describe("of chats", () => {
  test.each<[object, string, RegExp]>([
    [
      named(badSchema),
      "response_format.json_schema.schema",
      /schema: JSON Schema, #\/type: expected a type: .*"objekt"/,
    ],
    [named(false), "response_format.json_schema.schema", /no text fits/],
    [{ structured_outputs: { json: badSchema } }, "structured_outputs.json", /"objekt"/],
    [{ structured_outputs: { json: "{" } }, "structured_outputs.json", /expected JSON of a schema/],
    [{ structured_outputs: { regex: "(a" } }, "structured_outputs.regex", /regex: regex: expected|parenthesis/],
    [{ structured_outputs: { regex: "(a|b)*a(a|b){20}" } }, "structured_outputs.regex", /limit work/],
    [{ structured_outputs: { choice: ["a\ud800"] } }, "structured_outputs.choice", /./],
    [{ structured_outputs: { grammar: "root ::= nope" } }, "structured_outputs.grammar", /GBNF: .*"nope"/],
    [{ structured_outputs: { grammar: "start: nope" } }, "structured_outputs.grammar", /Lark grammar: .*"nope"/],
    [{ structured_outputs: { regex: "a" }, grammar: "root ::= a" }, "grammar", /nothing beside structured_outputs/],
    [{ grammar: "root ::= nope" }, "grammar", /^grammar: GBNF: expected rules that are described/],
    [{ tools: [tool(badSchema)], tool_choice: "required" }, "tools", /^tools: JSON Schema, #\/properties\/a\/type/],
    [{ tools: [tool(badSchema, { strict: true })], ...named(true) }, "tools", /^tools: JSON Schema/],
    [
      { tools: [tool({})], tool_choice: "required", ...named(badSchema) },
      "response_format.json_schema.schema",
      /objekt/,
    ],
    [{ logit_bias: { 999999: 1 } }, "logit_bias", /^logit_bias: expected token ids from 0 to \d+; received 999999$/],
  ])("%j", async (asked, param, message) => {
    const { status, body } = await refusal("/v1/chat/completions", { messages, max_tokens: 3, ...asked });
    expect([status, body]).toMatchObject([400, { error: { param, code: "invalid_value" } }]);
    expect((body.error as { message: string }).message).toMatch(message);
  });

  test("what vLLM called otherwise is told by its name", async () => {
    const { body } = await refusal("/v1/chat/completions", { messages, guided_regex: "a" });
    expect(body.error).toMatchObject({
      message: "Unknown parameter: 'guided_regex'. Did you mean 'structured_outputs.regex'?",
      param: "guided_regex",
      code: "unknown_parameter",
    });
  });
});

test("of completions", async () => {
  const { body } = await refusal("/v1/completions", { prompt: "x", structured_outputs: { json: badSchema } });
  expect(body.error).toMatchObject({ param: "structured_outputs.json", code: "invalid_value" });
  const two = await refusal("/v1/completions", { prompt: ["x", "y"], best_of: 2 });
  expect(two.body.error).toMatchObject({ param: "best_of", code: "invalid_value" });
});

test("of responses", async () => {
  const format = { type: "json_schema", name: "x", schema: badSchema };
  const { body } = await refusal("/v1/responses", { input: "x", text: { format } });
  expect(body.error).toMatchObject({
    message: expect.stringMatching(/^text\.format\.schema: JSON Schema/),
    param: "text.format.schema",
    code: "invalid_value",
  });
});

test("of Anthropic's messages, and Ollama's chats and texts", async () => {
  const anthropic = await refusal("/v1/messages", {
    max_tokens: 3,
    messages,
    output_config: { format: { type: "json_schema", schema: badSchema } },
  });
  expect(anthropic.body.error).toMatchObject({
    message: expect.stringMatching(/^output_config\.format\.schema: JSON/),
  });
  const ollama = { model: "tiny", format: badSchema, stream: false };
  const chat = await refusal("/api/chat", { ...ollama, messages });
  const text = await refusal("/api/generate", { ...ollama, prompt: "x", raw: true });
  for (const { status, body } of [chat, text])
    expect([status, body]).toMatchObject([400, { error: expect.stringMatching(/^format: JSON Schema, #\/type/) }]);
});
