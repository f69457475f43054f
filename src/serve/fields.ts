import { isDeepStrictEqual } from "node:util";
import { isObject, nearest } from "../base/index.ts";
import { RequestError } from "./errors.ts";

/** A value that is followed: what is expected, in words, and whether a value is that. */
export interface Rule<T> {
  expected: string;
  accepts: (value: unknown) => value is T;
  /** The same as far as JSON Schema says it, for the document of the API. */
  schema: JsonSchema;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * What is done with a field of a request:
 * - a rule: it is followed;
 * - "harmless": it is taken, for it changes no answer: who asks, how OpenAI bills, stores or caches it;
 * - values that ask for nothing: any other is refused by name, since the answer would not be what was asked for.
 */
export type Field = Rule<unknown> | "harmless" | readonly unknown[];
export type Fields = Readonly<Record<string, Field>>;

/** The values of the fields that are followed; those left out, or null, are undefined. */
export type Values<F extends Fields> = {
  -readonly [K in keyof F as F[K] extends Rule<unknown> ? K : never]?: F[K] extends Rule<infer T> ? T : never;
};

/** @param schema @default anything */
export const rule = <T>(expected: string, accepts: (value: unknown) => boolean, schema: JsonSchema = {}): Rule<T> => ({
  expected,
  accepts: accepts as Rule<T>["accepts"],
  schema,
});

export { isObject };
export const isText = (value: unknown): value is string => typeof value === "string";
export const text = rule<string>("a text", isText, { type: "string" });
export const flag = rule<boolean>("true or false", (value) => typeof value === "boolean", { type: "boolean" });
/** One of some texts. */
export const oneOf = <T extends string>(values: readonly T[]) =>
  rule<T>(`one of ${values.join(", ")}`, (value) => values.includes(value as T), { enum: values });
/** A text, or a list of parts of it. */
export const textOrList = { type: ["string", "array"] };
export const list = { type: "array" };
export const object = { type: "object" };
export const wholeNumber = (least: number, most = Number.MAX_SAFE_INTEGER) =>
  rule<number>(
    most === Number.MAX_SAFE_INTEGER ? `a whole number from ${least}` : `a whole number from ${least} to ${most}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
    { type: "integer", minimum: least, ...(most !== Number.MAX_SAFE_INTEGER && { maximum: most }) },
  );

/**
 * What fields of an object may be, as a JSON Schema.
 * @param required those that have to be there
 */
export function objectSchema(fields: Fields, required: readonly string[] = []): JsonSchema {
  const properties = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, fieldSchema(field)]));
  return { type: "object", properties, ...(required.length > 0 && { required }), additionalProperties: false };
}

function fieldSchema(field: Field): JsonSchema {
  if (field === "harmless") return { description: "taken: it changes no answer" };
  if ("accepts" in field) return { description: field.expected, ...field.schema };
  return { description: "refused unless it asks for nothing", enum: [...field, null] };
}

/**
 * The values of an object's fields. Fields that are unknown are refused, naming the nearest, and those that ask for
 * what is not built.
 * @param path of the object in the request, such as "messages[0]." @default the request itself
 * @throws RequestError
 */
export function readFields<F extends Fields>(json: unknown, fields: F, path = ""): Values<F> {
  if (!isObject(json)) throw invalid(path.replace(/\.$/, "") || null, "an object", json);
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(json)) {
    if (!Object.hasOwn(fields, name)) {
      const renamed = Object.hasOwn(fields, "structured_outputs") ? earlierNames.get(name) : undefined;
      throw unknownField(name, path, renamed ?? nearest(name, Object.keys(fields)));
    }
    const [param, field, value] = [path + name, fields[name], json[name]];
    if (value === null || field === "harmless") continue;
    if ("accepts" in field) {
      if (!field.accepts(value)) throw invalid(param, field.expected, value);
      values[name] = value;
    } else if (!asksForNothing(name, value, field, json)) throw unsupported(param, field);
  }
  return values as Values<F>;
}

/** Tools that may not be called ask for nothing. */
function asksForNothing(
  name: string,
  value: unknown,
  neutral: readonly unknown[],
  request: Readonly<Record<string, unknown>>,
): boolean {
  if (
    (name === "tools" && request.tool_choice === "none") ||
    (name === "functions" && request.function_call === "none")
  )
    return true;
  return neutral.some((candidate) => isDeepStrictEqual(candidate, value));
}

const MAX_SHOWN = 60;

/** A value of a request that is not what is expected. */
export function invalid(param: string | null, expected: string, received: unknown): RequestError {
  return new RequestError({
    status: 400,
    message: `${param ?? "body"}: expected ${expected}; received ${shown(received)}`,
    param,
    code: "invalid_value",
  });
}

/** A value in a few words, however large or deep it is. */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "string" && value.length > MAX_SHOWN) return `${JSON.stringify(value.slice(0, MAX_SHOWN))}…`;
  return JSON.stringify(value);
}

/** What fields of vLLM were called before. */
const earlierNames: ReadonlyMap<string, string> = new Map([
  ["guided_json", "structured_outputs.json"],
  ["guided_regex", "structured_outputs.regex"],
  ["guided_choice", "structured_outputs.choice"],
  ["guided_grammar", "structured_outputs.grammar"],
]);

function unknownField(name: string, path: string, near: string | undefined): RequestError {
  const param = path + (name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name);
  const message = `Unknown parameter: '${param}'.${near ? ` Did you mean '${path}${near}'?` : ""}`;
  return new RequestError({ status: 400, message, param, code: "unknown_parameter" });
}

function unsupported(param: string, neutral: readonly unknown[]): RequestError {
  const taken =
    neutral.length > 0 ? `; all it may be is ${neutral.map((value) => JSON.stringify(value)).join(" or ")}` : "";
  const message = `Unsupported parameter: '${param}' would change the answer, and is not built here${taken}. Leave it out.`;
  return new RequestError({ status: 400, message, param, code: "unsupported_parameter" });
}
