import { Dfa, type MeasuredAutomaton } from "./dfa.ts";
import { automaton, type Expression, optional, ruleNumber } from "./expression.ts";
import type { Grammar, Rule } from "./grammar.ts";

/** Adds the rules of a grammar to those of another, and gives what stands for its texts there. */
export function embed(grammar: Grammar, rules: Rule[]): Expression {
  const offset = rules.length;
  for (const [rule, part] of grammar.automata.entries()) {
    const body = part instanceof Dfa ? automaton(shifted(part, offset)) : (part as MeasuredAutomaton);
    rules.push({ name: `embedded ${rule}`, body });
  }
  const root = ruleNumber(offset + grammar.root);
  return grammar.isNullable ? optional(root) : root;
}

/** The automaton with other numbers for the rules that it calls. */
function shifted(dfa: Dfa, offset: number): Dfa {
  if (dfa.callsOf.size === 0) return dfa;
  const callsOf = new Map(
    [...dfa.callsOf].map(([state, calls]) => [state, calls.map(({ rule, next }) => ({ rule: rule + offset, next }))]),
  );
  return new Dfa({ ...dfa, callsOf });
}
