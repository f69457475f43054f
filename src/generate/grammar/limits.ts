import { OptionError } from "../../base/index.ts";

/**
 * What a grammar may need, each with its reason. A grammar comes from whoever sends a request: what it takes in time
 * and memory is bounded by these, whatever it says.
 */
export const grammarLimits = {
  /** Characters of a regular expression, or of a grammar's text. The largest published grammar, of SQL, has 60,000. */
  sourceCharacters: 500_000,
  /** Groups, lists and schemas inside one another: readers call themselves for each. */
  nesting: 200,
  /** Rules of a grammar, those that are made for parts of a schema included. */
  rules: 20_000,
  /** Places of one rule before it is made deterministic, its counted repetitions written out. */
  places: 400_000,
  /** States of the automaton of one rule. An ordinary pattern has some dozens; a state takes about 100 bytes. */
  automatonStates: 65_536,
  /** States of all automata that are made on the way to a grammar. A thousand properties take 100,000. */
  explored: 1_000_000,
  /** States of all automata of a grammar. */
  grammarStates: 400_000,
  /** States of sets of places that making one automaton may look at, times the places of each. */
  work: 2_500_000,
  /** Alternatives of a schema once those of all its keywords are combined. */
  alternatives: 256,
  /** Combinations of keywords that reading a schema may look at. */
  combinations: 200_000,
  /** Patterns for property names that one object has, whose overlaps are told apart two by two. */
  namePatterns: 5,
  /** Ways in which a text so far may be read at the same time, by an ambiguous grammar, each time that one is met. */
  readings: 300_000,
  /** Places that a text so far may be at, each of them in a rule: what one more byte takes grows with them. */
  textPlaces: 4096,
  /** Places that finding out which tokens may follow may look at: about a second's work. */
  maskPlaces: 1_000_000,
  /** Schemas that refer to one another before a value of their own. */
  references: 400,
} as const;

export type GrammarLimit = keyof typeof grammarLimits;

/** @throws OptionError naming the limit, where a value is above it */
export function requireWithin(name: GrammarLimit, value: number, where: string, what: string): void {
  if (value <= grammarLimits[name]) return;
  throw new OptionError({
    where,
    expected: `at most ${grammarLimits[name]} ${what} (limit ${name})`,
    received: `${value} or more`,
    fix: "ask for less at once: shorter counted repetitions, fewer alternatives, fewer patterns",
  });
}
