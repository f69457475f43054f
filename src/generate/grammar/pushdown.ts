import type { Grammar } from "./grammar.ts";
import { requireWithin } from "./limits.ts";

/** A state of a rule's automaton, and what comes once the rule is over. */
export interface Item {
  readonly rule: number;
  readonly state: number;
  readonly caller: Continuation;
}

/** What may come after a rule: states of the rules that called it. */
export interface Continuation {
  readonly id: number;
  readonly returns: readonly Item[];
  /** Whether the whole text may end there. */
  readonly endsText: boolean;
  /** Whether it is unknown what comes: that of a rule that is looked at by itself. */
  readonly isOpen: boolean;
  /** Fewest bytes from there to the end of the text. */
  readonly numBytes: number;
}

/**
 * All that a text so far may be: sets of places with their stacks, in which common parts of stacks are there once.
 * States that are the same are one object, as long as it is remembered.
 */
export interface ParseState {
  /** Places from which bytes lead on, but for those inside rules that they call next. */
  readonly kernel: readonly Item[];
  /** All places from which bytes lead on. */
  readonly items: readonly Item[];
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** Whether a rule that is looked at by itself may end here. */
  readonly endsRule: boolean;
  /** Fewest bytes to the end of the text. */
  readonly numBytes: number;
  /** The state after a byte of each class, null for none, undefined where it is not worked out yet. */
  readonly next: (ParseState | null | undefined)[];
}

/** Most places of states and of what comes after rules that are remembered; one takes some 100 bytes. */
const MOST_REMEMBERED = 400_000;
/** What a state or a continuation takes beside its places, in places. */
const BASE = 4;

/**
 * Reads texts by a grammar, byte by byte: a pushdown automaton, made deterministic as far as texts have led. Stacks are
 * graphs, as in generalized LR parsing (Tomita 1986): rules that are called at the same place return to the same
 * continuation, so that ambiguity costs no more than the places that there are.
 */
export class Pushdown {
  readonly grammar: Grammar;
  readonly start: ParseState;
  private readonly offsets: readonly number[];
  private readonly bytesOfClass: Uint8Array;
  private readonly states = new Map<string, ParseState>();
  private readonly continuations = new Map<string, Continuation>();
  private readonly afters = new WeakMap<Continuation, ParseState>();
  private numContinuations = 0;
  /** Places that were looked at so far: a measure of work. */
  work = 0;
  /** Places that are remembered: a measure of memory. */
  remembered = 0;
  /** How often all that was remembered was let go. */
  numForgotten = 0;
  private readonly open: Continuation;

  constructor(grammar: Grammar) {
    this.grammar = grammar;
    let offset = 0;
    this.offsets = grammar.automata.map(({ numStates }) => {
      offset += numStates;
      return offset - numStates;
    });
    this.bytesOfClass = new Uint8Array(grammar.numClasses);
    for (let byte = 255; byte >= 0; byte--) this.bytesOfClass[grammar.classOf[byte]] = byte;
    this.open = this.continuation([], false, true);
    const end = this.continuation([], true, false);
    const { root, isNullable } = grammar;
    this.start = this.settle([{ rule: root, state: grammar.automata[root].start, caller: end }], isNullable)!;
  }

  /** The state after a byte; null when no text goes on so. */
  step(state: ParseState, byte: number): ParseState | null {
    const of = this.grammar.classOf[byte];
    const known = state.next[of];
    return known === undefined ? this.stepClass(state, of) : known;
  }

  /** The same by the class of the byte, worked out and remembered. */
  stepClass(state: ParseState, of: number): ParseState | null {
    const byte = this.bytesOfClass[of];
    const moved: Item[] = [];
    for (const { rule, state: from, caller } of state.items) {
      const to = this.grammar.automata[rule].step(from, byte);
      if (to >= 0) moved.push({ rule, state: to, caller });
    }
    const next = moved.length === 0 ? null : this.settle(moved, false);
    state.next[of] = next;
    return next;
  }

  /** The byte that must follow; undefined where there are several, or the text may end. */
  onlyByte(state: ParseState): number | undefined {
    if (state.mayEnd) return undefined;
    let only: number | undefined;
    for (let byte = 0; byte < 256; byte++) {
      if (this.step(state, byte) === null) continue;
      if (only !== undefined) return undefined;
      only = byte;
    }
    return only;
  }

  /** The state before a place, as if nothing were known of what called its rule. */
  alone(rule: number, state: number): ParseState {
    return this.settle([{ rule, state, caller: this.open }], false)!;
  }

  /** The state of a text when the rule that it is in is over. */
  after(continuation: Continuation): ParseState {
    let state = this.afters.get(continuation);
    if (!state) {
      state = this.settle(continuation.returns, continuation.endsText)!;
      this.afters.set(continuation, state);
    }
    return state;
  }

  /** The number of a place, over all rules. */
  placeOf(rule: number, state: number): number {
    return this.offsets[rule] + state;
  }

  /** Goes from places to all that are reached without a byte: to callers of what is over, into rules that begin. */
  private settle(moved: readonly Item[], mayEnd: boolean): ParseState {
    const { automata } = this.grammar;
    const seen = new Map<string, Item>();
    const add = (item: Item) => {
      const key = `${this.placeOf(item.rule, item.state)}:${item.caller.id}`;
      if (!seen.has(key)) seen.set(key, item);
    };
    for (const item of moved) add(item);
    let endsText = mayEnd;
    let endsRule = false;
    let numReadings = 0;
    for (const { rule, state, caller } of seen.values()) {
      if (!automata[rule].isFinal(state)) continue;
      endsText ||= caller.endsText;
      endsRule ||= caller.isOpen;
      for (const item of caller.returns) add(item);
      numReadings += caller.returns.length;
      requireWithin("readings", numReadings, "a grammar", "ways to read a text so far");
    }
    this.work += seen.size + numReadings;
    requireWithin("textPlaces", seen.size, "a grammar", "places that a text so far may be at");
    const kernel = [...seen].filter(([, item]) => this.leadsOn(item)).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${endsText ? "e" : ""}${endsRule ? "r" : ""}|${kernel.map(([name]) => name).join()}`;
    const known = this.states.get(key);
    if (known) return known;
    if (this.remembered >= MOST_REMEMBERED) this.forget();
    const items = kernel.map(([, item]) => item);
    const all = this.withCalled(items);
    this.remembered += BASE + items.length + all.length + this.grammar.numClasses / 16;
    const state: ParseState = {
      kernel: items,
      items: all,
      mayEnd: endsText,
      endsRule,
      numBytes: endsText ? 0 : this.fewestBytes(items),
      next: new Array(this.grammar.numClasses),
    };
    this.states.set(key, state);
    return state;
  }

  /** Lets states go that no text is in any more. */
  private forget(): void {
    for (const { next } of this.states.values()) next.fill(undefined);
    this.states.clear();
    this.continuations.clear();
    this.remembered = 0;
    this.numForgotten++;
  }

  private leadsOn({ rule, state }: Item): boolean {
    const automaton = this.grammar.automata[rule];
    return !automaton.isFinal(state) || automaton.calls(state).length > 0 || automaton.hasBytes(state);
  }

  private fewestBytes(items: readonly Item[]): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { rule, state, caller } of items)
      least = Math.min(least, this.grammar.distance(rule, state) + caller.numBytes);
    return least;
  }

  /** Places, and those inside the rules that they call; a rule goes after all that call it here. */
  private withCalled(kernel: readonly Item[]): Item[] {
    const { automata, rank } = this.grammar;
    const items = [...kernel];
    const callers = new Map<number, Item[]>();
    const waiting: number[] = []; // rules by rank, the lowest last
    const enlist = ({ rule, state, caller }: Item) => {
      for (const { rule: callee, next } of automata[rule].calls(state)) {
        let list = callers.get(callee);
        if (!list) {
          list = [];
          callers.set(callee, list);
          insertByRank(waiting, callee, rank);
        }
        list.push({ rule, state: next, caller });
        this.work++;
      }
    };
    for (const item of kernel) enlist(item);
    for (let rule = waiting.pop(); rule !== undefined; rule = waiting.pop()) {
      const item = { rule, state: automata[rule].start, caller: this.returningTo(callers.get(rule)!) };
      items.push(item);
      requireWithin("textPlaces", items.length, "a grammar", "places that a text so far may be at");
      enlist(item);
    }
    this.work += items.length;
    return items.filter(({ rule, state }) => automata[rule].hasBytes(state));
  }

  /** The continuation of a rule that was called at some places. One that ends there too is replaced by its own. */
  private returningTo(callers: readonly Item[]): Continuation {
    const returns = new Map<string, Item>();
    let endsText = false;
    let isOpen = false;
    const add = (item: Item) => returns.set(`${this.placeOf(item.rule, item.state)}:${item.caller.id}`, item);
    let last: Continuation | undefined;
    for (const item of callers) {
      if (this.leadsOn(item)) {
        add(item);
        continue;
      }
      last = item.caller;
      endsText ||= last.endsText;
      isOpen ||= last.isOpen;
      for (const outer of last.returns) add(outer);
    }
    if (last && callers.length === 1) return last;
    const sorted = [...returns].sort(([a], [b]) => (a < b ? -1 : 1));
    return this.continuation(
      sorted.map(([, item]) => item),
      endsText,
      isOpen,
      sorted.map(([name]) => name).join(),
    );
  }

  private continuation(returns: readonly Item[], endsText: boolean, isOpen: boolean, names = ""): Continuation {
    const key = `${endsText ? "e" : ""}${isOpen ? "o" : ""}|${names}`;
    const known = this.continuations.get(key);
    if (known) return known;
    const numBytes = endsText || isOpen ? 0 : this.fewestBytes(returns);
    this.remembered += BASE + 2 * returns.length;
    const continuation = { id: this.numContinuations++, returns, endsText, isOpen, numBytes };
    this.continuations.set(key, continuation);
    return continuation;
  }
}

/** Whether a text as a whole is one of a grammar's. */
export function matchesGrammar(grammar: Grammar, text: string): boolean {
  const pushdown = new Pushdown(grammar);
  let state: ParseState | null = pushdown.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = pushdown.step(state, byte);
    if (state === null) return false;
  }
  return state.mayEnd;
}

/** Puts a rule into a list, the largest rank first. */
function insertByRank(list: number[], rule: number, rank: ArrayLike<number>): void {
  let at = list.length;
  while (at > 0 && rank[list[at - 1]] < rank[rule]) at--;
  list.splice(at, 0, rule);
}
