/** Parts of calls that several formats write alike, as grammars. */
import { allowedTypes } from "../argument-values.ts";
import { type CallGrammar, choice, literal, sequence } from "../grammar.ts";
import type { ChatTool, JsonSchema } from "../tools.ts";
import type { TagSyntax } from "./tagged-calls.ts";

const isObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The JSON of a call's arguments. */
export const argumentsOf = ({ parameters }: ChatTool): CallGrammar => ({ kind: "schema", schema: parameters });

/** {"name": ..., "arguments": ...} */
export const jsonCall = (tool: ChatTool, key: "arguments" | "parameters", nameKey = "name"): CallGrammar =>
  sequence(literal(`{"${nameKey}": ${JSON.stringify(tool.name)}, "${key}": `), argumentsOf(tool), literal("}"));

interface Parameter {
  name: string;
  schema: JsonSchema | boolean;
  isRequired: boolean;
}

function parametersOf({ parameters }: ChatTool): Parameter[] {
  const { properties = {}, required = [] } = parameters as { properties?: object; required?: readonly string[] };
  return Object.entries(properties).map(([name, schema]) => ({ name, schema, isRequired: required.includes(name) }));
}

const optional = (item: CallGrammar): CallGrammar => ({ kind: "repeat", item, least: 0, most: 1 });

function mayBeText(schema: JsonSchema | boolean, root: JsonSchema): boolean {
  const types = allowedTypes(schema, root);
  return types.length === 0 || types.includes("string");
}

/** A value as text: texts as they are, all else as JSON. */
function plainValue(schema: JsonSchema | boolean, root: JsonSchema, end: string): CallGrammar {
  if (!mayBeText(schema, root)) return { kind: "schema", schema, root };
  const { enum: values, const: only } = isObject(schema) ? schema : {};
  const fixed = Array.isArray(values) ? values : only === undefined ? undefined : [only];
  if (fixed === undefined) return { kind: "text", without: end };
  return choice(fixed.map((value) => literal(typeof value === "string" ? value : JSON.stringify(value))));
}

/** Where a format breaks lines in a call in tags. */
export interface TagLayout {
  /** After the name. */
  nameBreak: string;
  /** From the name of a parameter to its value. */
  valueBegin: (isText: boolean) => string;
  /** After a parameter. */
  parameterBreak: string;
}

/** A call in tags, the parameters in the order of the schema. */
export function taggedCall(
  tool: ChatTool,
  { call, nameEnds, callEnd, parameter, valueEnd, isOnLines }: TagSyntax,
  { nameBreak, valueBegin, parameterBreak }: TagLayout,
): CallGrammar {
  const end = `${isOnLines ? "\n" : ""}${valueEnd}`;
  const named = parametersOf(tool).map(({ name, schema, isRequired }) => {
    const item = sequence(
      literal(`${parameter}${name}${valueBegin(mayBeText(schema, tool.parameters))}${isOnLines ? "\n" : ""}`),
      plainValue(schema, tool.parameters, end),
      literal(`${end}${parameterBreak}`),
    );
    return isRequired ? item : optional(item);
  });
  const opening = literal(`${call}${tool.name}${call === "" ? "" : nameEnds[0]}${nameBreak}`);
  return sequence(opening, ...named, ...(callEnd === "" ? [] : [literal(callEnd)]));
}

/** Members one after the other with commas between those that there are: the required ones first. */
function separated(items: readonly { item: CallGrammar; isRequired: boolean }[]): CallGrammar {
  const comma = literal(", ");
  const required = items.filter(({ isRequired }) => isRequired).map(({ item }) => item);
  const others = items.filter(({ isRequired }) => !isRequired).map(({ item }) => item);
  if (required.length > 0) {
    const rest = [...required.slice(1).map((item) => sequence(comma, item))];
    return sequence(required[0], ...rest, ...others.map((item) => optional(sequence(comma, item))));
  }
  // whichever comes first, those after it follow a comma
  const beginnings = others.map((item, i) =>
    sequence(item, ...others.slice(i + 1).map((later) => optional(sequence(comma, later)))),
  );
  return beginnings.length === 0 ? literal("") : optional(choice(beginnings));
}

/** Schemas inside one another that are followed. */
const MAX_DEPTH = 8;

/** A value as Python writes it: JSON but for True, False and None. */
function pythonValue(schema: unknown, root: JsonSchema, depth = 0): CallGrammar {
  const types = allowedTypes(schema, root);
  const { enum: values, const: only, items } = isObject(schema) ? schema : {};
  const fixed = Array.isArray(values) ? values : only === undefined ? undefined : [only];
  if (fixed) return choice(fixed.map((value) => literal(pythonLiteral(value))));
  const options = (types.length === 0 ? (["string", "number", "boolean", "null"] as const) : types).map(
    (type): CallGrammar => {
      if (type === "boolean") return choice([literal("True"), literal("False")]);
      if (type === "null") return literal("None");
      if (type === "array") {
        const item = depth < MAX_DEPTH ? pythonValue(items, root, depth + 1) : jsonOf("string");
        return sequence(literal("["), { kind: "repeat", item, separator: literal(", "), least: 0 }, literal("]"));
      }
      if (type === "object") return pythonDict(schema, root, depth);
      const isPlain = types.length === 1 && isObject(schema) && schema.type === type;
      return isPlain ? { kind: "schema", schema, root } : jsonOf(type);
    },
  );
  return choice(options);
}

const jsonOf = (type: string): CallGrammar => ({ kind: "schema", schema: { type } });

function pythonDict(schema: unknown, root: JsonSchema, depth: number): CallGrammar {
  const { properties = {}, required = [] } = (isObject(schema) ? schema : {}) as {
    properties?: object;
    required?: readonly string[];
  };
  if (depth >= MAX_DEPTH) return literal("{}");
  const members = Object.entries(properties).map(([name, member]) => ({
    item: sequence(literal(`${JSON.stringify(name)}: `), pythonValue(member, root, depth + 1)),
    isRequired: required.includes(name),
  }));
  return sequence(literal("{"), separated(members), literal("}"));
}

function pythonLiteral(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}: ${pythonLiteral(member)}`);
  return `{${members.join(", ")}}`;
}

/** name(key=value, ...) */
export function pythonCall(tool: ChatTool): CallGrammar {
  const members = parametersOf(tool).map(({ name, schema, isRequired }) => ({
    item: sequence(literal(`${name}=`), pythonValue(schema, tool.parameters)),
    isRequired,
  }));
  return sequence(literal(`${tool.name}(`), separated(members), literal(")"));
}
