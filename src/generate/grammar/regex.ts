import { anyCharacter } from "./code-points.ts";
import type { Dfa } from "./dfa.ts";
import { anyOf, automaton, characters, type Expression, repeat, sequence, text } from "./expression.ts";
import { type Grammar, grammarOfRules } from "./grammar.ts";
import { Languages } from "./languages.ts";
import { parseRegex, type RegexFlags, type RegexTree } from "./regex-syntax.ts";

const anything = repeat(characters(anyCharacter), 0);
const start: Expression = { type: "anchor", at: "start" };
const end: Expression = { type: "anchor", at: "end" };

/**
 * The texts in which a regular expression is found, as `pattern` of JSON Schema has it: anywhere, unless ^ and $ say
 * where.
 */
export function searchLanguage(source: string, where: string, languages: Languages): Dfa {
  const tree = parseRegex(source, where);
  return withLookAheads(languages.of(sequence(anything, tree.expression, anything), where), tree, where, languages);
}

/** The texts that a regular expression matches as a whole. */
export function matchLanguage(source: string, where: string, languages: Languages, flags: RegexFlags = {}): Dfa {
  const tree = parseRegex(source, where, flags);
  return withLookAheads(languages.of(sequence(start, tree.expression, end), where), tree, where, languages);
}

function withLookAheads(dfa: Dfa, { lookAheads }: RegexTree, where: string, languages: Languages): Dfa {
  return lookAheads.reduce((rest, { body, isNegative }) => {
    const seen = languages.of(sequence(start, body, anything), where);
    return isNegative ? languages.difference(rest, seen, where) : languages.intersection(rest, seen, where);
  }, dfa);
}

/**
 * A grammar of the texts that a regular expression matches as a whole.
 *
 * @example
 * const grammar = regexGrammar("(yes|no), because [^.]+\\.");
 * matchesGrammar(grammar, "no, because it rains."); // true
 *
 * @throws OptionError for what no finite automaton matches, or when it takes too many states
 */
export function regexGrammar(source: string): Grammar {
  const languages = new Languages();
  const body = automaton(matchLanguage(source, "regex", languages));
  return grammarOfRules([{ name: "the regular expression", body }], 0, "regex", languages);
}

/**
 * A grammar of some texts, one of which is to be picked.
 * @throws OptionError when there are none
 */
export function choiceGrammar(choices: readonly string[]): Grammar {
  return grammarOfRules([{ name: "the choices", body: anyOf(choices.map(text)) }], 0, "choice");
}
