import type { CodePoints } from "./code-points.ts";
import { byteClasses, type Call, Dfa } from "./dfa.ts";
import { alternatives, automaton, characters, empty, repeat, ruleNumber } from "./expression.ts";
import { type Grammar, grammarOfRules, type Rule } from "./grammar.ts";
import { Languages } from "./languages.ts";

/**
 * The grammar of those texts that consist of some characters alone. Under it a vocabulary that has a token for each of
 * them never comes to a place from which it cannot go on.
 * @throws OptionError when there are none
 */
export function restrictedTo(set: CodePoints, grammar: Grammar, where: string): Grammar {
  const languages = new Languages();
  const allowed = languages.of(repeat(characters(set), 0), where);
  const intersection = (a: Dfa, b: Dfa) => languages.intersection(a, b, where);
  const rules = grammar.automata.map((each, rule): Rule => {
    const within = each instanceof Dfa ? both(each, allowed) : grammar.measured(rule).within(allowed, intersection);
    return { name: `rule ${rule}`, body: within instanceof Dfa ? automaton(within) : within };
  });
  const root = ruleNumber(grammar.root);
  rules.push({ name: "the whole text", body: grammar.isNullable ? alternatives(empty, root) : root });
  return grammarOfRules(rules, rules.length - 1, where, languages);
}

/** Texts of an automaton whose characters are allowed. Rules are called between characters. */
function both(dfa: Dfa, allowed: Dfa): Dfa {
  const { classOf, numClasses } = byteClasses([...dfa.byteEdges(), ...allowed.byteEdges()]);
  const bytes = Array.from({ length: numClasses }, (_, of) => classOf.indexOf(of));
  const width = allowed.numStates;
  const start = dfa.start * width + allowed.start;
  const numbers = new Map([[start, 0]]);
  const numberOf = (pair: number) => {
    const known = numbers.get(pair) ?? numbers.size;
    numbers.set(pair, known);
    return known;
  };
  const next: number[] = [];
  const final: number[] = [];
  const callsOf = new Map<number, Call[]>();
  for (const [pair, state] of numbers) {
    const [place, character] = [Math.floor(pair / width), pair % width];
    const isBetween = character === allowed.start;
    final.push(isBetween && dfa.isFinal(place) ? 1 : 0);
    for (const byte of bytes) {
      const [to, after] = [dfa.step(place, byte), allowed.step(character, byte)];
      next.push(to < 0 || after < 0 ? -1 : numberOf(to * width + after));
    }
    const calls = isBetween ? dfa.calls(place) : [];
    if (calls.length === 0) continue;
    callsOf.set(
      state,
      calls.map(({ rule, next: to }) => ({ rule, next: numberOf(to * width + allowed.start) })),
    );
  }
  const parts = { start: 0, classOf, numClasses, callsOf };
  return new Dfa({ ...parts, next: Int32Array.from(next), final: Uint8Array.from(final) });
}
