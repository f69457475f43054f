import { joined, nextTurn } from "../../base/index.ts";
import { type Call, Dfa } from "./dfa.ts";
import { distancesOf } from "./distances.ts";
import { Grammar } from "./grammar.ts";
import { CountedString } from "./json-schema/strings.ts";

/** Numbers of a table in `heads`. */
const HEAD = 5;
/** Numbers of a rule in `rules`. */
const RULE = 3;
/** What is looked at before others have a turn: some milliseconds of work. */
const UNITS_OF_A_TURN = 4096;

/**
 * A grammar as a few arrays of numbers, which go from one thread to another as they are: a grammar may have 20,000
 * rules, and to hand over as many objects would hold up whoever gets them.
 */
export interface PackedGrammar {
  readonly root: number;
  readonly isNullable: boolean;
  readonly rank: Int32Array; // [rules]
  readonly classOf: Uint8Array; // [256]
  readonly numClasses: number;
  /** Of each rule its table, and -1 and -1; or the table of its characters, and how many there may be. */
  readonly rules: Float64Array; // [rules, 3]
  /** Of each table: its start, states, classes, calls, and whether `alike` has its states. */
  readonly heads: Int32Array; // [tables, 5]
  /** What follows has the tables one behind the other. */
  readonly classes: Uint8Array; // [tables, 256]
  readonly next: Int32Array;
  readonly final: Uint8Array;
  /** Each call as the state, the rule, and the next state. */
  readonly calls: Int32Array;
  readonly distances: Float64Array;
  /** States that texts of so many bytes cannot tell from each. */
  readonly alike: Int32Array;
  readonly alikeBytes: number;
}

/** Memory that a grammar takes, about, in bytes. */
export const packedBytes = (packed: PackedGrammar): number =>
  buffersOf(packed).reduce((sum, b) => sum + b.byteLength, 0);

/** The memory of a grammar, which a thread may hand over. */
export function buffersOf(packed: PackedGrammar): ArrayBuffer[] {
  const { rank, classOf, rules, heads, classes, next, final, calls, distances, alike } = packed;
  return [rank, classOf, rules, heads, classes, next, final, calls, distances, alike].map(
    ({ buffer }) => buffer as ArrayBuffer,
  );
}

/**
 * Packs a grammar, with what is to be worked out of its states for a vocabulary.
 * @param alikeBytes the most bytes of the vocabulary's short tokens
 */
export function packGrammar(grammar: Grammar, alikeBytes: number): PackedGrammar {
  const tables = new Map<Dfa, number>();
  const numberOf = (dfa: Dfa) => {
    const number = tables.get(dfa) ?? tables.size;
    tables.set(dfa, number);
    return number;
  };
  const rules = new Float64Array(RULE * grammar.automata.length);
  const distances = new Map<Dfa, Float64Array>();
  const alike = new Map<Dfa, Int32Array>();
  const alikeTables = grammar.alikeTables(alikeBytes);
  for (const [rule, automaton] of grammar.automata.entries()) {
    const [dfa, ...room] = automaton instanceof Dfa ? [automaton, -1, -1] : charactersOf(grammar, rule);
    rules.set([numberOf(dfa), ...room], RULE * rule);
    if (dfa !== automaton) continue;
    distances.set(dfa, grammar.distances[rule]!);
    const states = alikeTables[rule];
    if (states) alike.set(dfa, states);
  }
  const all = [...tables.keys()];
  const ofCharacters = all.filter((dfa) => !distances.has(dfa));
  for (const [i, table] of distancesOf(ofCharacters).entries()) distances.set(ofCharacters[i], table!);
  return {
    root: grammar.root,
    isNullable: grammar.isNullable,
    rank: Int32Array.from(grammar.rank),
    classOf: Uint8Array.from(grammar.classOf),
    numClasses: grammar.numClasses,
    rules,
    heads: Int32Array.from(
      all.flatMap((dfa) => [dfa.start, dfa.numStates, dfa.numClasses, numCalls(dfa), alike.has(dfa) ? 1 : 0]),
    ),
    classes: joined(
      Uint8Array,
      all.map(({ classOf }) => classOf),
    ),
    next: joined(
      Int32Array,
      all.map(({ next }) => next),
    ),
    final: joined(
      Uint8Array,
      all.map(({ final }) => final),
    ),
    calls: joined(Int32Array, all.map(callsOf)),
    distances: joined(
      Float64Array,
      all.map((dfa) => distances.get(dfa)!),
    ),
    alike: joined(
      Int32Array,
      all.flatMap((dfa) => alike.get(dfa) ?? []),
    ),
    alikeBytes,
  };
}

function charactersOf(grammar: Grammar, rule: number): [Dfa, number, number] {
  const { unit, min, max } = grammar.measured(rule) as CountedString;
  return [unit, min, max];
}

const numCalls = ({ callsOf: all }: Dfa) => [...all.values()].reduce((sum, calls) => sum + calls.length, 0);

const callsOf = ({ callsOf: all }: Dfa): Int32Array =>
  Int32Array.from([...all].flatMap(([state, calls]) => calls.flatMap(({ rule, next }) => [state, rule, next])));

/** The grammar of what `packGrammar` gave. It takes a turn now and then, and leaves the others to whoever waits. */
export async function unpackGrammar(packed: PackedGrammar): Promise<Grammar> {
  const { root, isNullable, rank, classOf, numClasses, rules, alikeBytes } = packed;
  const tables = await unpackTables(packed);
  const automata = [];
  const distances = [];
  const alike = new Map<string, Int32Array | undefined>();
  for (let rule = 0; rule < rank.length; rule++) {
    if (rule % UNITS_OF_A_TURN === UNITS_OF_A_TURN - 1) await nextTurn();
    const [table, min, max] = rules.subarray(RULE * rule, RULE * (rule + 1));
    const { dfa, distances: bytes, alike: states } = tables[table];
    const isTable = max < 0;
    automata.push(isTable ? dfa : new CountedString(min, max, dfa, bytes));
    distances.push(isTable ? bytes : undefined);
    if (isTable && !dfa.hasCalls) alike.set(`${rule} ${alikeBytes}`, states);
  }
  return new Grammar({ automata, root, isNullable, rank, classOf, numClasses, distances, alike });
}

interface Table {
  dfa: Dfa;
  distances: Float64Array;
  alike: Int32Array | undefined;
}

async function unpackTables({ heads, classes, ...arrays }: PackedGrammar): Promise<Table[]> {
  const tables: Table[] = [];
  let [ofNext, ofStates, ofCalls, ofAlike] = [0, 0, 0, 0];
  let units = 0;
  for (let table = 0; HEAD * table < heads.length; table++) {
    const [start, numStates, numClasses, count, hasAlike] = heads.subarray(HEAD * table, HEAD * (table + 1));
    const calls = new Map<number, Call[]>();
    for (const end = ofCalls + 3 * count; ofCalls < end; ofCalls += 3) {
      const [state, rule, next] = arrays.calls.subarray(ofCalls, ofCalls + 3);
      const known = calls.get(state);
      if (known) known.push({ rule, next });
      else calls.set(state, [{ rule, next }]);
      if (++units % UNITS_OF_A_TURN === 0) await nextTurn();
    }
    const dfa = new Dfa({
      start,
      numClasses,
      classOf: classes.subarray(256 * table, 256 * (table + 1)),
      next: arrays.next.subarray(ofNext, ofNext + numStates * numClasses),
      final: arrays.final.subarray(ofStates, ofStates + numStates),
      callsOf: calls,
    });
    const distances = arrays.distances.subarray(ofStates, ofStates + numStates);
    tables.push({ dfa, distances, alike: hasAlike ? arrays.alike.subarray(ofAlike, ofAlike + numStates) : undefined });
    ofNext += numStates * numClasses;
    ofStates += numStates;
    if (hasAlike) ofAlike += numStates;
    if (++units % UNITS_OF_A_TURN === 0) await nextTurn();
  }
  return tables;
}
