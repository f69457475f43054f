/** Chat templates as Python's Jinja renders them in transformers. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { chatFormat, type MixedMessage, type Tokenizer } from "../index.ts";
import { Template } from "./template.ts";
import { TemplateError } from "./values.ts";

const folder = fileURLToPath(new URL("../../../golden/chat-templates/", import.meta.url));
interface Case {
  template: string;
  conversation: string;
  options: {
    tools?: boolean;
    add_generation_prompt?: boolean;
    continue_final_message?: boolean;
    [key: string]: unknown;
  };
  text?: string;
  error?: string;
  kind?: string;
}
const golden = JSON.parse(gunzipSync(readFileSync(`${folder}expected.json.gz`)).toString()) as {
  now: string;
  specialTokens: Record<string, Record<string, string>>;
  tools: object[];
  conversations: Record<string, MixedMessage[]>;
  cases: Case[];
  snippets: { template: string; text?: string; error?: string; kind?: string }[];
};
const now = new Date(golden.now);
const sourceOf = (name: string) => readFileSync(`${folder}${name}.jinja`, "utf8");

function rendered({ template, conversation, options }: Case): string {
  const namedTokens = golden.specialTokens[template];
  const tokenizer = { namedTokens, specialTexts: [], Template } as unknown as Tokenizer;
  const {
    tools,
    add_generation_prompt: addGenerationPrompt = false,
    continue_final_message: continueFinalMessage = false,
    ...variables
  } = options;
  return chatFormat(sourceOf(template), tokenizer).render(golden.conversations[conversation], {
    ...(tools && { tools: golden.tools }),
    addGenerationPrompt,
    continueFinalMessage,
    variables,
    now,
  });
}

const templates = readdirSync(folder).filter((name) => name.endsWith(".jinja"));
describe.each(templates.map((name) => name.replace(".jinja", "")))("%s", (name) => {
  test("texts and errors of transformers", () => {
    const cases = golden.cases.filter(({ template }) => template === name);
    expect(cases.length).toBeGreaterThan(20);
    for (const each of cases) {
      const label = `${each.conversation} ${JSON.stringify(each.options)}`;
      // the golden file's 2.0 is 2 once JavaScript has read it
      if (each.text !== undefined)
        expect([label, rendered(each)]).toEqual([label, each.text.replace(/(?<=\bb\\?": )2\.0\b/g, "2")]);
      else if (each.kind === "TemplateError" || each.kind === "UndefinedError") {
        expect(() => rendered(each), label).toThrow(each.error?.replace(/.*not compatible.*/s, ""));
      } else expect(() => rendered(each), label).toThrow();
    }
  });
});

describe("parts of the language", () => {
  const variables = {
    messages: [],
    tools: golden.tools,
    add_generation_prompt: true,
    bos_token: "<s>",
    eos_token: "</s>",
  };
  const messages = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello! How can I help?" },
    { role: "user", content: "Tell me a joke." },
    { role: "assistant", content: "No." },
    { role: "user", content: "Why?" },
  ];
  test.each(golden.snippets.map((snippet) => [snippet.template, snippet] as const))(
    "%s",
    (source, { text, error, kind }) => {
      const render = () => new Template(source).render({ ...variables, messages }, { now });
      if (error === undefined) expect(render()).toBe(text);
      else if (kind === "TemplateError" || kind === "UndefinedError") expect(render).toThrow(error);
      else expect(render).toThrow(TemplateError);
    },
  );
});

test("a template that does not end is stopped", () => {
  expect(() => new Template("{% for i in range(9999999) %}{% endfor %}").render({})).toThrow(/limit templateSteps/);
  expect(() =>
    new Template("{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}").render({}),
  ).toThrow(/steps/);
  expect(() => new Template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").render({})).toThrow(/recursion/);
});

test.each([
  ["{{ 1 < 3 < 2 }}{{ (1 < 3) < 2 }}{{ 3 > 2 > 1 }}", "FalseTrueTrue"],
  ["{% if (1 == 1) != (2 == 3) %}a{% endif %}{{ not (1 == 1) in [true] }}", "aFalse"],
  ["{{ 4 is divisibleby 2 and 'a' is not in ['b'] and 5 is not divisibleby(2) }}", "True"],
  ["{{ 'a\tb\u200b' | list }}{{ \"it's\" | list | first }}", "['a', '\\t', 'b', '\\u200b']i"],
  [
    "{% for a, b in {'x': 1}.items() %}{{ a ~ b }}{% endfor %}{{ ['a'] * 2 }}{{ 7.0 // 2 }}{{ 2 ** -1 }}",
    "x1['a', 'a']3.00.5",
  ],
  [
    "{{ ' a b  c '.split(none, 1) }}{{ 'a b c'.rsplit(' ', 1) }}{{ 'ab'.center(5, '*') }}",
    "['a', 'b  c ']['a b', 'c']**ab*",
  ],
  [
    "{% set y = 1 %}{% with x = y, y = 2 %}{{ x }}{{ y }}{% with %}{% set y = 3 %}{{ y }}{% endwith %}{{ y }}{% endwith %}{{ y }}",
    "12321",
  ],
  [
    "{{ (1,) }}{{ ('a',) + (2,) }}{{ [1, 2,] }}{{ {'a': 1,} }}{{ range(3,) | list }}{{ ((1,), 2) }}{{ 2 in (2,) }}",
    "(1,)('a', 2)[1, 2]{'a': 1}[0, 1, 2]((1,), 2)True",
  ],
  ["a\r\nb\r\n", "a\nb"],
  ["{{ 'x\r\ny' }}\rz\r", "x\ny\nz"],
  ["{% if true %}\r\n  a\r\n{% endif %}\r\nb{{ '\\r' }}", "  a\nb\r"],
  ["{% for x in [1, 2] %}{% with y = x * 2 %}{{ y }}{% endwith %}{% endfor %}{{ 'ab'.endswith(('b',)) }}", "24True"],
])("%s", (source, text) => {
  expect(new Template(source).render({})).toBe(text);
});
