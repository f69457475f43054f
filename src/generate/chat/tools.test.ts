import { expect, test } from "vitest";
import { OptionError } from "../../base/index.ts";
import { chosenTools, readToolChoice, readTools, requiresCall } from "./tools.ts";

const tool = (name: unknown, rest: object = {}) => ({ type: "function", function: { name, ...rest } });

test("tools are read, with an empty object for parameters that there are not", () => {
  expect(
    readTools([tool("get_weather", { description: "d", strict: true, parameters: { type: "object" } }), tool("a-B_1")]),
  ).toEqual([
    { name: "get_weather", description: "d", strict: true, parameters: { type: "object" } },
    { name: "a-B_1", strict: false, parameters: { type: "object", properties: {} } },
  ]);
  expect(readTools([tool("f", { description: null, strict: null, parameters: null })])).toHaveLength(1);
  expect(readTools([tool("f", { parameters: { properties: {} } })])[0].parameters).toEqual({
    type: "object",
    properties: {},
  });
});

test.each([
  [{}, /^tools: expected a list of tools; received an object/],
  [[1], /^tools\[0\]: expected an object; received 1/],
  [[{ type: "custom" }], /^tools\[0\]\.type: expected "function"; received "custom"/],
  [[{ type: "function" }], /^tools\[0\]\.function: expected an object with the name/],
  [[tool(undefined)], /^tools\[0\]\.function\.name: .*received nothing/],
  [[tool("get weather")], /letters, digits, underscores and dashes; received "get weather"/],
  [[tool("a".repeat(65))], /1 to 64 letters/],
  [[tool("a.b")], /tools\[0\]\.function\.name/],
  [[tool("f"), tool("g"), tool("f")], /^tools\[2\]\.function\.name: expected another name than tools\[0\] has/],
  [[tool("f", { description: 1 })], /function\.description: expected a text/],
  [[tool("f", { strict: "yes" })], /function\.strict: expected true or false/],
  [
    [tool("f", { parameters: [] })],
    /function\.parameters: expected the JSON Schema of an object; received a list of 0/,
  ],
  [[tool("f", { parameters: { type: "string" } })], /parameters\.type: expected "object"; received "string"/],
  [[tool("f", { parameters: { properties: { a: 1 } } })], /parameters\.properties\.a: expected a JSON Schema/],
  [[tool("f", { parameters: { required: "a" } })], /parameters\.required: expected a list of names/],
  [Array.from({ length: 129 }, (_, i) => tool(`f${i}`)), /at most 128 tools/],
])("%j is refused", (list, message) => {
  expect(() => readTools(list)).toThrow(OptionError);
  expect(() => readTools(list)).toThrow(message);
});

const tools = readTools([tool("get_weather"), tool("now")]);

test("a choice is what it says, and the default depends on whether there are tools", () => {
  expect(readToolChoice(undefined, tools)).toBe("auto");
  expect(readToolChoice(null, [])).toBe("none");
  expect(readToolChoice("none", tools)).toBe("none");
  expect(readToolChoice("auto", [])).toBe("none");
  expect(readToolChoice("required", tools)).toBe("required");
  const named = readToolChoice(tool("now"), tools);
  expect(named).toEqual({ mode: "required", names: ["now"], isSingle: true });
  expect(requiresCall(named)).toBe(true);
  expect(chosenTools(tools, named).map(({ name }) => name)).toEqual(["now"]);
  const allowed = { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [tool("now"), tool("now")] } };
  expect(readToolChoice(allowed, tools)).toEqual({ mode: "auto", names: ["now"] });
  expect(chosenTools(tools, "none")).toEqual([]);
});

test.each([
  ["required", [], /^tool_choice: expected tools to choose from/],
  [tool("now"), [], /tools to choose from/],
  ["any", tools, /expected "none", "auto", "required", or/],
  [tool("get_wether"), tools, /^tool_choice\.function\.name: .*did you mean "get_weather"/],
  [{ type: "function" }, tools, /^tool_choice\.function\.name: .*received nothing/],
  [{ type: "tool" }, tools, /^tool_choice\.type/],
  [{ type: "allowed_tools", allowed_tools: { mode: "none", tools: [] } }, tools, /allowed_tools\.mode/],
  [{ type: "allowed_tools", allowed_tools: { mode: "auto", tools: [] } }, tools, /at least one tool/],
])("the choice %j is refused", (choice, list, message) => {
  expect(() => readToolChoice(choice, list)).toThrow(message);
});
