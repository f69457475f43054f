/** Whatever a format's grammar allows, its parser reads as the calls that were meant. */
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { ChatAnswer } from "./events.ts";
import { toolFormat } from "./formats/detect.ts";
import { toolFormatNames } from "./formats/tool-format.ts";
import type { CallGrammar } from "./grammar.ts";
import { ChatParser } from "./parser.ts";
import { toolCallGrammar } from "./tool-call-grammar.ts";
import { type JsonSchema, readTools } from "./tools.ts";

const tools = readTools([
  {
    type: "function",
    function: {
      name: "search",
      parameters: {
        type: "object",
        properties: {
          query: { type: "string" },
          limit: { type: "integer" },
          exact: { type: "boolean" },
          order: { type: "string", enum: ["up", "down"] },
          place: { $ref: "#/$defs/place" },
          tags: { type: "array", items: { type: "string" } },
          note: { type: ["string", "null"] },
        },
        required: ["query", "limit"],
        $defs: { place: { type: "object", properties: { x: { type: "number" } }, required: ["x"] } },
      },
    },
  },
  { type: "function", function: { name: "now" } },
]);

const texts = ["", "Paris", 'a "b" \\ c', "北京\n2", "x, y) = [z]", "<b>"];

/** A value that a schema allows, of the few kinds that are used here. */
function drawn(schema: JsonSchema | boolean, root: JsonSchema, next: () => number): unknown {
  if (typeof schema === "boolean") return null;
  if (typeof schema.$ref === "string") return drawn((root.$defs as { place: JsonSchema }).place, root, next);
  if (Array.isArray(schema.enum)) return schema.enum[Math.floor(next() * schema.enum.length)];
  const type = Array.isArray(schema.type) ? schema.type[Math.floor(next() * schema.type.length)] : schema.type;
  if (type === "integer" || type === "number") return Math.floor(next() * 100) - (type === "number" ? 0.5 : 0);
  if (type === "boolean") return next() < 0.5;
  if (type === "null") return null;
  if (type === "array") return [drawn(schema.items as JsonSchema, root, next), "z"];
  if (type !== "object") return texts[Math.floor(next() * texts.length)];
  const { properties = {}, required = [] } = schema as { properties?: Record<string, JsonSchema>; required?: string[] };
  const names = Object.keys(properties).filter((name) => required.includes(name) || next() < 0.5);
  return Object.fromEntries(names.map((name) => [name, drawn(properties[name], root, next)]));
}

/** A text that a grammar allows. */
function sample(grammar: CallGrammar, next: () => number): string {
  switch (grammar.kind) {
    case "literal":
      return grammar.text;
    case "schema": {
      const root = grammar.root ?? (typeof grammar.schema === "object" ? grammar.schema : {});
      return JSON.stringify(drawn(grammar.schema, root, next));
    }
    case "text":
      return texts[Math.floor(next() * texts.length)].replaceAll(grammar.without, "");
    case "choice":
      return sample(grammar.options[Math.floor(next() * grammar.options.length)], next);
    case "sequence":
      return grammar.items.map((item) => sample(item, next)).join("");
    case "repeat": {
      const most = Math.min(grammar.most ?? 3, 3);
      const count = grammar.least + Math.floor(next() * (most - grammar.least + 1));
      const separator = grammar.separator ? sample(grammar.separator, next) : "";
      return Array.from({ length: count }, () => sample(grammar.item, next)).join(separator);
    }
  }
}

function callsOf(text: string, name: (typeof toolFormatNames)[number]) {
  const answer = new ChatAnswer();
  const parser = new ChatParser({ tools, format: toolFormat(name) });
  for (const event of [...parser.push(text), ...parser.finish()]) answer.add(event);
  return answer;
}

/** What the arguments of a search are like: those that there are have the types of the schema. */
function searched(values: Record<string, unknown>): Record<string, unknown> {
  const types = {
    query: expect.any(String),
    limit: expect.any(Number),
    exact: expect.any(Boolean),
    order: expect.stringMatching(/^(up|down)$/),
    place: { x: expect.any(Number) },
    tags: expect.any(Array),
  };
  return Object.fromEntries(
    Object.entries(types).filter(([name]) => name in values || name === "query" || name === "limit"),
  );
}

describe.each(toolFormatNames.map((name) => [name]))("%s", (name) => {
  const format = toolFormat(name);

  test("what the grammar allows are calls and nothing else", () => {
    const grammar = toolCallGrammar(format, tools, { choice: "required" });
    const next = randomNumbers(7);
    for (let i = 0; i < 200; i++) {
      const text = sample(grammar?.calls as CallGrammar, next);
      const { content, calls } = callsOf(text, name);
      expect([text, content]).toEqual([text, ""]);
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) {
        expect([text, call.isComplete]).toEqual([text, true]);
        const values = JSON.parse(call.arguments);
        expect([text, values]).toEqual([text, call.name === "now" ? {} : expect.objectContaining(searched(values))]);
      }
      expect(text.startsWith(toolCallGrammar(format, tools)?.triggers[0] as string)).toBe(true);
    }
  });

  test("one call, of one tool, where that is asked for", () => {
    const next = randomNumbers(3);
    const named = toolCallGrammar(format, tools, { choice: { mode: "required", names: ["now"], isSingle: true } });
    const single = toolCallGrammar(format, tools, { choice: "required", parallel: false });
    expect(named?.isRequired).toBe(true);
    for (let i = 0; i < 20; i++) {
      expect(callsOf(sample(named?.calls as CallGrammar, next), name).calls.map((call) => call.name)).toEqual(["now"]);
      expect(callsOf(sample(single?.calls as CallGrammar, next), name).calls).toHaveLength(1);
    }
  });
});

test("no tools, no grammar", () => {
  expect(toolCallGrammar(toolFormat("hermes"), tools, { choice: "none" })).toBeUndefined();
  expect(toolCallGrammar(toolFormat("hermes"), [])).toBeUndefined();
  expect(toolCallGrammar(toolFormat("hermes"), tools)?.isRequired).toBe(false);
});
