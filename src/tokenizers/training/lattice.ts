/**
 * All ways to write a word with the pieces of a vocabulary, and what a unigram model makes of them. Kudo 2018,
 * arXiv:1804.10959, section 3.2.
 */

/** A piece at a place in a word. */
interface LatticeNode {
  id: number;
  /** First code point, and the one after the last. */
  start: number;
  end: number;
  score: number;
}

/** Pieces with their scores, found from any place of a word. */
export class PieceTrie {
  private readonly nexts: Map<number, number>[] = [new Map()];
  private readonly ids: number[] = [-1];
  private readonly scores: readonly number[];
  private readonly unknownScore: number;

  /** Piece 0 stands for what is unknown, whatever its text. Scores are natural logarithms. */
  constructor(pieces: readonly (readonly number[])[], scores: readonly number[]) {
    this.scores = scores;
    let least = Number.POSITIVE_INFINITY;
    for (const [id, piece] of pieces.entries()) {
      if (id === 0) continue;
      if (scores[id] < least) least = scores[id];
      let node = 0;
      for (const point of piece) {
        let next = this.nexts[node].get(point);
        if (next === undefined) {
          next = this.nexts.push(new Map()) - 1;
          this.ids.push(-1);
          this.nexts[node].set(point, next);
        }
        node = next;
      }
      this.ids[node] = id;
    }
    this.unknownScore = least - UNKNOWN_PENALTY;
  }

  latticeOf(word: readonly number[]): Lattice {
    const lattice = new Lattice(word.length);
    for (let start = 0; start < word.length; start++) {
      let node = 0;
      let hasSingle = false;
      for (let end = start; end < word.length; end++) {
        const next = this.nexts[node].get(word[end]);
        if (next === undefined) break;
        node = next;
        const id = this.ids[node];
        if (id < 0) continue;
        lattice.insert({ id, start, end: end + 1, score: this.scores[id] });
        if (end === start) hasSingle = true;
      }
      if (!hasSingle) lattice.insert({ id: 0, start, end: start + 1, score: this.unknownScore });
    }
    return lattice;
  }
}

/** What a character without a piece of its own costs more than the least likely piece. */
const UNKNOWN_PENALTY = 10;

export class Lattice {
  readonly length: number;
  private readonly nodes: LatticeNode[] = [];
  private readonly begins: number[][];
  private readonly ends: number[][];

  constructor(length: number) {
    this.length = length;
    this.begins = Array.from({ length: length + 1 }, () => []);
    this.ends = Array.from({ length: length + 1 }, () => []);
  }

  insert(node: LatticeNode): void {
    const at = this.nodes.push(node) - 1;
    this.begins[node.start].push(at);
    this.ends[node.end].push(at);
  }

  /**
   * How often each piece is expected in the word, times `count`, is added to `expected`; -> the logarithm of the word's
   * probability.
   */
  addExpected(count: number, expected: Float64Array): number {
    const { nodes, begins, ends, length } = this;
    const alpha = new Float64Array(nodes.length);
    const beta = new Float64Array(nodes.length);
    for (let at = 0; at < length; at++) {
      for (const node of begins[at]) {
        if (at > 0) alpha[node] = logSum(ends[at], (before) => nodes[before].score + alpha[before]);
      }
    }
    for (let at = length; at > 0; at--) {
      for (const node of ends[at]) {
        if (at < length) beta[node] = logSum(begins[at], (after) => nodes[after].score + beta[after]);
      }
    }
    const total = logSum(ends[length], (last) => nodes[last].score + alpha[last]);
    for (let node = 0; node < nodes.length; node++)
      expected[nodes[node].id] += count * Math.exp(alpha[node] + nodes[node].score + beta[node] - total);
    return total;
  }

  /** The likeliest way: ids of its pieces. At ties the longest last piece. */
  best(): number[] {
    const { bestNodes } = this.forward();
    const path: number[] = [];
    for (let at = this.length; at > 0; ) {
      const node = this.nodes[bestNodes[at]];
      path.push(node.id);
      at = node.start;
    }
    return path.reverse();
  }

  /** For each place the best node that ends there, and the score of the best way to it. */
  private forward(): { bestNodes: Int32Array; scores: Float64Array } {
    const bestNodes = new Int32Array(this.length + 1).fill(-1);
    const scores = new Float64Array(this.length + 1).fill(Number.NEGATIVE_INFINITY);
    scores[0] = 0;
    for (let at = 1; at <= this.length; at++) {
      for (const node of this.ends[at]) {
        const score = this.nodes[node].score + scores[this.nodes[node].start];
        if (score <= scores[at]) continue;
        scores[at] = score;
        bestNodes[at] = node;
      }
    }
    return { bestNodes, scores };
  }

  /** The two likeliest ways, by a search from the end that knows the best score up to every place. */
  bestTwo(): number[][] {
    const { scores } = this.forward();
    const agenda = new Agenda();
    agenda.push({ node: -1, start: this.length, next: undefined, total: 0, behind: 0 });
    const ways: number[][] = [];
    for (let top = agenda.pop(); top; top = agenda.pop()) {
      if (top.start === 0 && top.node >= 0) {
        const way: number[] = [];
        for (let step: Hypothesis | undefined = top; step && step.node >= 0; step = step.next)
          way.push(this.nodes[step.node].id);
        ways.push(way);
        if (ways.length === 2) break;
        continue;
      }
      for (const node of this.ends[top.start]) {
        const { start, score } = this.nodes[node];
        const behind = score + top.behind;
        // scores at a place are sums from the left: the same numbers in the same order as the best way's
        agenda.push({ node, start, next: top, total: score + scores[start] + top.behind, behind });
      }
    }
    return ways;
  }
}

/** A way from a node to the end. */
interface Hypothesis {
  node: number;
  start: number;
  next: Hypothesis | undefined;
  /** Score of the best whole way through it, and of the part behind. */
  total: number;
  behind: number;
}

/**
 * Hypotheses by their totals, the largest first. Which of equal ones comes first decides between vocabularies, so this
 * is the reference's heap: of four children each, in which an item is put before an equal one.
 */
class Agenda {
  private readonly items: Hypothesis[] = [];

  push(item: Hypothesis): void {
    this.items.push(item);
    this.up(this.items.length - 1);
  }

  pop(): Hypothesis | undefined {
    const { items } = this;
    const last = items.pop();
    if (items.length === 0 || !last) return last;
    const top = items[0];
    let at = 0;
    for (let child = 1; child < items.length; child = 4 * at + 1) {
      let best = child;
      for (let other = child + 1; other < Math.min(child + 4, items.length); other++)
        if (items[other].total > items[best].total) best = other;
      items[at] = items[best];
      at = best;
    }
    items[at] = last;
    this.up(at);
    return top;
  }

  private up(from: number): void {
    const { items } = this;
    const item = items[from];
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      if (item.total < items[parent].total) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }
}

/** Beyond this, the smaller of two terms does not count. */
const NEGLIGIBLE = 50;

function logSum(nodes: readonly number[], of: (node: number) => number): number {
  let sum = of(nodes[0]);
  for (let i = 1; i < nodes.length; i++) {
    const term = of(nodes[i]);
    const [low, high] = sum < term ? [sum, term] : [term, sum];
    sum = high > low + NEGLIGIBLE ? high : high + Math.log(Math.exp(low - high) + 1);
  }
  return sum;
}
