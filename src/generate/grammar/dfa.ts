/** A step of an automaton that takes what a rule describes, in place of one byte. */
export interface Call {
  readonly rule: number;
  readonly next: number;
}

/** What recognises the texts of one rule, byte by byte. States are numbers; -1 is the one that leads nowhere. */
export interface Automaton {
  readonly start: number;
  /** States are below it. */
  readonly numStates: number;
  step(state: number, byte: number): number;
  isFinal(state: number): boolean;
  calls(state: number): readonly Call[];
  /** Whether any state calls a rule. */
  readonly hasCalls: boolean;
  /** Whether a byte leads on from a state. */
  hasBytes(state: number): boolean;
  /** The first bytes of runs of bytes with which all states do the same. */
  byteEdges(): readonly number[];
}

/** An automaton without calls that knows its distances. */
export interface MeasuredAutomaton extends Automaton {
  /** Fewest bytes from a state to the end. */
  distance(state: number): number;
  /** A state that texts of at most so many bytes cannot tell from this one, nor the distances behind them. */
  alike(state: number, numBytes: number): number;
  /** What tells apart states of any automata that texts of so many bytes, and distances behind them, tell apart. */
  nameOf(state: number, numBytes: number): string;
  /** The automaton of those texts that are also in a language of characters. */
  within(allowed: Dfa, intersection: (a: Dfa, b: Dfa) => Dfa): MeasuredAutomaton | Dfa;
}

const noCalls: readonly Call[] = [];

/** The parts of a Dfa. */
export interface DfaParts {
  readonly start: number;
  /** The class of each byte: bytes of a class do the same in every state. */
  readonly classOf: Uint8Array; // [256]
  readonly numClasses: number;
  /** The next state by state and class, -1 for none. */
  readonly next: Int32Array; // [states, classes]
  readonly final: Uint8Array; // [states]
  /** Calls of states that have some. */
  readonly callsOf?: ReadonlyMap<number, readonly Call[]>;
}

/** A deterministic automaton as a table, in which rules are letters too. */
export class Dfa implements Automaton {
  readonly start: number;
  readonly numStates: number;
  readonly numClasses: number;
  readonly classOf: Uint8Array;
  readonly next: Int32Array;
  readonly final: Uint8Array;
  readonly callsOf: ReadonlyMap<number, readonly Call[]>;

  constructor({ start, classOf, numClasses, next, final, callsOf = new Map() }: DfaParts) {
    this.start = start;
    this.classOf = classOf;
    this.numClasses = numClasses;
    this.next = next;
    this.final = final;
    this.callsOf = callsOf;
    this.numStates = final.length;
  }

  step(state: number, byte: number): number {
    return this.next[state * this.numClasses + this.classOf[byte]];
  }

  isFinal(state: number): boolean {
    return this.final[state] === 1;
  }

  calls(state: number): readonly Call[] {
    return this.callsOf.get(state) ?? noCalls;
  }

  hasBytes(state: number): boolean {
    const end = (state + 1) * this.numClasses;
    for (let i = state * this.numClasses; i < end; i++) if (this.next[i] >= 0) return true;
    return false;
  }

  get hasCalls(): boolean {
    return this.callsOf.size > 0;
  }

  byteEdges(): readonly number[] {
    const edges: number[] = [];
    for (let byte = 0; byte < 256; byte++)
      if (byte === 0 || this.classOf[byte] !== this.classOf[byte - 1]) edges.push(byte);
    return edges;
  }
}

/** The classes of bytes that begin at some edges: the class of each byte, and how many there are. */
export function byteClasses(edges: Iterable<number>): { classOf: Uint8Array; numClasses: number } {
  const begins = new Uint8Array(256);
  for (const byte of edges) if (byte < 256) begins[byte] = 1;
  const classOf = new Uint8Array(256);
  let last = 0;
  for (let byte = 1; byte < 256; byte++) {
    last += begins[byte];
    classOf[byte] = last;
  }
  return { classOf, numClasses: last + 1 };
}
