/** Values that are nearly JSON, as grammars. */
import { isObject } from "../../../base/index.ts";
import { allowedTypes, resolvedSchema, type TypeName } from "../argument-values.ts";
import { type CallGrammar, choice, literal, marker, sequence, type TextGrammar } from "../grammar.ts";
import type { JsonSchema } from "../tools.ts";
import { GEMMA_QUOTE } from "./gemma-calls.ts";

/** How values are written where it is not JSON. */
export interface Notation {
  true: string;
  false: string;
  null: string;
  comma: string;
  /** A member's name and what stands before its value. */
  key: (name: string) => string;
  /** A text, by a schema that may say more of it. @default a JSON string */
  text?: (by: Pick<TextGrammar, "schema" | "root">) => CallGrammar;
  quoted: (text: string) => string;
}

export const pythonNotation: Notation = {
  true: "True",
  false: "False",
  null: "None",
  comma: ", ",
  key: (name) => `${JSON.stringify(name)}: `,
  quoted: (text) => JSON.stringify(text),
};

export const gemmaNotation: Notation = {
  true: "true",
  false: "false",
  null: "null",
  comma: ",",
  key: (name) => `${name}:`,
  text: (by) => sequence(marker(GEMMA_QUOTE), { kind: "text", without: GEMMA_QUOTE, ...by }, marker(GEMMA_QUOTE)),
  quoted: (text) => `${GEMMA_QUOTE}${text}${GEMMA_QUOTE}`,
};

/** Nothing, or once. */
export const optional = (item: CallGrammar): CallGrammar => ({ kind: "repeat", item, least: 0, most: 1 });

/** The values that a schema lists, where it does. */
export function fixedValues(schema: unknown): readonly unknown[] | undefined {
  if (!isObject(schema)) return undefined;
  if (Array.isArray(schema.enum)) return schema.enum;
  return "const" in schema ? [schema.const] : undefined;
}

/** Members one after the other with commas between those that there are: the required ones first. */
export function separated(items: readonly { item: CallGrammar; isRequired: boolean }[], between: string): CallGrammar {
  const comma = literal(between);
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

/** A value of a schema, in a notation. */
export function valueGrammar(referring: unknown, root: JsonSchema, notation: Notation, depth = 0): CallGrammar {
  const schema = resolvedSchema(referring, root);
  const fixed = fixedValues(schema);
  if (fixed) return choice(fixed.map((value) => literal(written(value, notation))));
  const types = allowedTypes(schema, root);
  const options = types.length === 0 ? anyTypes : types;
  return choice(options.map((type) => valueOfType(type, schema, { root, notation, depth })));
}

const anyTypes: readonly TypeName[] = ["string", "number", "boolean", "null", "array", "object"];

interface Place {
  root: JsonSchema;
  notation: Notation;
  depth: number;
}

function valueOfType(type: TypeName, schema: unknown, { root, notation, depth }: Place): CallGrammar {
  if (type === "boolean") return choice([literal(notation.true), literal(notation.false)]);
  if (type === "null") return literal(notation.null);
  if (type === "string" && notation.text) return notation.text(isObject(schema) ? { schema, root } : {});
  const { items, properties } = isObject(schema) ? schema : {};
  if (depth < MAX_DEPTH && type === "array" && items !== undefined) {
    const item = valueGrammar(items, root, notation, depth + 1);
    const all: CallGrammar = { kind: "repeat", item, separator: literal(notation.comma), least: 0 };
    return sequence(literal("["), all, literal("]"));
  }
  if (depth < MAX_DEPTH && type === "object" && isObject(properties)) {
    const { required = [] } = schema as { required?: readonly string[] };
    const members = Object.entries(properties).map(([name, member]) => ({
      item: sequence(literal(notation.key(name)), valueGrammar(member, root, notation, depth + 1)),
      isRequired: required.includes(name),
    }));
    return sequence(literal("{"), separated(members, notation.comma), literal("}"));
  }
  const isPlain = isObject(schema) && schema.type === type;
  return isPlain ? { kind: "schema", schema, root } : { kind: "schema", schema: { type } };
}

function written(value: unknown, notation: Notation): string {
  if (value === null) return notation.null;
  if (typeof value === "boolean") return value ? notation.true : notation.false;
  if (typeof value === "string") return notation.quoted(value);
  if (Array.isArray(value)) return `[${value.map((item) => written(item, notation)).join(notation.comma)}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => notation.key(name) + written(member, notation));
  return `{${members.join(notation.comma)}}`;
}
