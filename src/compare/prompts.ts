import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { DataError, isObject, nearest, parseJson } from "../base/index.ts";
import { withReadErrors } from "../files/index.ts";

/** A question, and what is known of its answer. */
export interface Prompt {
  /** @default the number of its line */
  id: string;
  messages: readonly object[];
  /** Right answers, any of which will do. */
  expected: readonly string[];
  /** A JSON Schema that the answer has to follow. */
  schema: object | undefined;
  maxTokens: number | undefined;
  /** Changes with what is asked. */
  hash: string;
}

const fields = ["id", "prompt", "messages", "expected", "schema", "max_tokens"];

/**
 * The prompts of a JSON Lines file: `{"prompt": "..."}` or `{"messages": [...]}`, with `expected` (a text or several),
 * `schema`, `max_tokens` and `id` where they are wanted.
 * @throws DataError naming the line
 */
export async function readPrompts(path: string): Promise<Prompt[]> {
  const text = await withReadErrors(path, "a JSON Lines file of prompts", () => readFile(path, "utf8"));
  const lines = text
    .split("\n")
    .flatMap((line, i) => (line.trim() === "" ? [] : [{ line, where: `${path}, line ${i + 1}` }]));
  const prompts = lines.map(({ line, where }, i) => promptOf(parseJson(line, where), where, String(i + 1)));
  const fail = (received: string) =>
    new DataError({ where: path, expected: "prompts, each with its id", received, fix: "correct the file" });
  if (prompts.length === 0) throw fail("none");
  const ids = new Set<string>();
  for (const { id } of prompts) {
    if (ids.has(id)) throw fail(`${JSON.stringify(id)} twice`);
    ids.add(id);
  }
  return prompts;
}

function promptOf(json: unknown, where: string, number: string): Prompt {
  const refuse = (expected: string, received: string, fix = "correct the line") =>
    new DataError({ where, expected, received, fix });
  if (!isObject(json)) throw refuse("an object", typeof json);
  for (const field of Object.keys(json)) {
    if (fields.includes(field)) continue;
    const near = nearest(field, fields);
    throw refuse(
      `one of the fields ${fields.join(", ")}`,
      field,
      near ? `did you mean "${near}"?` : `remove "${field}"`,
    );
  }
  const { id = number, prompt, messages, expected = [], schema, max_tokens: maxTokens } = json;
  const list = typeof expected === "string" ? [expected] : expected;
  if (!Array.isArray(list) || !list.every((one) => typeof one === "string"))
    throw refuse("expected to be a text or several", "others");
  if (typeof id !== "string" && typeof id !== "number") throw refuse("an id of text", typeof id);
  if (schema !== undefined && !isObject(schema)) throw refuse("schema to be a JSON Schema", typeof schema);
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && (maxTokens as number) > 0))
    throw refuse("max_tokens to be a positive integer", String(maxTokens));
  const asked = typeof prompt === "string" ? [{ role: "user", content: prompt }] : messages;
  if (
    !Array.isArray(asked) ||
    asked.length === 0 ||
    (prompt !== undefined && messages !== undefined) ||
    !asked.every(isObject)
  )
    throw refuse("either a prompt or messages", "neither, both, or others");
  const hash = createHash("sha256")
    .update(JSON.stringify([asked, maxTokens ?? null]))
    .digest("hex")
    .slice(0, 16);
  return { id: String(id), messages: asked, expected: list, schema, maxTokens: maxTokens as number | undefined, hash };
}
