import {
  alternatives,
  anyOfCharacters,
  type Expression,
  optional,
  repeat,
  sequence,
  text,
} from "../../grammar/expression.ts";
import type { CallGrammar } from "../grammar.ts";
import type { ToolCallGrammar } from "../tool-call-grammar.ts";

const spaces = repeat(anyOfCharacters(" \t\r\n"), 0);

/**
 * What an answer begins with that is a call though no marker says so: up to the name of a tool, however it is spaced.
 * @param begins markers of the format
 * @returns undefined for calls that markers begin, which may come anywhere
 */
export function startTexts({ calls, triggers: [trigger] }: ToolCallGrammar, begins: readonly string[]) {
  if (begins.includes(trigger)) return undefined;
  const names = [...new Set(firstTexts(calls).map((first) => upToName(first, trigger)))];
  // models that write JSON put it in a list or not, and in a fence or not
  const isJson = trigger.includes("{");
  const around = isJson ? [optional(alternatives(text("```json"), text("```"))), spaces, optional(text("["))] : [];
  return sequence(
    spaces,
    ...around,
    spaces,
    alternatives(...names.map((name) => spaced(isJson ? name.replace(/^\[/, "") : name))),
  );
}

/** A first text as far as a name of a tool in it, and one more character, which ends the name. */
function upToName(first: string, trigger: string): string {
  const [name] = /^[\w-]*/.exec(first.slice(trigger.length))!;
  return first.slice(0, trigger.length + name.length + 1);
}

/** A text whose parts may have white space between them. */
function spaced(value: string): Expression {
  const parts = value.match(/[\w-]+|\n$|[^\w\s-]/g) ?? [];
  return sequence(...parts.flatMap((part) => [text(part), spaces]));
}

/** The texts that a grammar's texts begin with, up to what is no literal; none of them is empty. */
function firstTexts(grammar: CallGrammar): string[] {
  if (grammar.kind === "literal") return [grammar.text];
  if (grammar.kind === "choice") return grammar.options.flatMap(firstTexts);
  if (grammar.kind === "repeat") return firstTexts(grammar.item);
  if (grammar.kind !== "sequence") return [""];
  let texts = [""];
  for (const item of grammar.items) {
    const next = firstTexts(item);
    texts = texts.flatMap((before) => next.map((after) => before + after));
    if (!isLiteral(item)) break;
  }
  return texts;
}

const isLiteral = (grammar: CallGrammar): boolean =>
  grammar.kind === "literal" || (grammar.kind === "sequence" && grammar.items.every(isLiteral));
