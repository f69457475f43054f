import { expect, test } from "vitest";
import { jsonOfText, parameterTypes } from "./argument-values.ts";
import { pythonToJson } from "./formats/python-values.ts";
import type { JsonSchema } from "./tools.ts";

const root: JsonSchema = {
  type: "object",
  properties: {
    text: { type: "string" },
    count: { type: "integer" },
    ratio: { type: "number" },
    flag: { type: ["boolean", "null"] },
    either: { anyOf: [{ type: "string" }, { type: "null" }] },
    whole: { oneOf: [{ type: "integer" }, { $ref: "#/$defs/list" }] },
    list: { $ref: "#/$defs/list" },
    pointer: { $ref: "#/$defs/a~1b%20c" },
    level: { enum: [1, 2] },
    word: { enum: ["a", "b", null] },
    fixed: { const: true },
    shape: { properties: { x: {} } },
    rows: { items: {} },
    loop: { $ref: "#/properties/loop" },
    free: {},
    both: { allOf: [{ description: "d" }, { type: "object" }] },
    open: { anyOf: [{ type: "integer" }, {}] },
  },
  $defs: { list: { type: "array" }, "a/b c": { type: "boolean" } },
};

test.each([
  // parameter, what is written, its value
  ["text", "5", "5"],
  ["text", " a ", " a "],
  ["text", "null", "null"],
  ["text", "", ""],
  ["count", "5", 5],
  ["count", " -7\n", -7],
  ["count", "5.5", 5.5],
  ["count", "five", "five"],
  ["count", "null", null],
  ["count", "", undefined],
  ["ratio", "1e3", 1000],
  ["flag", "true", true],
  ["flag", "False", false],
  ["flag", "None", null],
  ["flag", "maybe", "maybe"],
  ["either", "null", null],
  ["either", "5", "5"],
  ["either", '"a"', '"a"'],
  ["either", "", ""],
  ["whole", "3", 3],
  ["whole", "[3]", [3]],
  ["list", "['a', \"b\", (1, 2), None]", ["a", "b", [1, 2], null]],
  ["list", '["a"]', ["a"]],
  ["pointer", "True", true],
  ["level", "2", 2],
  ["word", "b", "b"],
  ["word", "null", null],
  ["fixed", "true", true],
  ["shape", "{'x': True}", { x: true }],
  ["rows", "[{}]", [{}]],
  ["loop", "1", 1],
  ["free", "1", 1],
  ["free", "1a", "1a"],
  ["free", '"a"', '"a"'],
  ["free", '{"a": [1]}', { a: [1] }],
  ["both", '{"a": 1}', { a: 1 }],
  ["open", "abc", "abc"],
  ["unknown", "true", true],
  ["toString", "x", "x"],
])("%s, written %j", (name, written, value) => {
  const json = jsonOfText(written, parameterTypes(root, name));
  expect(json === undefined ? undefined : JSON.parse(json)).toEqual(value);
});

test("digits of numbers stay as they are written", () => {
  expect(jsonOfText("12345678901234567890", ["integer"])).toBe("12345678901234567890");
  expect(jsonOfText("0.10", ["number"])).toBe("0.10");
});

test.each([
  ["'a\\'b\\n\\x41\\u00e9\\U0001F600\\q'", "a'b\nAé😀\\q"],
  ['"a\\\nb"', "ab"],
  ["-1_000", -1000],
  [".5", 0.5],
  ["2.", 2],
  ["+3", 3],
  ["1e-2", 0.01],
  ["{}", {}],
  ["{'a': {'b': [True, None,],},}", { a: { b: [true, null] } }],
  [" ( 1 , ) ", [1]],
  ["true", true],
  ["[1 2]", undefined],
  ["{1: 2}", undefined],
  ["{'a' 1}", undefined],
  ["'a", undefined],
  ["'\\u12'", undefined],
  ["nan", undefined],
  ["f(1)", undefined],
  ["", undefined],
  ["1, 2", undefined],
  [`${"[".repeat(300)}${"]".repeat(300)}`, undefined],
])("the literal %j", (text, value) => {
  const json = pythonToJson(text);
  expect(json === undefined ? undefined : JSON.parse(json)).toEqual(value);
});
