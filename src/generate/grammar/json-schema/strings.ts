import { complement } from "../code-points.ts";
import type { Call, Dfa, MeasuredAutomaton } from "../dfa.ts";
import { distancesOf } from "../distances.ts";
import { alternatives, anyOfCharacters, characters, type Expression, sequence, text } from "../expression.ts";
import { emptyLanguage, isEmptyLanguage, type Languages } from "../languages.ts";

const hex = anyOfCharacters("0123456789abcdefABCDEF");
const plain = complement([0, 0x1f, 0x22, 0x22, 0x5c, 0x5c]);

const escapedUnit = (...digits: readonly Expression[]) => sequence(text("\\u"), ...digits);

/** One character of a JSON string, however it is written; surrogates come in pairs alone. */
export const jsonCharacter: Expression = alternatives(
  characters(plain),
  sequence(text("\\"), anyOfCharacters('"\\/bfnrt')),
  escapedUnit(anyOfCharacters("0123456789abcefABCEF"), hex, hex, hex),
  escapedUnit(anyOfCharacters("dD"), anyOfCharacters("01234567"), hex, hex),
  sequence(
    escapedUnit(anyOfCharacters("dD"), anyOfCharacters("89abAB"), hex, hex),
    escapedUnit(anyOfCharacters("dD"), anyOfCharacters("cdefCDEF"), hex, hex),
  ),
);

const QUOTE = 0x22;
const START = 0;
const END = 1;
/** States in front of those inside the quotes. */
const OUTSIDE = 2;
const noCalls: readonly Call[] = [];

/**
 * JSON strings of so many characters, as an automaton that counts: its states are a number of characters times the
 * state inside of one, and are never written down, so that a limit of a million costs as much as one of ten.
 */
export class CountedString implements MeasuredAutomaton {
  readonly start = START;
  readonly hasCalls = false;
  readonly numStates: number;
  readonly min: number;
  readonly max: number;
  readonly unit: Dfa;
  /** Fewest bytes to the end of a character, by the state in it; from its start, of a whole one. */
  private readonly bytesWithin: ArrayLike<number>;

  /**
   * @param max may be infinite
   * @param unit the automaton of `jsonCharacter`
   * @param distances in it. @default worked out
   */
  constructor(min: number, max: number, unit: Dfa, distances: ArrayLike<number> = distancesOf([unit])[0]!) {
    this.min = min;
    this.max = max;
    this.unit = unit;
    this.bytesWithin = distances;
    this.numStates = OUTSIDE + (this.most + 1) * this.unit.numStates;
  }

  /** Counts above it are alike. */
  private get most(): number {
    return this.max === Number.POSITIVE_INFINITY ? this.min : this.max;
  }

  step(state: number, byte: number): number {
    const { unit } = this;
    if (state === START) return byte === QUOTE ? OUTSIDE + unit.start : -1;
    if (state === END) return -1;
    const count = this.countOf(state);
    const inner = this.innerOf(state);
    if (inner === unit.start && byte === QUOTE) return count >= this.min ? END : -1;
    if (count >= this.max) return -1;
    const next = unit.step(inner, byte);
    if (next < 0) return -1;
    if (!unit.isFinal(next)) return this.stateOf(count, next);
    return this.stateOf(Math.min(count + 1, this.most), unit.start);
  }

  private countOf(state: number): number {
    return Math.floor((state - OUTSIDE) / this.unit.numStates);
  }

  private innerOf(state: number): number {
    return (state - OUTSIDE) % this.unit.numStates;
  }

  private stateOf(count: number, inner: number): number {
    return OUTSIDE + count * this.unit.numStates + inner;
  }

  isFinal(state: number): boolean {
    return state === END;
  }

  calls(): readonly Call[] {
    return noCalls;
  }

  hasBytes(state: number): boolean {
    return state !== END;
  }

  /** With room for as many characters as there are bytes, further room makes no difference. */
  alike(state: number, numBytes: number): number {
    if (state < OUTSIDE) return state;
    const count = this.countOf(state);
    const hasRoom = this.max - count > numBytes && this.max !== Number.POSITIVE_INFINITY;
    return hasRoom && count > this.min ? this.stateOf(this.min, this.innerOf(state)) : state;
  }

  nameOf(state: number, numBytes: number): string {
    const clipped = (room: number) => (room > numBytes ? "much" : room);
    if (state < OUTSIDE) return `string ${state} ${this.min} ${clipped(this.max)}`;
    const count = this.countOf(state);
    return `string ${this.innerOf(state)} ${Math.max(0, this.min - count)} ${clipped(this.max - count)}`;
  }

  within(allowed: Dfa, intersection: (a: Dfa, b: Dfa) => Dfa): MeasuredAutomaton | Dfa {
    const unit = intersection(this.unit, allowed);
    const isNone = allowed.step(allowed.start, QUOTE) < 0 || (this.min > 0 && isEmptyLanguage(unit));
    return isNone ? emptyLanguage() : new CountedString(this.min, this.max, unit);
  }

  byteEdges(): readonly number[] {
    return [...this.unit.byteEdges(), QUOTE, QUOTE + 1];
  }

  distance(state: number): number {
    if (state === END) return 0;
    const needed = this.min - (state === START ? 0 : this.countOf(state));
    const { start } = this.unit;
    const inner = state === START ? start : this.innerOf(state);
    const quotes = state === START ? 2 : 1;
    const rest = Math.max(0, needed - (inner === start ? 0 : 1));
    return quotes + (rest === 0 ? 0 : rest * this.bytesWithin[start]) + (inner === start ? 0 : this.bytesWithin[inner]);
  }
}

const shortEscapes: Readonly<Record<number, string>> = {
  8: "\\b",
  9: "\\t",
  10: "\\n",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** What bytes must be written as in a JSON string; undefined for those that stand for themselves. */
const escapes: readonly (string | undefined)[] = Array.from(
  { length: 256 },
  (_, byte) => shortEscapes[byte] ?? (byte < 0x20 ? `\\u00${byte.toString(16).padStart(2, "0")}` : undefined),
);
const escapedBytes = [...escapes.keys()].filter((byte) => escapes[byte] !== undefined);

/** The JSON strings of the texts of a language, quotes included; each is written in one way alone. */
export function quotedLanguage(texts: Dfa, languages: Languages, where: string): Dfa {
  const nfa = languages.nfa(where);
  const [start, end] = [nfa.place(), nfa.place()];
  const places = Array.from({ length: texts.numStates }, () => nfa.place());
  const edges = [...new Set([...texts.byteEdges(), ...escapedBytes.flatMap((byte) => [byte, byte + 1])])];
  edges.sort((a, b) => a - b);
  nfa.bytes(start, QUOTE, QUOTE, places[texts.start]);
  for (let state = 0; state < texts.numStates; state++) {
    if (texts.isFinal(state)) nfa.bytes(places[state], QUOTE, QUOTE, end);
    for (const [i, byte] of edges.entries()) {
      const next = texts.step(state, byte);
      if (next < 0) continue;
      const written = escapes[byte];
      if (written) nfa.text(written, places[state], places[next]);
      else nfa.bytes(places[state], byte, (edges[i + 1] ?? 256) - 1, places[next]);
    }
  }
  return languages.determined(nfa, start, end, where);
}
