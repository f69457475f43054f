/**
 * The JSON Schema Test Suite: a schema is refused by name, or followed. Of those that are followed every invalid value
 * is rejected in every order of its properties, and every valid one accepted in one, but for those that are listed.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { OptionError } from "../../../base/index.ts";
import { type ParseState, Pushdown } from "../pushdown.ts";
import { jsonSchemaGrammar } from "./json-schema.ts";
import { decimalText } from "./numbers.ts";

interface Group {
  description: string;
  schema: boolean | Record<string, unknown>;
  tests: { description: string; data: unknown; valid: boolean }[];
}
const file = fileURLToPath(new URL("../../../../golden/json-schema.json.gz", import.meta.url));
const { drafts } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as {
  drafts: Record<string, Record<string, Group[]>>;
};

/** format.json says that formats are not checked, and optional/format that they are: here they are. */
const filesOf = (draft: string) => Object.entries(drafts[draft]).filter(([name]) => name !== "format");

/** Valid strings of formats that are never written. */
const unwritten = [/leap second/, /quoted string/, /address-literal/, /A-label|[Pp]unycode|\bxn--|XN--/];

/** All texts of a value as JSON: numbers without an exponent, properties in every order. */
function* textsOf(value: unknown): Generator<string> {
  if (typeof value === "number") yield decimalText(value);
  else if (Array.isArray(value)) yield* listsOf(value, 0, "");
  else if (typeof value === "object" && value !== null) yield* objectsOf(Object.entries(value), "");
  else yield JSON.stringify(value);
}
function* listsOf(items: readonly unknown[], at: number, before: string): Generator<string> {
  if (at === items.length) yield `[${before}]`;
  else for (const text of textsOf(items[at])) yield* listsOf(items, at + 1, before + (at > 0 ? "," : "") + text);
}
function* objectsOf(entries: readonly [string, unknown][], before: string): Generator<string> {
  if (entries.length === 0) yield `{${before}}`;
  for (const entry of entries) {
    const rest = entries.filter((other) => other !== entry);
    for (const text of textsOf(entry[1]))
      yield* objectsOf(rest, `${before}${before === "" ? "" : ","}${JSON.stringify(entry[0])}:${text}`);
  }
}

function accepts(pushdown: Pushdown, text: string): boolean {
  let state: ParseState | null = pushdown.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = pushdown.step(state, byte);
    if (state === null) return false;
  }
  return state.mayEnd;
}

/** The machine of a schema; what it is refused for; "nothing" when no value is valid. */
function read(draft: string, { schema }: Group): Pushdown | OptionError | "nothing" {
  const $schema = "http://json-schema.org/draft-07/schema#";
  try {
    return new Pushdown(
      jsonSchemaGrammar(draft === "draft7" && typeof schema === "object" ? { $schema, ...schema } : schema),
    );
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    return error.expected === "a grammar that some text fits" ? "nothing" : error;
  }
}

describe.each(["draft2020-12", "draft7"])("%s", (draft) => {
  test.each(filesOf(draft))("%s", (_, groups) => {
    const wrong: string[] = [];
    for (const group of groups) {
      const pushdown = read(draft, group);
      if (pushdown instanceof OptionError) {
        expect(pushdown.message).toMatch(/^JSON Schema, #/);
        continue;
      }
      for (const { description, data, valid } of group.tests) {
        const isAccepted = pushdown !== "nothing" && [...textsOf(data)].some((text) => accepts(pushdown, text));
        const name = `${group.description}: ${description} ${JSON.stringify(data)}`;
        if (isAccepted !== valid && !(valid && unwritten.some((pattern) => pattern.test(name)))) wrong.push(name);
      }
    }
    expect(wrong).toEqual([]);
  });
});

test("how many schemas are followed", () => {
  const groups = Object.keys(drafts).flatMap((draft) =>
    filesOf(draft).flatMap(([, all]) => all.map((group) => read(draft, group))),
  );
  expect(groups.length).toBe(658);
  expect(groups.filter((group) => !(group instanceof OptionError)).length).toBe(547);
});
