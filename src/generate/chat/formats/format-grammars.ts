/** Parts of calls that several formats write alike, as grammars. */
import { allowedTypes, resolvedSchema, type TypeName } from "../argument-values.ts";
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

/** The values that a schema lists, where it does. */
function fixedValues(schema: unknown): readonly unknown[] | undefined {
  if (!isObject(schema)) return undefined;
  if (Array.isArray(schema.enum)) return schema.enum;
  return "const" in schema ? [schema.const] : undefined;
}

function mayBeText(schema: JsonSchema | boolean, root: JsonSchema): boolean {
  const types = allowedTypes(schema, root);
  return types.length === 0 || types.includes("string");
}

/** A value as text: texts as they are, all else as JSON. */
function plainValue(schema: JsonSchema | boolean, root: JsonSchema, end: string): CallGrammar {
  if (!mayBeText(schema, root)) return { kind: "schema", schema, root };
  const fixed = fixedValues(resolvedSchema(schema, root));
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
  let following: CallGrammar = literal("");
  let all: CallGrammar = literal("");
  for (const item of [...others].reverse()) {
    all = choice([sequence(item, following), all]);
    following = sequence(optional(sequence(comma, item)), following);
  }
  return all;
}

/** Schemas inside one another that are followed; further in there may be JSON, which is read too. */
const MAX_DEPTH = 4;

/** A value as Python writes it: JSON but for True, False and None. */
function pythonValue(referring: unknown, root: JsonSchema, depth = 0): CallGrammar {
  const schema = resolvedSchema(referring, root);
  const fixed = fixedValues(schema);
  if (fixed) return choice(fixed.map((value) => literal(pythonLiteral(value))));
  const types = allowedTypes(schema, root);
  return choice((types.length === 0 ? anyTypes : types).map((type) => pythonOfType(type, schema, root, depth)));
}

const anyTypes: readonly TypeName[] = ["string", "number", "boolean", "null", "array", "object"];

function pythonOfType(type: TypeName, schema: unknown, root: JsonSchema, depth: number): CallGrammar {
  if (type === "boolean") return choice([literal("True"), literal("False")]);
  if (type === "null") return literal("None");
  const { items, properties } = isObject(schema) ? schema : {};
  if (depth < MAX_DEPTH && type === "array" && items !== undefined) {
    const item = pythonValue(items, root, depth + 1);
    return sequence(literal("["), { kind: "repeat", item, separator: literal(", "), least: 0 }, literal("]"));
  }
  if (depth < MAX_DEPTH && isObject(schema) && type === "object" && properties !== undefined)
    return pythonDict(schema, root, depth);
  const isPlain = isObject(schema) && schema.type === type;
  return isPlain ? { kind: "schema", schema, root } : { kind: "schema", schema: { type } };
}

function pythonDict(schema: JsonSchema, root: JsonSchema, depth: number): CallGrammar {
  const { properties = {}, required = [] } = schema as { properties?: object; required?: readonly string[] };
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
