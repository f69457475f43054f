/** The steps of an automaton without calls. */
export interface StateTable {
  readonly numStates: number;
  readonly numClasses: number;
  /** The next state by state and class of a byte, -1 for none. */
  readonly next: Int32Array; // [states, classes]
}

/** Only automata of so many states are looked through, and for texts of at most so many bytes. */
const LEAST_STATES = 64;
const MOST_BYTES = 16;

/**
 * For each state of an automaton without calls the first one that texts of at most so many bytes do not tell from it,
 * nor the distances to the end behind them: as many rounds of the refinement of partitions (Moore 1956,
 * Gedanken-experiments on sequential machines). Counted repetitions have many states that differ only far away.
 * Undefined where it is not worth the work.
 */
export function alikeStates(table: StateTable, distances: ArrayLike<number>, numBytes: number): Int32Array | undefined {
  const { numStates } = table;
  if (numStates < LEAST_STATES || numBytes > MOST_BYTES) return undefined;
  const shapes = new Shapes(table);
  let classes = classesOf(distances);
  let count = 0;
  let refined = shapes.refined(classes);
  for (let round = 1; round < numBytes && refined.count > count && refined.count < numStates; round++) {
    ({ classes, count } = refined);
    refined = shapes.refined(classes);
  }
  return refined.first;
}

/** A number for each distance. That of final states is 0. */
function classesOf(distances: ArrayLike<number>): Int32Array {
  const numbers = new Map<number, number>();
  return Int32Array.from(distances, (distance) => {
    const known = numbers.get(distance) ?? numbers.size;
    numbers.set(distance, known);
    return known;
  });
}

/** States by their targets, each once, and by a number for which classes of bytes lead to which of them. */
class Shapes {
  private readonly shapes: Int32Array;
  private readonly targets: Int32Array;
  /** The first target of each state. */
  private readonly firstTarget: Int32Array;

  constructor({ numStates, numClasses, next }: StateTable) {
    this.shapes = new Int32Array(numStates);
    this.firstTarget = new Int32Array(numStates + 1);
    const targets: number[] = [];
    const numbers = new Map<string, number>();
    for (let state = 0; state < numStates; state++) {
      const order: number[] = [];
      const shape: number[] = [];
      for (let of = 0; of < numClasses; of++) {
        const target = next[state * numClasses + of];
        let place = target < 0 ? -1 : order.indexOf(target);
        if (target >= 0 && place < 0) place = order.push(target) - 1;
        shape.push(place + 1);
      }
      const name = String.fromCharCode(...shape);
      const number = numbers.get(name) ?? numbers.size;
      numbers.set(name, number);
      this.shapes[state] = number;
      targets.push(...order);
      this.firstTarget[state + 1] = targets.length;
    }
    this.targets = Int32Array.from(targets);
  }

  /**
   * Parts classes of states by the classes that they lead to: the new classes, the first state of the class of each
   * state, and how many classes there are.
   */
  refined(classes: Int32Array): { classes: Int32Array; first: Int32Array; count: number } {
    const numStates = classes.length;
    const size = 2 ** Math.ceil(Math.log2(2 * numStates));
    const slots = new Int32Array(size).fill(-1); // the first state of a class
    const first = new Int32Array(numStates);
    const parts = new Int32Array(numStates);
    let count = 0;
    for (let state = 0; state < numStates; state++) {
      let slot = this.hash(state, classes) & (size - 1);
      while (slots[slot] >= 0 && !this.areAlike(slots[slot], state, classes)) slot = (slot + 1) & (size - 1);
      if (slots[slot] < 0) {
        slots[slot] = state;
        parts[state] = count++;
      }
      first[state] = slots[slot];
      parts[state] = parts[first[state]];
    }
    return { classes: parts, first, count };
  }

  private hash(state: number, classes: Int32Array): number {
    let hash = Math.imul(this.shapes[state] ^ Math.imul(classes[state], 0x9e3779b1), 0x85ebca6b);
    for (let i = this.firstTarget[state]; i < this.firstTarget[state + 1]; i++)
      hash = Math.imul(hash ^ (hash >>> 15) ^ classes[this.targets[i]], 0xc2b2ae35);
    return hash ^ (hash >>> 13);
  }

  private areAlike(a: number, b: number, classes: Int32Array): boolean {
    if (this.shapes[a] !== this.shapes[b] || classes[a] !== classes[b]) return false;
    const [from, to] = [this.firstTarget[a], this.firstTarget[b]];
    for (let i = this.firstTarget[a + 1] - from - 1; i >= 0; i--)
      if (classes[this.targets[from + i]] !== classes[this.targets[to + i]]) return false;
    return true;
  }
}
