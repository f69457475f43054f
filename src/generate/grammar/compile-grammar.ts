import { checkOptions, OptionError } from "../../base/index.ts";
import { gbnfGrammar } from "./gbnf.ts";
import type { Grammar } from "./grammar.ts";
import { type JsonLayout, jsonSchemaGrammar } from "./json-schema/json-schema.ts";
import { larkGrammar } from "./lark.ts";
import { choiceGrammar, regexGrammar } from "./regex.ts";

/** What a text is to be like, in one of the forms that grammars have. */
export type GrammarSource =
  /** JSON by a JSON Schema, in a layout. */
  | { readonly jsonSchema: unknown; readonly layout?: JsonLayout }
  /** What a regular expression matches as a whole. */
  | { readonly regex: string }
  /** One of some texts. */
  | { readonly choice: readonly string[] }
  /** llama.cpp's BNF; `root` is the rule of the whole text. */
  | { readonly gbnf: string; readonly root?: string }
  /** Lark's grammars; `start` is the rule of the whole text. */
  | { readonly lark: string; readonly start?: string };

const where = "compileGrammar";
const companions: Readonly<Record<string, readonly string[]>> = {
  jsonSchema: ["layout"],
  regex: [],
  choice: [],
  gbnf: ["root"],
  lark: ["start"],
};

/**
 * A grammar in any of the forms.
 *
 * @example
 * const grammar = compileGrammar({ choice: ["yes", "no"] });
 * matchesGrammar(grammar, "no"); // true
 *
 * @throws OptionError for a fault of the grammar, with its place, or a limit that it passes
 */
export function compileGrammar(source: GrammarSource): Grammar {
  const forms = Object.keys(companions);
  const isObject = typeof source === "object" && source !== null;
  const present = isObject ? forms.filter((form) => Object.hasOwn(source, form)) : [];
  if (present.length !== 1) {
    throw new OptionError({
      where,
      expected: `one of ${forms.join(", ")}`,
      received: present.length > 1 ? present.join(" and ") : (JSON.stringify(source) ?? String(source)).slice(0, 80),
      fix: 'write for example { regex: "[0-9]+" }',
    });
  }
  const [form] = present;
  checkOptions(where, source, [form, ...companions[form]]);
  if ("jsonSchema" in source)
    return jsonSchemaGrammar(source.jsonSchema, source.layout === undefined ? {} : { layout: source.layout });
  if ("choice" in source) return choiceGrammar(source.choice);
  const text = (source as unknown as Readonly<Record<string, unknown>>)[form];
  if (typeof text !== "string")
    throw new OptionError({ where, expected: `${form} to be a text`, received: typeof text, fix: "give a string" });
  if ("regex" in source) return regexGrammar(source.regex);
  if ("gbnf" in source) return gbnfGrammar(source.gbnf, source.root === undefined ? {} : { root: source.root });
  return larkGrammar(source.lark, source.start === undefined ? {} : { start: source.start });
}
