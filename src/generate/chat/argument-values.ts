/** Values of parameters that models write as plain text: what they are is said by the schema alone. */
import { isObject } from "../../base/index.ts";
import { pythonToJson } from "./formats/python-values.ts";
import type { JsonSchema } from "./tools.ts";

const typeNames = ["string", "number", "integer", "boolean", "object", "array", "null"] as const;
export type TypeName = (typeof typeNames)[number];

/** References in a schema that are followed, one from another. */
const MAX_REFERENCES = 32;

function typeOf(value: unknown): TypeName {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as TypeName;
}

/** What a reference within the parameters stands for, "#/$defs/Place" for example. */
function referred(reference: unknown, root: JsonSchema): unknown {
  if (typeof reference !== "string" || !reference.startsWith("#")) return undefined;
  let at: unknown = root;
  for (const part of reference.slice(1).split("/").filter(Boolean))
    at = isObject(at) ? at[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
  return at;
}

/** A schema, or the one that it refers to. */
export function resolvedSchema(schema: unknown, root: JsonSchema): unknown {
  let at = schema;
  for (let i = 0; i < MAX_REFERENCES && isObject(at) && at.$ref !== undefined; i++) at = referred(at.$ref, root);
  return at;
}

/**
 * The types that a schema allows, in its order; empty where it says nothing of types.
 * @param root the parameters that the schema is in, for its references
 */
export function allowedTypes(referring: unknown, root: JsonSchema, depth = 0): TypeName[] {
  const schema = resolvedSchema(referring, root);
  if (!isObject(schema) || depth > MAX_REFERENCES) return [];
  const { type, enum: values, anyOf, oneOf, allOf } = schema;
  if (type !== undefined) return [type].flat().filter((name): name is TypeName => typeNames.includes(name as TypeName));
  if (Array.isArray(values)) return [...new Set(values.map(typeOf))];
  if ("const" in schema) return [typeOf(schema.const)];
  const options = [anyOf, oneOf, allOf].find(Array.isArray);
  if (options) {
    const types = options.map((option) => allowedTypes(option, root, depth + 1));
    if (!allOf && types.some(({ length }) => length === 0)) return [];
    return [...new Set(types.flat())];
  }
  if ("properties" in schema) return ["object"];
  return "items" in schema ? ["array"] : [];
}

/** The types of one parameter. */
export const parameterTypes = (parameters: JsonSchema, name: string): TypeName[] =>
  isObject(parameters.properties) && Object.hasOwn(parameters.properties, name)
    ? allowedTypes(parameters.properties[name], parameters)
    : [];

/** Whether a parameter is a text whatever is written, so that it can be given out as it comes. */
export const isTextOnly = (types: readonly TypeName[]): boolean => types.length === 1 && types[0] === "string";

function parsed(text: string): { json: string; type: TypeName } | undefined {
  try {
    return { json: text, type: typeOf(JSON.parse(text)) };
  } catch {
    return undefined;
  }
}

const pythonWords: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" };

/**
 * The JSON of a value that was written as text. JSON of an allowed type is that value, digits of numbers as they are;
 * Python's True, False, None, lists and dicts count too where a text is not allowed. All else is a text.
 * @param types that the schema allows; none says that any type is fine
 * @returns undefined where nothing is written and the parameter cannot be a text: it was left out
 */
export function jsonOfText(text: string, types: readonly TypeName[]): string | undefined {
  const trimmed = text.trim();
  const mayBeText = types.length === 0 || types.includes("string");
  const isAllowed = (type: TypeName) =>
    types.length === 0 || types.includes(type) || (type === "number" && types.includes("integer"));
  if (trimmed === "" && !mayBeText) return undefined;
  if (!isTextOnly(types)) {
    const value = parsed(trimmed);
    const isTextInQuotes = value?.type === "string" && mayBeText;
    if (value && !isTextInQuotes && (isAllowed(value.type) || (value.type === "null" && !mayBeText))) return value.json;
    if (!mayBeText) {
      const python = pythonWords[trimmed] ?? pythonToJson(trimmed);
      const type = python === undefined ? undefined : typeOf(JSON.parse(python));
      if (python !== undefined && type !== undefined && (isAllowed(type) || type === "null")) return python;
    }
  }
  return JSON.stringify(text);
}
