import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { chatFormat, type MixedMessage, type Tokenizer } from "../../tokenizers/index.ts";
import { Template } from "../../tokenizers/jinja/template.ts";
import { normalizeMessages, type TemplateTraits, templateTraits } from "./messages.ts";

const tokenizer = { namedTokens: {}, specialTexts: [], Template } as unknown as Tokenizer;
const formatOf = (template: string) => chatFormat(template, tokenizer);
const traitsOf = (template: string) => templateTraits(template, formatOf(template));
const goldenTemplate = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../golden/chat-templates/${name}.jinja`, import.meta.url)), "utf8");

/** A template that shows calls by an expression for the arguments. */
const showing = (argumentsText: string) =>
  `{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}${argumentsText}{% endfor %}\n{% endfor %}`;

test("whether arguments are objects is seen in what a template makes of them", () => {
  expect(traitsOf(showing("{{ c.function.arguments | tojson }}")).arguments).toBe("object");
  expect(traitsOf(showing("{{ '```' + c.function.arguments + '```' }}")).arguments).toBe("text");
  expect(traitsOf(showing("{{ c.function.arguments }}")).arguments).toBe("text");
  expect(
    traitsOf(showing("{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}{% endfor %}")).arguments,
  ).toBe("object");
  expect(traitsOf("{% for m in messages %}{{ m.content }}{% endfor %}")).toEqual({
    arguments: "object",
    takesSeveralCalls: true,
    knowsDevelopers: false,
    takesTexts: true,
  });
  expect(traitsOf(goldenTemplate("llama3")).takesSeveralCalls).toBe(false);
  expect(traitsOf(goldenTemplate("mistral"))).toMatchObject({ takesSeveralCalls: true, idLength: 9 });
});

const traits: TemplateTraits = {
  arguments: "object",
  takesSeveralCalls: true,
  knowsDevelopers: false,
  takesTexts: true,
};
const call = (id: string, name: string, written: unknown) => ({
  id,
  type: "function",
  function: { name, arguments: written },
});
const conversation: MixedMessage[] = [
  { role: "developer", content: "Be brief." },
  { role: "user", content: "a" },
  { role: "assistant", content: null, tool_calls: [call("c1", "f", '{"x": 1}'), call("c2", "g", "")] },
  { role: "tool", tool_call_id: "c2", content: "two" },
  { role: "tool", tool_call_id: "c1", content: "one" },
  { role: "assistant", content: "b", tool_calls: [] },
];

test("messages are as templates take them", () => {
  expect(normalizeMessages(conversation, traits)).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "a" },
    { role: "assistant", content: "", tool_calls: [call("c1", "f", { x: 1 }), call("c2", "g", {})] },
    { role: "tool", tool_call_id: "c2", name: "g", content: "two" },
    { role: "tool", tool_call_id: "c1", name: "f", content: "one" },
    { role: "assistant", content: "b" },
  ]);
  expect(normalizeMessages(conversation, { ...traits, knowsDevelopers: true })[0].role).toBe("developer");
});

test("arguments are text where a template writes them out, and what is no JSON stays", () => {
  const asText = normalizeMessages(
    [{ role: "assistant", content: null, tool_calls: [call("c", "f", { x: 1 }), call("d", "f", undefined)] }],
    { ...traits, arguments: "text" },
  );
  expect(asText[0].tool_calls).toEqual([call("c", "f", '{"x":1}'), call("d", "f", "{}")]);
  const broken = normalizeMessages([{ role: "assistant", content: null, tool_calls: [call("c", "f", "{x")] }], traits);
  expect(broken[0].tool_calls).toEqual([call("c", "f", "{x")]);
});

test("calls are one after the other where a template takes one at a time", () => {
  const messages = normalizeMessages(conversation, { ...traits, takesSeveralCalls: false });
  expect(messages.map(({ role, content }) => [role, content])).toEqual([
    ["system", "Be brief."],
    ["user", "a"],
    ["assistant", ""],
    ["tool", "one"],
    ["assistant", ""],
    ["tool", "two"],
    ["assistant", "b"],
  ]);
  expect(messages[4].tool_calls).toEqual([call("c2", "g", {})]);
  const format = formatOf(goldenTemplate("llama3"));
  expect(() => format.render(messages)).not.toThrow();
});

test("ids have the length that a template asks for, results those of their calls", () => {
  const [assistant, first, second] = normalizeMessages(
    [
      {
        role: "assistant",
        content: "",
        tool_calls: [call("call_0123456789", "f", "{}"), call("abcdefghi", "f", "{}")],
      },
      { role: "tool", tool_call_id: "call_0123456789", content: "1" },
      { role: "tool", tool_call_id: "abcdefghi", content: "2" },
    ],
    { ...traits, idLength: 9 },
  );
  const ids = (assistant.tool_calls as { id: string }[]).map(({ id }) => id);
  expect(ids[0]).toMatch(/^[0-9a-f]{9}$/);
  expect(ids[1]).toBe("abcdefghi");
  expect([first.tool_call_id, second.tool_call_id]).toEqual(ids);
});

test("the older function_call and its results are calls and results of tools", () => {
  const messages = normalizeMessages(
    [
      { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
      { role: "function", name: "f", content: "1" },
    ],
    traits,
  );
  expect(messages).toEqual([
    { role: "assistant", content: "", tool_calls: [call("call_0_0", "f", {})] },
    { role: "tool", tool_call_id: "call_0_0", name: "f", content: "1" },
  ]);
});

test("contents are lists where a template writes no texts, as those of models with images", () => {
  const lists =
    "{% for m in messages %}{% for part in m.content | selectattr('type', 'equalto', 'text') %}{{ part.text }};{% endfor %}{% endfor %}";
  expect(traitsOf(lists).takesTexts).toBe(false);
  const texts = "{% for m in messages %}{{ m.content }}{% endfor %}";
  expect(traitsOf(texts).takesTexts).toBe(true);
  const parts = [{ type: "image" }, { type: "text", text: "b" }];
  const messages: MixedMessage[] = [
    { role: "system", content: "a" },
    { role: "user", content: parts },
  ];
  expect(normalizeMessages(messages, { ...traits, takesTexts: false })).toEqual([
    { role: "system", content: [{ type: "text", text: "a" }] },
    { role: "user", content: parts },
  ]);
  expect(normalizeMessages(messages, traits)).toEqual(messages);
});
