import type { ForcedWords } from "./hypotheses.ts";

/** Sequences of which one is to be in a text, as a tree of their tokens. */
export interface Constraint {
  root: TokenTree;
  /** Tokens of the longest. */
  height: number;
}

type TokenTree = Map<number, TokenTree>;

export function constraintOf(words: ForcedWords): Constraint {
  const sequences = (Array.isArray(words[0]) ? words : [words]) as readonly (readonly number[])[];
  const root: TokenTree = new Map();
  for (const sequence of sequences) {
    let node = root;
    for (const id of sequence) {
      const next: TokenTree = node.get(id) ?? new Map();
      node.set(id, next);
      node = next;
    }
  }
  return { root, height: Math.max(...sequences.map(({ length }) => length)) };
}

/** Whether one of the sequences is the beginning of another: it would not be known which one is meant. */
export function hasBeginnings(words: ForcedWords): boolean {
  if (!Array.isArray(words[0])) return false;
  const sequences = words as readonly (readonly number[])[];
  return sequences.some((sequence, i) =>
    sequences.some((other, j) => i !== j && sequence.every((id, place) => other[place] === id)),
  );
}

/**
 * How far a text is with its constraints. One is followed at a time, from its first token to its last; a token that
 * does not go on with it has it begin anew.
 */
export class ConstraintProgress {
  private completed = 0;
  private pending: readonly Constraint[];
  private current: { constraint: Constraint; node: TokenTree; depth: number } | undefined;
  private readonly constraints: readonly Constraint[];

  constructor(constraints: readonly Constraint[], ids: readonly number[] = []) {
    this.constraints = constraints;
    this.pending = constraints;
    for (const id of ids) this.add(id);
  }

  get isComplete(): boolean {
    return this.completed === this.constraints.length;
  }

  /** How far it is, in tokens of the longest constraint: texts are compared with those that are as far. */
  get bank(): number {
    const longest = Math.max(...this.constraints.map(({ height }) => height));
    const { current } = this;
    return this.completed * longest + (current ? longest - (current.constraint.height - current.depth) : 0);
  }

  /** Tokens that would bring it further. */
  nextTokens(): number[] {
    if (this.current) return [...this.current.node.keys()];
    return this.pending.flatMap(({ root }) => [...root.keys()]);
  }

  add(id: number): void {
    if (this.current) {
      const { constraint, node, depth } = this.current;
      const next = node.get(id);
      this.current = undefined;
      if (next) this.step(constraint, next, depth + 1);
      else this.pending = [...this.pending, constraint];
      return;
    }
    const constraint = this.pending.find(({ root }) => root.has(id));
    if (!constraint) return;
    this.pending = this.pending.filter((one) => one !== constraint);
    this.step(constraint, constraint.root.get(id) as TokenTree, 1);
  }

  private step(constraint: Constraint, node: TokenTree, depth: number): void {
    if (node.size === 0) this.completed++;
    else this.current = { constraint, node, depth };
  }
}
