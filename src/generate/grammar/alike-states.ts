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
  const { shapes, targets, numShapes } = shapesOf(table);
  let classes = classesOf(distances);
  let count = 0;
  for (let round = 0; round < numBytes; round++) {
    const numbers = new Map<number, number>();
    const refined = new Int32Array(numStates);
    const pairs = new Pairs(numShapes, numStates);
    for (let state = 0; state < numStates; state++) {
      let name = pairs.number(shapes[state], classes[state]);
      for (const target of targets[state]) name = pairs.number(name, classes[target]);
      const known = numbers.get(name) ?? numbers.size;
      numbers.set(name, known);
      refined[state] = known;
    }
    classes = refined;
    if (numbers.size === count || numbers.size === numStates) break;
    count = numbers.size;
  }
  const first = new Int32Array(numStates).fill(-1);
  return classes.map((of, state) => {
    if (first[of] < 0) first[of] = state;
    return first[of];
  });
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

/** Numbers lists by numbering pairs: each pair that is new gets the next number above those that lists begin with. */
class Pairs {
  private readonly numbers = new Map<number, number>();
  private readonly numFirst: number;
  private readonly width: number;

  constructor(numFirst: number, width: number) {
    this.numFirst = numFirst;
    this.width = width;
  }

  number(first: number, second: number): number {
    const key = first * this.width + second;
    const known = this.numbers.get(key) ?? this.numFirst + this.numbers.size;
    this.numbers.set(key, known);
    return known;
  }
}

/** For each state its targets, each once, and a number for which classes of bytes lead to which of them. */
function shapesOf({ numStates, numClasses, next }: StateTable) {
  const shapes = new Int32Array(numStates);
  const targets: (readonly number[])[] = [];
  const numbers = new Map<string, number>();
  for (let state = 0; state < numStates; state++) {
    const order: number[] = [];
    let shape = "";
    for (let of = 0; of < numClasses; of++) {
      const target = next[state * numClasses + of];
      let place = target < 0 ? -1 : order.indexOf(target);
      if (target >= 0 && place < 0) place = order.push(target) - 1;
      shape += `${place},`;
    }
    const number = numbers.get(shape) ?? numbers.size;
    numbers.set(shape, number);
    shapes[state] = number;
    targets.push(order);
  }
  return { shapes, targets, numShapes: numbers.size };
}
