import { OptionError } from "../base/index.ts";
import {
  choiceGrammar,
  type Grammar,
  gbnfGrammar,
  jsonSchemaGrammar,
  larkGrammar,
  regexGrammar,
} from "../generate/index.ts";
import { type Fields, invalid, isObject, isText, readFields, rule, text } from "./fields.ts";
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

/** Grammars of requests that were made last, or why there is none: clients ask with the same schema again and again. */
const KEPT = 64;
const kept = new Map<string, Grammar | OptionError>();

function cached(key: string, make: () => Grammar): Grammar {
  const grammar = kept.get(key) ?? tried(make);
  kept.delete(key);
  kept.set(key, grammar);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  if (grammar instanceof OptionError) throw grammar;
  return grammar;
}

/** To find out that one is too large may take as long as to make one. */
function tried(make: () => Grammar): Grammar | OptionError {
  try {
    return make();
  } catch (error) {
    if (error instanceof OptionError) return error;
    throw error;
  }
}

const ofSchema = (schema: unknown): Grammar =>
  cached(`json ${JSON.stringify(schema)}`, () => jsonSchemaGrammar(schema as Readonly<Record<string, unknown>>));
const anyObject = () => ofSchema({ type: "object" });

/**
 * What the texts of an answer must be like; undefined for anything.
 * @throws RequestError for two ways to say it at once; OptionError, a 400 too, for what a grammar cannot follow
 */
export function outputGrammar(request: CommonRequest & Pick<ChatRequest, "response_format">): Grammar | undefined {
  const { response_format: format, structured_outputs: structured, grammar } = request;
  const ways = { response_format: ofFormat(format), structured_outputs: ofStructured(structured), grammar };
  const [first, second] = Object.entries(ways).filter(([, way]) => way !== undefined);
  if (second) throw invalid(second[0], `nothing beside ${first[0]}`, second[1]);
  if (grammar !== undefined) return cached(`gbnf ${grammar}`, () => gbnfGrammar(grammar));
  return ways.response_format ?? ways.structured_outputs;
}

function ofFormat(json: unknown): Grammar | undefined {
  if (json === undefined) return undefined;
  const { type, json_schema: named } = readFields(json, formatFields, "response_format.");
  if (type === undefined) throw invalid("response_format.type", formatFields.type.expected, undefined);
  if (type === "text") return undefined;
  if (type === "json_object") return anyObject();
  const path = "response_format.json_schema.";
  const { schema } = readFields(named ?? {}, namedSchemaFields, path);
  if (schema === undefined) throw invalid(`${path}schema`, schemaRule.expected, undefined);
  return ofSchema(schema);
}

function ofStructured(json: unknown): Grammar | undefined {
  if (json === undefined) return undefined;
  const path = "structured_outputs.";
  const ways = readFields(json, structuredFields, path);
  const names = Object.keys(ways);
  if (names.length !== 1)
    throw invalid("structured_outputs", `one of ${Object.keys(structuredFields).join(", ")}`, names);
  const { json: schema, regex, choice, grammar } = ways;
  if (schema !== undefined) return ofSchema(isText(schema) ? parsed(schema, `${path}json`) : schema);
  if (regex !== undefined) return cached(`regex ${regex}`, () => regexGrammar(regex));
  if (choice) return cached(`choice ${JSON.stringify(choice)}`, () => choiceGrammar(choice));
  if (grammar === undefined) return anyObject();
  // as vLLM: GBNF names rules with ::=, Lark with a colon
  return cached(`grammar ${grammar}`, () => (grammar.includes("::=") ? gbnfGrammar(grammar) : larkGrammar(grammar)));
}

function parsed(schema: string, param: string): unknown {
  try {
    return JSON.parse(schema);
  } catch {
    throw invalid(param, "JSON of a schema", schema);
  }
}
