import type { GrammarSource } from "../generate/index.ts";
import { type Fields, invalid, isObject, isText, readFields, rule, text, type Values } from "./fields.ts";
import type { ChatRequest, CommonRequest } from "./requests.ts";

const schemaRule = rule<Readonly<Record<string, unknown>> | boolean>(
  "a JSON Schema",
  (value) => isObject(value) || typeof value === "boolean",
);
const formatFields = {
  type: rule<string>('"text", "json_object" or "json_schema"', (value) =>
    ["text", "json_object", "json_schema"].includes(value as string),
  ),
  json_schema: rule<object>("an object with name and schema", isObject),
} as const satisfies Fields;
const namedSchemaFields = {
  name: text,
  description: "harmless",
  schema: schemaRule,
  strict: "harmless", // always: an answer that is cut off is the only one that does not follow it
} as const satisfies Fields;
const structuredFields = {
  json: rule<unknown>("a JSON Schema, or one as text", (value) => isObject(value) || isText(value)),
  regex: text,
  choice: rule<string[]>("a list of texts", (value) => Array.isArray(value) && value.length > 0 && value.every(isText)),
  grammar: text,
  json_object: rule<true>("true", (value) => value === true),
} as const satisfies Fields;

const anyObject: GrammarSource = { jsonSchema: { type: "object" } };

/** What the texts of an answer must be like. */
export interface OutputForm {
  source: GrammarSource;
  /** The field that says it. */
  param: string;
}

/**
 * What the texts of an answer must be like; undefined for anything.
 * @throws RequestError for what says no form, and for two ways to say it at once
 */
export function outputForm(request: CommonRequest & Pick<ChatRequest, "response_format">): OutputForm | undefined {
  const { response_format: format, structured_outputs: structured, grammar } = request;
  const ways = { response_format: ofFormat(format), structured_outputs: ofStructured(structured), grammar };
  const [first, second] = Object.entries(ways).filter(([, way]) => way !== undefined);
  if (second) throw invalid(second[0], `nothing beside ${first[0]}`, request[second[0] as keyof typeof ways]);
  if (grammar !== undefined) return { source: { gbnf: grammar }, param: "grammar" };
  return ways.response_format ?? ways.structured_outputs;
}

function ofFormat(json: unknown): OutputForm | undefined {
  if (json === undefined) return undefined;
  const { type, json_schema: named } = readFields(json, formatFields, "response_format.");
  if (type === undefined) throw invalid("response_format.type", formatFields.type.expected, undefined);
  if (type === "text") return undefined;
  if (type === "json_object") return { source: anyObject, param: "response_format" };
  const path = "response_format.json_schema.";
  const { schema } = readFields(named ?? {}, namedSchemaFields, path);
  if (schema === undefined) throw invalid(`${path}schema`, schemaRule.expected, undefined);
  return { source: { jsonSchema: schema }, param: `${path}schema` };
}

function ofStructured(json: unknown): OutputForm | undefined {
  if (json === undefined) return undefined;
  const path = "structured_outputs.";
  const ways = readFields(json, structuredFields, path);
  const names = Object.keys(ways);
  if (names.length !== 1)
    throw invalid("structured_outputs", `one of ${Object.keys(structuredFields).join(", ")}`, names);
  const param = path + names[0];
  return { source: sourceOf(ways, param), param };
}

function sourceOf(
  { json: schema, regex, choice, grammar }: Values<typeof structuredFields>,
  param: string,
): GrammarSource {
  if (schema !== undefined) return { jsonSchema: isText(schema) ? parsed(schema, param) : schema };
  if (regex !== undefined) return { regex };
  if (choice) return { choice };
  if (grammar === undefined) return anyObject;
  // as vLLM: GBNF names rules with ::=, Lark with a colon
  return grammar.includes("::=") ? { gbnf: grammar } : { lark: grammar };
}

function parsed(schema: string, param: string): unknown {
  try {
    return JSON.parse(schema);
  } catch {
    throw invalid(param, "JSON of a schema", schema);
  }
}
