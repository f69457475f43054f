import type { Node } from "../ir/index.ts";

/** Bits of a number on which JavaScript's operators work. */
const WORD = 32;

/**
 * Which of some nodes others need, directly or through more nodes: for all of them at once, 32 at a time as the bits of
 * a number that each node hands on to those who read it. A training step asks it of thousands.
 */
export class Ancestors {
  private readonly bits = new Map<Node, Uint32Array>();
  private readonly places = new Map<Node, number>();

  /**
   * @param nodes all of them, inputs before those who read them
   * @param candidates that are asked for
   * @param descendants of which it is asked
   */
  constructor(nodes: readonly Node[], candidates: Iterable<Node>, descendants: Iterable<Node>) {
    const index = new Map(nodes.map((node, i) => [node, i] as const));
    const inputs = nodes.map((node) => [...new Set(node.inputs.map((input) => index.get(input.node) as number))]);
    const marked = [...new Set(candidates)].filter((node) => index.has(node));
    for (const [place, node] of marked.entries()) this.places.set(node, place);
    const words = Math.ceil(marked.length / WORD);
    for (const node of descendants) this.bits.set(node, new Uint32Array(words));
    for (let word = 0; word < words; word++) {
      const marks = new Uint32Array(nodes.length);
      for (const [bit, node] of marked.slice(word * WORD, (word + 1) * WORD).entries())
        marks[index.get(node) as number] = 2 ** bit;
      const needed = new Uint32Array(nodes.length);
      for (let i = 0; i < nodes.length; i++) for (const j of inputs[i]) needed[i] |= needed[j] | marks[j];
      for (const [node, row] of this.bits) row[word] = needed[index.get(node) as number];
    }
  }

  /** Whether one of the candidates is needed for one of the descendants. */
  has(candidate: Node, descendant: Node): boolean {
    const place = this.places.get(candidate);
    const row = this.bits.get(descendant);
    return place !== undefined && row !== undefined && ((row[Math.floor(place / WORD)] >>> (place % WORD)) & 1) === 1;
  }
}
