import type { Automaton, MeasuredAutomaton } from "./dfa.ts";
import { Dfa } from "./dfa.ts";

/**
 * Fewest bytes from each state of each table to its end, Infinity where there is no end; undefined for automata that
 * say it themselves. Knuth 1977, A generalization of Dijkstra's algorithm: what a call takes is the distance of the
 * called rule's start, which is settled in its turn.
 */
export function distancesOf(automata: readonly (Automaton | MeasuredAutomaton)[]): (Float64Array | undefined)[] {
  return new Distances(automata).settle();
}

class Distances {
  private readonly automata: readonly (Automaton | MeasuredAutomaton)[];
  private readonly tables: (Float64Array | undefined)[];
  /** The first number of each rule's states, which are numbered through. */
  private readonly offsets: number[] = [];
  private readonly sources: Arrow[][] = [];
  /** Arrows that wait for a rule's length. */
  private readonly waiting: Arrow[][];
  private readonly queue = new Queue();

  constructor(automata: readonly (Automaton | MeasuredAutomaton)[]) {
    this.automata = automata;
    this.tables = automata.map((automaton) =>
      automaton instanceof Dfa ? new Float64Array(automaton.numStates).fill(Number.POSITIVE_INFINITY) : undefined,
    );
    this.waiting = automata.map(() => []);
    let offset = 0;
    for (const automaton of automata) {
      this.offsets.push(offset);
      if (automaton instanceof Dfa) offset += automaton.numStates;
    }
    for (let i = 0; i < offset; i++) this.sources.push([]);
    for (const [rule, automaton] of automata.entries()) if (automaton instanceof Dfa) this.collect(rule, automaton);
  }

  private collect(rule: number, dfa: Dfa): void {
    const offset = this.offsets[rule];
    for (let state = 0; state < dfa.numStates; state++) {
      for (let of = 0; of < dfa.numClasses; of++) {
        const to = dfa.next[state * dfa.numClasses + of];
        if (to >= 0) this.sources[offset + to].push({ rule, state, to, callee: -1 });
      }
      for (const { rule: callee, next: to } of dfa.calls(state)) {
        const arrow = { rule, state, to, callee };
        this.sources[offset + to].push(arrow);
        this.waiting[callee].push(arrow);
      }
      if (dfa.isFinal(state)) this.queue.push(0, rule, state);
    }
  }

  settle(): (Float64Array | undefined)[] {
    for (let entry = this.queue.pop(); entry; entry = this.queue.pop()) {
      const { bytes, rule, state } = entry;
      const table = this.tables[rule]!;
      if (bytes >= table[state]) continue;
      table[state] = bytes;
      for (const arrow of this.sources[this.offsets[rule] + state]) this.follow(arrow);
      if (state === this.automata[rule].start) for (const arrow of this.waiting[rule]) this.follow(arrow);
    }
    return this.tables;
  }

  private follow({ rule, state, to, callee }: Arrow): void {
    const rest = this.tables[rule]![to];
    const bytes = callee < 0 ? 1 + rest : this.lengthOf(callee) + rest;
    if (bytes < this.tables[rule]![state]) this.queue.push(bytes, rule, state);
  }

  private lengthOf(rule: number): number {
    const automaton = this.automata[rule];
    return this.tables[rule]?.[automaton.start] ?? (automaton as MeasuredAutomaton).distance(automaton.start);
  }
}

interface Arrow {
  rule: number;
  state: number;
  to: number;
  /** The rule that the arrow calls; -1 for a byte. */
  callee: number;
}

interface Entry {
  bytes: number;
  rule: number;
  state: number;
}

/** A heap, the fewest bytes first. */
class Queue {
  private readonly heap: Entry[] = [];

  push(bytes: number, rule: number, state: number): void {
    const { heap } = this;
    const entry = { bytes, rule, state };
    let at = heap.length;
    heap.push(entry);
    for (let parent = (at - 1) >> 1; at > 0 && heap[parent].bytes > bytes; parent = (at - 1) >> 1) {
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  pop(): Entry | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && heap[child + 1].bytes < heap[child].bytes) child++;
      if (heap[child].bytes >= last.bytes) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
