/** JSON by schemas: what is refused, with its place; what takes too much; the layouts and the order of properties. */
import { describe, expect, test } from "vitest";
import { OptionError } from "../../../base/index.ts";
import { jsonSchemaGrammar, matchesGrammar } from "../../index.ts";

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const nested = (depth: number): object => (depth === 0 ? { type: "integer" } : { items: nested(depth - 1) });

describe("refused, with the place and the keyword", () => {
  test.each<[string, unknown, string]>([
    ["no schema", "string", "#: expected a JSON Schema"],
    [
      "a typing mistake",
      { properties: { a: { minLenght: 3 } } },
      '#/properties/a: expected keywords that are followed; received "minLenght". Fix: did you mean "minLength"',
    ],
    ["an unknown format", { items: { format: "emial" } }, 'did you mean "email"'],
    ["a type that is none", { type: "int" }, "#/type: expected a type"],
    ["a number that is none", { minimum: "3" }, "#/minimum: expected a number"],
    ["a negative length", { minLength: -1 }, "#/minLength: expected a whole number"],
    ["properties that are no object", { properties: [] }, "#/properties: expected an object"],
    ["no alternatives", { anyOf: [] }, "#/anyOf: expected at least one schema"],
    ["a schema that is none", { allOf: [3] }, "#/allOf/0: expected a schema"],
    ["an older draft", { $schema: "http://json-schema.org/draft-04/schema#" }, "#/$schema: expected draft 2020-12"],
    [
      "another document",
      { $ref: "https://example.com/other.json" },
      "#/$ref: expected a reference to a schema in the same document",
    ],
    ["a reference into nothing", { $ref: "#/$defs/none" }, "#/$ref: expected a reference"],
    [
      "a reference to itself",
      { $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" },
      "lead to a value of their own",
    ],
    ["a pattern that looks back", { pattern: "(a)\\1" }, "#/pattern: expected a regular expression with no \\1"],
    [
      "uniqueItems of any strings",
      { type: "array", items: { type: "string" }, uniqueItems: true },
      "#/uniqueItems: expected uniqueItems of at most 8 values",
    ],
    ["minProperties of any names", { type: "object", minProperties: 2 }, "#/minProperties"],
    [
      "what must not hold of further properties",
      { not: { additionalProperties: { type: "string" } } },
      "#/not/additionalProperties",
    ],
    ["no valid value", { type: "string", enum: [1] }, "a grammar that some text fits"],
  ])("%s", (_, schema, message) => {
    expect(() => jsonSchemaGrammar(schema)).toThrow(message);
    expect(() => jsonSchemaGrammar(schema)).toThrow(OptionError);
  });
});

test.each<[string, unknown, string]>([
  [
    "alternatives",
    { allOf: many(20, (i) => ({ anyOf: [{ minimum: i }, { maxLength: i }, { maxItems: i }] })) },
    "alternatives",
  ],
  ["values", { enum: many(200_000, (i) => `value number ${i}`) }, "places"],
  ["items", { type: "array", items: { type: "null" }, maxItems: 1e6 }, "automatonStates"],
  ["characters of a pattern", { pattern: "^[a-z]+$", minLength: 1e9 }, "automatonStates"],
  ["digits", { type: "number", multipleOf: 1234567 }, "automatonStates"],
  ["properties", { type: "object", properties: Object.fromEntries(many(10_000, (i) => [`p${i}`, true])) }, "work"],
  [
    "patterns of names",
    { type: "object", patternProperties: Object.fromEntries(many(6, (i) => [`${i}`, {}])) },
    "namePatterns",
  ],
  [
    "references",
    {
      $defs: Object.fromEntries(many(2000, (i) => [`d${i}`, { $ref: `#/$defs/d${i + 1}`, minimum: 1 }])),
      $ref: "#/$defs/d0",
    },
    "references",
  ],
  ["nesting", nested(300), "nesting"],
])("too many %s", (_, schema, limit) => {
  expect(() => jsonSchemaGrammar(schema)).toThrow(`limit ${limit}`);
});

test("properties come in the order of the schema, further ones behind", () => {
  const grammar = jsonSchemaGrammar({
    properties: { b: { type: "integer" }, a: { type: "null" } },
    required: ["c"],
    additionalProperties: { type: "boolean" },
    type: "object",
  });
  const fits = (text: string) => matchesGrammar(grammar, text);
  expect(['{"b":1,"a":null,"c":true,"x":true}', '{"c":true}', '{"a":null,"c":true}'].every(fits)).toBe(true);
  expect(['{"a":null,"b":1,"c":true}', '{"c":true,"a":null}', "{}", '{"c":1}', '{"c":true,"c":true}'].some(fits)).toBe(
    false,
  );
});

test("layouts", () => {
  const schema = { type: "object", properties: { a: { type: "array", items: { type: "integer" } } } };
  const fits = (layout: "compact" | "spaced" | "free", text: string) =>
    matchesGrammar(jsonSchemaGrammar(schema, { layout }), text);
  const texts = ['{"a":[1,2]}', '{"a": [1, 2]}', '{ "a" : [\n  1,2 ] }'];
  expect(texts.map((text) => fits("compact", text))).toEqual([true, false, false]);
  expect(texts.map((text) => fits("spaced", text))).toEqual([false, true, false]);
  expect(texts.map((text) => fits("free", text))).toEqual([true, true, true]);
});

test("strings have escapes where nothing is said of their characters, and one form where something is", () => {
  const fits = (schema: object, text: string) => matchesGrammar(jsonSchemaGrammar(schema), text);
  expect(fits({ type: "string", maxLength: 2 }, '"\\u00e9\\ud83d\\ude00"')).toBe(true);
  expect(fits({ type: "string" }, '"\\ud83d"')).toBe(false);
  expect(fits({ type: "string" }, '"a\n"')).toBe(false);
  expect(fits({ const: 'é"\n\u0001' }, '"é\\"\\n\\u0001"')).toBe(true);
  expect(fits({ const: "é" }, '"\\u00e9"')).toBe(false);
});

test("a schema may be JSON with one object at several places", () => {
  const name = { type: "string", maxLength: 3 };
  const grammar = jsonSchemaGrammar({ type: "array", prefixItems: [name, { properties: { name } }], items: false });
  expect(matchesGrammar(grammar, '["abc",{"name":"abc"}]')).toBe(true);
  expect(matchesGrammar(grammar, '["abcd"]')).toBe(false);
});
