import { byteClasses, type Call, Dfa } from "./dfa.ts";
import { grammarLimits, requireWithin } from "./limits.ts";
import type { Nfa } from "./nfa.ts";

/**
 * The deterministic automaton of paths from a place to another, by the subset construction. Rabin and Scott 1959,
 * Finite automata and their decision problems.
 * @throws OptionError when it would have more states than the limit
 */
export function determine(nfa: Nfa, start: number, end: number, where: string): Dfa {
  return new Subsets(nfa, end, where).build(start);
}

class Subsets {
  private readonly nfa: Nfa;
  private readonly end: number;
  private readonly where: string;
  private readonly marks: Uint32Array;
  /** The states of single places, -1 where they are not known yet. */
  private readonly stateOfPlace: Int32Array;
  private mark = 0;
  private work = 0;
  private readonly numbers = new Map<string, number>();
  private readonly sets: (readonly number[])[] = [];
  private readonly final: number[] = [];

  constructor(nfa: Nfa, end: number, where: string) {
    this.nfa = nfa;
    this.end = end;
    this.where = where;
    this.marks = new Uint32Array(nfa.places.length);
    this.stateOfPlace = new Int32Array(nfa.places.length).fill(-1);
  }

  build(start: number): Dfa {
    const { places } = this.nfa;
    const edges = new Set<number>();
    for (const { bytes } of places) for (let i = 0; i < bytes.length; i += 3) edges.add(bytes[i]).add(bytes[i + 1] + 1);
    const { classOf, numClasses } = byteClasses(edges);
    const rows: Int32Array[] = [];
    const callsOf = new Map<number, Call[]>();
    this.number([start], true);
    for (let state = 0; state < this.sets.length; state++) {
      const { byClass, byRule } = this.targetsOf(state, classOf, numClasses);
      rows.push(Int32Array.from(byClass, (targets) => (targets ? this.number(targets) : -1)));
      if (byRule)
        callsOf.set(
          state,
          Array.from(byRule, ([rule, targets]) => ({ rule, next: this.number(targets) })),
        );
    }
    const next = new Int32Array(rows.length * numClasses);
    for (const [state, row] of rows.entries()) next.set(row, state * numClasses);
    return new Dfa({ start: 0, classOf, numClasses, next, final: Uint8Array.from(this.final), callsOf });
  }

  /** The places that a state leads to, by the class of a byte and by rule. */
  private targetsOf(state: number, classOf: Uint8Array, numClasses: number) {
    const byClass: (number[] | undefined)[] = new Array(numClasses);
    let byRule: Map<number, number[]> | undefined;
    for (const place of this.sets[state]) {
      const { bytes, calls } = this.nfa.places[place];
      for (let i = 0; i < bytes.length; i += 3)
        for (let of = classOf[bytes[i]]; of <= classOf[bytes[i + 1]]; of++) {
          const targets = byClass[of];
          if (targets) targets.push(bytes[i + 2]);
          else byClass[of] = [bytes[i + 2]];
        }
      for (let i = 0; i < calls.length; i += 2) {
        byRule ??= new Map();
        const targets = byRule.get(calls[i]) ?? [];
        targets.push(calls[i + 1]);
        byRule.set(calls[i], targets);
      }
    }
    return { byClass, byRule };
  }

  /** The state for all places that are reached from some without a byte. */
  private number(targets: readonly number[], isStart = false): number {
    if (targets.length > 1 || isStart) return this.numberOf(targets, isStart);
    // most bytes lead to one place
    const [target] = targets;
    if (this.stateOfPlace[target] < 0) this.stateOfPlace[target] = this.numberOf(targets, false);
    return this.stateOfPlace[target];
  }

  private numberOf(targets: readonly number[], isStart: boolean): number {
    const set = this.closure(targets, isStart, false);
    const key = (isStart ? "^" : "") + set.join();
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const state = this.sets.length;
    requireWithin("automatonStates", state + 1, this.where, "states of one automaton");
    this.numbers.set(key, state);
    this.sets.push(set);
    this.final.push(set.includes(this.end) || this.isFinalAtEnd(set, isStart) ? 1 : 0);
    return state;
  }

  /** Whether the end is reached from some places where the text is over. */
  private isFinalAtEnd(set: readonly number[], isStart: boolean): boolean {
    const { places } = this.nfa;
    const hasAnchor = set.some((place) => places[place].atEnd.length > 0);
    return hasAnchor && this.closure(set, isStart, true).includes(this.end);
  }

  private closure(targets: readonly number[], isAtStart: boolean, isAtEnd: boolean): number[] {
    const { marks, nfa } = this;
    const mark = ++this.mark;
    const set: number[] = [];
    const add = (place: number) => {
      if (marks[place] === mark) return;
      marks[place] = mark;
      set.push(place);
    };
    for (const place of targets) add(place);
    for (let i = 0; i < set.length; i++) {
      const { free, atStart, atEnd } = nfa.places[set[i]];
      for (const place of free) add(place);
      if (isAtStart) for (const place of atStart) add(place);
      if (isAtEnd) for (const place of atEnd) add(place);
    }
    this.work += set.length;
    if (this.work > grammarLimits.work)
      requireWithin("work", this.work, this.where, "places looked at to make one automaton");
    const telling = set.filter((place) => isTelling(nfa, place) || place === this.end);
    return telling.length > 1 ? telling.sort((a, b) => a - b) : telling;
  }
}

/** Whether anything but a step without a byte leads on from a place. */
function isTelling({ places }: Nfa, place: number): boolean {
  const { bytes, calls, atStart, atEnd } = places[place];
  return bytes.length + calls.length + atStart.length + atEnd.length > 0;
}
