import { OptionError } from "../../base/index.ts";
import { alikeStates } from "./alike-states.ts";
import { type Automaton, byteClasses, Dfa, type MeasuredAutomaton } from "./dfa.ts";
import { distancesOf } from "./distances.ts";
import { type Expression, isNullable, partsOf } from "./expression.ts";
import { Languages } from "./languages.ts";
import { leftCalls, leftOrder, withoutLeftRecursion } from "./left-recursion.ts";
import { requireWithin } from "./limits.ts";
import { minimized, trimmed } from "./minimal.ts";

/** A rule: its name, for errors, and what its texts look like. */
export interface Rule {
  readonly name: string;
  /** An automaton that is there already must have neither the empty text nor calls. */
  readonly body: Expression | MeasuredAutomaton;
}

const isAutomaton = (body: Expression | MeasuredAutomaton): body is MeasuredAutomaton => !("type" in body);

/** What a grammar is worked out to. */
export interface GrammarTables {
  readonly automata: readonly Automaton[];
  readonly root: number;
  readonly isNullable: boolean;
  readonly rank: ArrayLike<number>;
  readonly classOf: Uint8Array;
  readonly numClasses: number;
  readonly distances: readonly (Float64Array | undefined)[];
  /** States that texts of some length do not tell apart, by rule and length, where that is worked out. @default none */
  readonly alike?: ReadonlyMap<string, Int32Array | undefined>;
}

/**
 * What texts may be: rules that name one another, one of which is for the whole text. It knows no tokens; one grammar
 * serves any tokenizer.
 */
export class Grammar {
  /** The automaton of each rule, of its texts that are not empty. */
  readonly automata: readonly Automaton[];
  /** The rule of the whole text. */
  readonly root: number;
  /** Whether the text may be empty. */
  readonly isNullable: boolean;
  /** Rules before those that their texts may begin with. */
  readonly rank: ArrayLike<number>;
  /** The class of each byte: bytes of a class do the same everywhere. */
  readonly classOf: Uint8Array;
  readonly numClasses: number;
  /** Fewest bytes from each state to its rule's end, of the automata that are tables. @internal */
  readonly distances: readonly (Float64Array | undefined)[];
  private readonly alikeOf: Map<string, Int32Array | undefined>;

  constructor(tables: GrammarTables) {
    this.automata = tables.automata;
    this.root = tables.root;
    this.isNullable = tables.isNullable;
    this.rank = tables.rank;
    this.classOf = tables.classOf;
    this.numClasses = tables.numClasses;
    this.distances = tables.distances;
    this.alikeOf = new Map(tables.alike);
  }

  /** A state of a rule that texts of at most so many bytes cannot tell from another, nor the distances behind them. */
  alike(rule: number, state: number, numBytes: number): number {
    const automaton = this.automata[rule];
    if (!(automaton instanceof Dfa)) return this.measured(rule).alike(state, numBytes);
    return this.alikeTable(rule, automaton, numBytes)?.[state] ?? state;
  }

  private alikeTable(rule: number, automaton: Dfa, numBytes: number): Int32Array | undefined {
    if (automaton.hasCalls) return undefined;
    const key = `${rule} ${numBytes}`;
    if (!this.alikeOf.has(key)) this.alikeOf.set(key, alikeStates(automaton, this.distances[rule]!, numBytes));
    return this.alikeOf.get(key);
  }

  /** For each rule the states that texts of at most so many bytes tell apart, as `alike` gives them. @internal */
  alikeTables(numBytes: number): (Int32Array | undefined)[] {
    return this.automata.map((automaton, rule) =>
      automaton instanceof Dfa ? this.alikeTable(rule, automaton, numBytes) : undefined,
    );
  }

  /** Fewest bytes from a state of a rule to its end. */
  distance(rule: number, state: number): number {
    return this.distances[rule]?.[state] ?? this.measured(rule).distance(state);
  }

  /** What tells a state apart in any grammar, where rules of other grammars have such states too. */
  sharedName(rule: number, state: number, numBytes: number): string | undefined {
    return this.automata[rule] instanceof Dfa
      ? undefined
      : `${this.measured(rule).nameOf(state, numBytes)} ${numBytes}`;
  }

  /** The automaton of a rule that is no table. */
  measured(rule: number): MeasuredAutomaton {
    return this.automata[rule] as MeasuredAutomaton;
  }
}

/**
 * The grammar of some rules.
 * @param root the rule of the whole text
 * @param where what errors name
 * @throws OptionError when no text fits, or a limit is passed
 */
export function grammarOfRules(
  rules: readonly Rule[],
  root: number,
  where: string,
  languages: Languages = new Languages(),
): Grammar {
  requireWithin("rules", rules.length, where, "rules");
  const nullable = nullableRules(rules);
  const hasEmpty = (rule: number) => nullable.has(rule);
  const automata = automataOf(rules, where, languages, hasEmpty);
  if (!hasEmpty(root) && isNothing(automata[root])) {
    throw new OptionError({
      where,
      expected: "a grammar that some text fits",
      received: "one that no text fits",
      fix: "look for rules that call themselves in every alternative, and for conditions that exclude one another",
    });
  }
  const rank = new Int32Array(rules.length);
  for (const [i, rule] of leftOrder(automata.map(leftCalls)).flat().entries()) rank[rule] = i;
  const classes = byteClasses(automata.flatMap((automaton) => automaton.byteEdges()));
  return new Grammar({
    automata,
    root,
    isNullable: hasEmpty(root),
    rank,
    ...classes,
    distances: distancesOf(automata),
  });
}

const isNothing = (automaton: Automaton) => automaton instanceof Dfa && !automaton.final.includes(1);

/** The rules that have the empty text. */
function nullableRules(rules: readonly Rule[]): Set<number> {
  const nullable = new Set<number>();
  const users = usersOf(rules);
  const open = rules.map((_, rule) => rule);
  for (let rule = open.pop(); rule !== undefined; rule = open.pop()) {
    const { body } = rules[rule];
    if (nullable.has(rule) || isAutomaton(body) || !isNullable(body, (other) => nullable.has(other))) continue;
    nullable.add(rule);
    open.push(...users[rule]);
  }
  return nullable;
}

/** For each rule, the rules that name it. */
function usersOf(rules: readonly Rule[]): Set<number>[] {
  const users = rules.map(() => new Set<number>());
  const visit = (expression: Expression, user: number) => {
    if (expression.type === "rule") users[expression.rule].add(user);
    for (const part of partsOf(expression)) visit(part, user);
  };
  for (const [user, { body }] of rules.entries()) if (!isAutomaton(body)) visit(body, user);
  return users;
}

function automataOf(
  rules: readonly Rule[],
  where: string,
  languages: Languages,
  hasEmpty: (rule: number) => boolean,
): (Automaton | MeasuredAutomaton)[] {
  let numStates = 0;
  const automata = rules.map(({ name, body }) => {
    if (isAutomaton(body)) return body;
    const dfa = withoutEmpty(languages.of(body, `${where}, ${name}`, hasEmpty));
    numStates += dfa.numStates;
    requireWithin("grammarStates", numStates, where, "states of all automata");
    return dfa;
  });
  const distances = distancesOf(automata);
  const isEmpty = (rule: number) => distances[rule]?.[automata[rule].start] === Number.POSITIVE_INFINITY;
  return withoutLeftRecursion(
    automata.map((automaton) => (automaton instanceof Dfa ? minimized(trimmed(automaton, isEmpty)) : automaton)),
    where,
  );
}

/** The automaton without the empty text. */
function withoutEmpty(dfa: Dfa): Dfa {
  if (!dfa.isFinal(dfa.start)) return dfa;
  const { numStates, numClasses, next, final, classOf, start } = dfa;
  const row = next.slice(start * numClasses, (start + 1) * numClasses);
  const rows = new Int32Array(next.length + numClasses);
  rows.set(next);
  rows.set(row, next.length);
  const callsOf = new Map(dfa.callsOf);
  if (dfa.calls(start).length > 0) callsOf.set(numStates, dfa.calls(start));
  const parts = { classOf, numClasses, next: rows, final: Uint8Array.of(...final, 0), callsOf };
  return trimmed(new Dfa({ ...parts, start: numStates }));
}
