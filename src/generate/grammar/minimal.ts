import { type Call, Dfa } from "./dfa.ts";

/** The automaton without states that are not reached, or from which no end is. `isEmpty` tells rules without texts. */
export function trimmed(dfa: Dfa, isEmpty: (rule: number) => boolean = () => false): Dfa {
  const { from, letter, to } = arrowsOf(dfa);
  const isOpen = letter.map((of) => of < dfa.numClasses || !isEmpty(of - dfa.numClasses));
  const leaving = arrowsBy(from, dfa.numStates);
  const arriving = arrowsBy(to, dfa.numStates);
  const spread = (starts: readonly number[], { first, arrows }: ArrowIndex, ends: readonly number[]) => {
    const seen = new Uint8Array(dfa.numStates);
    const open = [...starts];
    for (const state of open) seen[state] = 1;
    for (let state = open.pop(); state !== undefined; state = open.pop())
      for (let i = first[state]; i < first[state + 1]; i++) {
        const end = ends[arrows[i]];
        if (!isOpen[arrows[i]] || seen[end]) continue;
        seen[end] = 1;
        open.push(end);
      }
    return seen;
  };
  const states = Array.from({ length: dfa.numStates }, (_, state) => state);
  const reached = spread([dfa.start], leaving, to);
  const alive = spread(
    states.filter((state) => dfa.isFinal(state)),
    arriving,
    from,
  );
  alive[dfa.start] = 1;
  const kept = states.filter((state) => reached[state] && alive[state]);
  const numbers = new Int32Array(dfa.numStates).fill(-1);
  for (const [i, state] of kept.entries()) numbers[state] = i;
  return renumbered(dfa, kept, numbers, isEmpty);
}

/** An automaton of some states, whose targets have new numbers; a target without one is none. */
function renumbered(
  dfa: Dfa,
  states: readonly number[],
  numbers: Int32Array,
  isEmpty: (rule: number) => boolean = () => false,
): Dfa {
  const { numClasses } = dfa;
  const next = new Int32Array(states.length * numClasses).fill(-1);
  const callsOf = new Map<number, Call[]>();
  for (const [i, state] of states.entries()) {
    for (let of = 0; of < numClasses; of++) {
      const to = dfa.next[state * numClasses + of];
      if (to >= 0) next[i * numClasses + of] = numbers[to];
    }
    const calls = dfa
      .calls(state)
      .filter(({ rule, next: to }) => !isEmpty(rule) && numbers[to] >= 0)
      .map(({ rule, next: to }) => ({ rule, next: numbers[to] }));
    if (calls.length > 0) callsOf.set(i, calls);
  }
  const final = Uint8Array.from(states, (state) => dfa.final[state]);
  return new Dfa({ start: numbers[dfa.start], classOf: dfa.classOf, numClasses, next, final, callsOf });
}

/**
 * The smallest automaton of the same texts; the states of `dfa` must all be of use (`trimmed`). Partitions are refined
 * by the arrows that exist alone, in time of their number and its logarithm. Valmari and Lehtinen 2008, Efficient
 * minimization of DFAs with partial transition functions.
 */
export function minimized(dfa: Dfa): Dfa {
  const { from, letter, to } = arrowsOf(dfa);
  const numStates = dfa.numStates;
  const blocks = new Partition(numStates);
  for (let state = 0; state < numStates; state++) if (dfa.isFinal(state)) blocks.mark(state);
  blocks.split();
  const cords = new Partition(letter.length, letter);
  const arriving = arrowsBy(to, numStates);
  for (let block = 1, cord = 0; cord < cords.count; cord++) {
    for (const arrow of cords.members(cord)) blocks.mark(from[arrow]);
    blocks.split();
    for (; block < blocks.count; block++) {
      for (const state of blocks.members(block))
        for (let i = arriving.first[state]; i < arriving.first[state + 1]; i++) cords.mark(arriving.arrows[i]);
      cords.split();
    }
  }
  const leaders = Array.from({ length: blocks.count }, (_, block) => blocks.members(block)[0]);
  return renumbered(dfa, leaders, blocks.blockOf);
}

/** Arrows by number: where they begin, their letter (a class of bytes, or a rule behind those), where they end. */
function arrowsOf(dfa: Dfa): { from: number[]; letter: number[]; to: number[] } {
  const from: number[] = [];
  const letter: number[] = [];
  const to: number[] = [];
  const add = (state: number, of: number, target: number) => {
    from.push(state);
    letter.push(of);
    to.push(target);
  };
  for (let state = 0; state < dfa.numStates; state++) {
    for (let of = 0; of < dfa.numClasses; of++) {
      const target = dfa.next[state * dfa.numClasses + of];
      if (target >= 0) add(state, of, target);
    }
    for (const { rule, next } of dfa.calls(state)) add(state, dfa.numClasses + rule, next);
  }
  return { from, letter, to };
}

interface ArrowIndex {
  readonly first: Int32Array;
  readonly arrows: Int32Array;
}

/** Arrows by a state of each: those of a state are from its first to before the next one's. */
function arrowsBy(stateOf: readonly number[], numStates: number): ArrowIndex {
  const first = new Int32Array(numStates + 1);
  for (const state of stateOf) first[state + 1]++;
  for (let state = 0; state < numStates; state++) first[state + 1] += first[state];
  const free = first.slice();
  const arrows = new Int32Array(stateOf.length);
  for (const [arrow, state] of stateOf.entries()) arrows[free[state]++] = arrow;
  return { first, arrows };
}

/** Things in blocks, which are split by marking some of their members. */
class Partition {
  count = 0;
  readonly blockOf: Int32Array;
  private readonly order: Int32Array;
  private readonly placeOf: Int32Array;
  private readonly first: number[] = [];
  private readonly end: number[] = [];
  private readonly marked: number[] = [];
  private touched: number[] = [];

  /** Of `size` things; those of a kind are a block. @default one block */
  constructor(size: number, kinds?: readonly number[]) {
    this.order = Int32Array.from({ length: size }, (_, i) => i);
    if (kinds) this.order.sort((a, b) => kinds[a] - kinds[b]);
    this.placeOf = new Int32Array(size);
    this.blockOf = new Int32Array(size);
    for (let place = 0; place < size; place++) {
      const thing = this.order[place];
      this.placeOf[thing] = place;
      if (place === 0 || (kinds && kinds[thing] !== kinds[this.order[place - 1]])) this.open(place);
      this.end[this.count - 1] = place + 1;
      this.blockOf[thing] = this.count - 1;
    }
  }

  private open(place: number): void {
    this.first.push(place);
    this.end.push(place);
    this.marked.push(0);
    this.count++;
  }

  members(block: number): Int32Array {
    return this.order.slice(this.first[block], this.end[block]);
  }

  mark(thing: number): void {
    const block = this.blockOf[thing];
    const place = this.placeOf[thing];
    const border = this.first[block] + this.marked[block];
    if (place < border) return;
    const other = this.order[border];
    this.order[place] = other;
    this.placeOf[other] = place;
    this.order[border] = thing;
    this.placeOf[thing] = border;
    if (this.marked[block]++ === 0) this.touched.push(block);
  }

  /** Parts the marked things of each block from the others; the smaller part is the new block. */
  split(): void {
    for (const block of this.touched) {
      const [first, end] = [this.first[block], this.end[block]];
      const border = first + this.marked[block];
      this.marked[block] = 0;
      if (border === end) continue;
      const isSmaller = border - first <= end - border;
      this.open(isSmaller ? first : border);
      const fresh = this.count - 1;
      this.end[fresh] = isSmaller ? border : end;
      if (isSmaller) this.first[block] = border;
      else this.end[block] = border;
      for (let place = this.first[fresh]; place < this.end[fresh]; place++) this.blockOf[this.order[place]] = fresh;
    }
    this.touched = [];
  }
}
