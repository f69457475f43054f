import { OptionError } from "../../base/index.ts";
import type { Grammar } from "./grammar.ts";
import type { LocalTokens } from "./local-tokens.ts";
import { type Item, type ParseState, Pushdown } from "./pushdown.ts";
import { restrictedTo } from "./restricted.ts";
import { TokenConstraint, type TokenRules } from "./token-constraint.ts";
import { countBits, idsOf, type TokenMask } from "./token-mask.ts";
import type { TokenTrie } from "./token-trie.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

/** Masks of states that are remembered, each of a bit for a token. */
const MOST_MASKS = 512;
/** Places of rules of which is remembered what tokens do there. */
const MOST_PLACES = 4096;

/** The texts of a grammar that a vocabulary can write. @throws OptionError when there are none */
export const writableGrammar = (grammar: Grammar, characters: TokenVocabulary["characters"]): Grammar =>
  characters ? restrictedTo(characters, grammar, "TokenGrammar, characters of the tokenizer") : grammar;

/**
 * A grammar for a vocabulary: which tokens may follow which texts. Most tokens stay inside of one rule, and what they
 * do is worked out once for each of its places; the few that lead out of it are followed on the stack of each text.
 * Dong et al. 2024, XGrammar, arXiv:2411.15100, section 3.
 */
export class TokenGrammar implements TokenRules {
  readonly grammar: Grammar;
  readonly vocabulary: TokenVocabulary;
  /** Tokens that end a text. */
  readonly endTokens: readonly number[];
  /** @internal */
  readonly pushdown: Pushdown;
  private readonly numWords: number;
  private readonly places: Map<number, LocalTokens>[];
  private readonly masks = new Map<ParseState, TokenMask>();
  private readonly stack: ParseState[] = [];

  /**
   * @param endTokens ids that end a text: they may follow where the text may end
   * @param isWritable whether the vocabulary is known to have all that the grammar asks for. @default false
   * @throws OptionError when there are none, or one is no id, or the vocabulary cannot write what the grammar asks
   */
  constructor(
    grammar: Grammar,
    vocabulary: TokenVocabulary,
    endTokens: readonly number[],
    { isWritable = false }: { isWritable?: boolean } = {},
  ) {
    const isId = (id: number) => Number.isInteger(id) && id >= 0;
    if (endTokens.length === 0 || !endTokens.every(isId)) {
      throw new OptionError({
        where: "TokenGrammar",
        expected: "endTokens, ids of which at least one ends a text",
        received: JSON.stringify(endTokens),
        fix: "give those of the model's generation_config.json, eos_token_id",
      });
    }
    this.grammar = isWritable ? grammar : writableGrammar(grammar, vocabulary.characters);
    this.vocabulary = vocabulary;
    this.endTokens = endTokens;
    this.pushdown = new Pushdown(this.grammar);
    this.numWords = Math.ceil(Math.max(vocabulary.size, ...endTokens.map((id) => id + 1)) / 32);
    this.places = vocabulary.tries.map(() => new Map());
  }

  /** A text that is to be written by the grammar, at its beginning. */
  start(): TokenConstraint {
    return new TokenConstraint(this);
  }

  /** The tokens that may follow in a state. @internal */
  maskOf(state: ParseState): TokenMask {
    const known = this.masks.get(state);
    if (known) return known;
    const bits = new Uint32Array(this.numWords);
    let mostBytes = 0;
    for (const item of state.kernel) mostBytes = Math.max(mostBytes, this.addTokens(item, bits));
    const mask = this.finished(state, bits, mostBytes);
    if (this.masks.size >= MOST_MASKS) this.masks.delete(this.masks.keys().next().value!);
    this.masks.set(state, mask);
    return mask;
  }

  /** The tokens behind which at most so many bytes bring the text to its end. @internal */
  landingMaskOf(state: ParseState, mostBytes: number): TokenMask {
    const bits = new Uint32Array(this.numWords);
    for (const trie of this.vocabulary.tries) this.walk(trie, 0, trie.numNodes, state, bits, [], mostBytes);
    return this.finished(state, bits, mostBytes);
  }

  private finished(state: ParseState, bits: Uint32Array, mostBytes: number): TokenMask {
    for (const id of this.endTokens) {
      if (state.mayEnd) bits[id >>> 5] |= 1 << (id & 31);
      else bits[id >>> 5] &= ~(1 << (id & 31)); // one that is text elsewhere is none here
    }
    return { bits, count: countBits(bits), mostBytes };
  }

  /** Of the tokens that may follow, those on the shortest way to the end, if the vocabulary has such. @internal */
  closingMaskOf(state: ParseState): TokenMask {
    const bits = new Uint32Array(this.numWords);
    if (!state.mayEnd) for (const trie of this.vocabulary.tries) this.walkShortest(trie, state, bits);
    const count = countBits(bits);
    return count > 0 ? { bits, count, mostBytes: state.numBytes } : this.maskOf(state);
  }

  private walkShortest({ byte, depth, end, token, numNodes }: TokenTrie, start: ParseState, bits: Uint32Array) {
    const stack = [start];
    for (let node = 0; node < numNodes; ) {
      const state = stack[depth[node]];
      const next = this.pushdown.step(state, byte[node]);
      if (next === null || next.numBytes !== state.numBytes - 1) {
        node = end[node];
        continue;
      }
      const id = token[node];
      if (id >= 0) bits[id >>> 5] |= 1 << (id & 31);
      stack[depth[node] + 1] = next;
      node++;
    }
    for (const id of this.endTokens) bits[id >>> 5] &= ~(1 << (id & 31));
  }

  /** Sets the bits of the tokens that may follow at a place. Gives the bytes that may then be needed to the end. */
  private addTokens({ rule, state, caller }: Item, bits: Uint32Array): number {
    const after = this.pushdown.after(caller);
    let mostBytes = 0;
    for (const [i, trie] of this.vocabulary.tries.entries()) {
      const local = this.localTokens(i, trie, rule, state);
      if (local.bits) for (let word = 0; word < bits.length; word++) bits[word] |= local.bits[word];
      for (const id of local.ids ?? []) bits[id >>> 5] |= 1 << (id & 31);
      mostBytes = Math.max(mostBytes, local.mostBytes + caller.numBytes);
      if (after.items.length === 0) continue;
      for (const node of local.leaves)
        mostBytes = Math.max(mostBytes, this.walk(trie, node + 1, trie.end[node], after, bits));
    }
    return mostBytes;
  }

  private localTokens(i: number, trie: TokenTrie, rule: number, state: number): LocalTokens {
    const alike = this.grammar.alike(rule, state, trie.maxBytes);
    const place = this.pushdown.placeOf(rule, alike);
    const places = this.places[i];
    const { shared } = this.vocabulary;
    const name = this.grammar.sharedName(rule, state, trie.maxBytes);
    const known = places.get(place) ?? (name === undefined ? undefined : shared.get(name));
    if (known) return known;
    const bits = new Uint32Array(this.numWords);
    const leaves: number[] = [];
    const mostBytes = this.grammar.automata[rule].hasCalls
      ? this.walk(trie, 0, trie.numNodes, this.pushdown.alone(rule, alike), bits, leaves)
      : this.walkRule(trie, rule, alike, bits, leaves);
    const isFew = countBits(bits) < this.numWords / 4;
    const local = isFew ? { ids: idsOf(bits), leaves, mostBytes } : { bits, leaves, mostBytes };
    if (places.size >= MOST_PLACES) places.clear();
    places.set(place, local);
    if (name !== undefined && shared.size < MOST_PLACES) shared.set(name, local);
    return local;
  }

  /**
   * Follows the tokens of a part of the tree from a state, and sets the bits of those that do not end in nothing, and
   * behind which no more than `limit` bytes are needed to the end. `leaves` gets the nodes at which a rule that is
   * looked at by itself may be over. Gives the most bytes that are needed behind one of the tokens.
   */
  private walk(
    trie: TokenTrie,
    from: number,
    to: number,
    start: ParseState,
    bits: Uint32Array,
    leaves: number[] = [],
    limit = Number.POSITIVE_INFINITY,
  ): number {
    const { byte, depth, end, token } = trie;
    const { pushdown, stack } = this;
    const { classOf } = pushdown.grammar;
    const base = from < to ? depth[from] : 0;
    let mostBytes = 0;
    stack[0] = start;
    for (let node = from; node < to; ) {
      const level = depth[node] - base;
      const state = stack[level];
      const of = classOf[byte[node]];
      let next = state.next[of];
      if (next === undefined) next = pushdown.stepClass(state, of);
      if (next === null) {
        node = end[node];
        continue;
      }
      const id = token[node];
      if (id >= 0 && next.numBytes <= limit) {
        bits[id >>> 5] |= 1 << (id & 31);
        if (next.numBytes > mostBytes) mostBytes = next.numBytes;
      }
      if (next.endsRule && end[node] > node + 1) leaves.push(node);
      stack[level + 1] = next;
      node++;
    }
    stack.length = 0;
    return mostBytes;
  }

  /** The same for a rule that calls no others: its automaton alone says where tokens lead. */
  private walkRule(trie: TokenTrie, rule: number, start: number, bits: Uint32Array, leaves: number[]): number {
    const { byte, depth, end, token, numNodes, maxBytes } = trie;
    const automaton = this.grammar.automata[rule];
    const stack = new Float64Array(maxBytes + 1);
    const states = new Set<number>();
    stack[0] = start;
    for (let node = 0; node < numNodes; ) {
      const level = depth[node];
      const next = automaton.step(stack[level], byte[node]);
      if (next < 0) {
        node = end[node];
        continue;
      }
      const id = token[node];
      if (id >= 0) {
        bits[id >>> 5] |= 1 << (id & 31);
        if (next !== stack[level]) states.add(next);
      }
      if (end[node] > node + 1 && automaton.isFinal(next)) leaves.push(node);
      stack[level + 1] = next;
      node++;
    }
    let mostBytes = this.grammar.distance(rule, start);
    for (const state of states) mostBytes = Math.max(mostBytes, this.grammar.distance(rule, state));
    return mostBytes;
  }
}
