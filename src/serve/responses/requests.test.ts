/** What is done with every field of a response's request. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";
import { inputTokensFields, responseFields } from "./requests.ts";

const tools = [{ type: "function", name: "add", parameters: { type: "object" } }];
const app = createApp(tinyServedModel());
const user = (content: unknown) => ({ input: [{ role: "user", content }] });
test.each([
  [{ input: undefined }, "input: expected a text, or a list of items"],
  [{ input: [] }, "input: expected a text, or a list of items"],
  [{ input: [1] }, "input[0]: expected an object"],
  [{ input: [{ role: "tool", content: "" }] }, "input[0].role: expected one of user, assistant, system, developer"],
  [{ input: [{ role: "user" }] }, "input[0].content: expected a text, or a list of parts"],
  [{ input: [{ type: "web_search_call" }] }, "input[0].type: expected one of message, function_call"],
  [{ input: [{ type: "item_reference", id: "msg_x" }] }, "input[0].id: expected an item of a response that is stored"],
  [{ input: [{ type: "function_call", call_id: "c", name: "f" }] }, "input[0].arguments: expected the arguments"],
  [{ input: [{ type: "reasoning", summary: [{ type: "x" }] }] }, "input[0].summary[0].type: expected summary_text"],
  [user([{ type: "input_image", image_url: "" }]), "input[0].content[0].image_url: expected the address"],
  [user([{ type: "input_file", file_url: "" }]), "input[0].content[0].type: expected input_text or input_image"],
  [user([{ type: "input_text", txt: "" }]), "Unknown parameter: 'input[0].content[0].txt'. Did you mean"],
  [user([{ type: "output_text", text: "" }]), "input[0].content[0].type: expected input_text"],
  [{ max_output_tokens: 0 }, "max_output_tokens: expected a whole number from 1"],
  [{ max_tokens: 5 }, "Unknown parameter: 'max_tokens'."],
  [{ conversation: "c" }, "Unsupported parameter: 'conversation'"],
  [{ include: ["reasoning.encrypted_content"] }, "include: expected a list with no other text than message.output"],
  [{ top_logprobs: 2 }, "top_logprobs: expected message.output_text.logprobs in include with it"],
  [{ metadata: { a: 1 } }, "metadata: expected an object of at most 16 texts"],
  [{ truncation: "never" }, "truncation: expected one of auto, disabled"],
  [{ text: { verbosity: "low" } }, "Unsupported parameter: 'text.verbosity'"],
  [{ text: { format: { type: "json" } } }, "text.format.type: expected one of text, json_object, json_schema"],
  [{ text: { format: { type: "json_schema", name: "a" } } }, "text.format.schema: expected a JSON Schema"],
  [{ reasoning: { effort: "high" } }, "'reasoning.effort': the template of this model has no levels"],
  [{ reasoning: { effort: "often" } }, "reasoning.effort: expected one of none, low, medium, high"],
  [{ reasoning: { summary: "auto" } }, "Unsupported parameter: 'reasoning.summary'"],
  [{ tools: [{ type: "web_search" }] }, 'tools[0].type: expected "function"'],
  [{ tools: [{ type: "function", name: "f g" }] }, "tools[0].name: expected 1 to 64 letters"],
  [{ tools, tool_choice: { type: "function", name: "sub" } }, "tool_choice.name: expected one of the tools add"],
  [{ tools, tool_choice: { type: "file_search" } }, "tool_choice.type: expected one of function, allowed_tools"],
  [{ prompt: { id: "p" } }, "Unsupported parameter: 'prompt'"],
])("are told by field: %j", async (more, message) => {
  const answer = await app.request(
    "/v1/responses",
    jsonPost({ model: "tiny", input: "Hi", max_output_tokens: 5, ...more }),
  );
  const body = (await answer.json()) as { error?: { type: string; message: string } };
  expect([answer.status, body.error?.type]).toEqual([400, "invalid_request_error"]);
  expect(body.error?.message).toContain(message);
});

test.each([
  ["responses.d.ts", "ResponseCreateParamsBase", responseFields],
  ["input-tokens.d.ts", "InputTokenCountParams", inputTokensFields],
] as const)("every field of the client's %s %s is known", (file, name, fields) => {
  const openai = dirname(createRequire(import.meta.url).resolve("openai"));
  const source = readFileSync(join(openai, "resources/responses", file), "utf8");
  const [, members] = new RegExp(`interface ${name} {\n([^]*?)\n}`).exec(source) as RegExpExecArray;
  const names = [...members.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member]) => member);
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((member) => !Object.hasOwn(fields, member))).toEqual([]);
});
