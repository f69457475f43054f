import { OptionError } from "../../base/index.ts";
import type { Automaton } from "./dfa.ts";
import type { Grammar } from "./grammar.ts";
import { type Item, type ParseState, Pushdown } from "./pushdown.ts";
import { TokenConstraint, type TokenRules } from "./token-constraint.ts";
import { countBits, idsOf, type TokenMask } from "./token-mask.ts";
import type { TokenTrie } from "./token-trie.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

/** What tokens do from a place of one rule, whatever called the rule. */
interface LocalTokens {
  /** Tokens that stay in the rule, or end with it: as bits, or where they are few as a list. */
  readonly bits?: Uint32Array;
  readonly ids?: readonly number[];
  /** Nodes of the tree of tokens at which the rule may be over, with further bytes below. */
  readonly leaves: readonly number[];
}

/** Masks of states that are remembered, each of a bit for a token. */
const MOST_MASKS = 512;
/** Places of rules of which is remembered what tokens do there. */
const MOST_PLACES = 4096;

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
   * @throws OptionError when there are none, or one is no id
   */
  constructor(grammar: Grammar, vocabulary: TokenVocabulary, endTokens: readonly number[]) {
    const isId = (id: number) => Number.isInteger(id) && id >= 0;
    if (endTokens.length === 0 || !endTokens.every(isId)) {
      throw new OptionError({
        where: "TokenGrammar",
        expected: "endTokens, ids of which at least one ends a text",
        received: JSON.stringify(endTokens),
        fix: "give those of the model's generation_config.json, eos_token_id",
      });
    }
    this.grammar = grammar;
    this.vocabulary = vocabulary;
    this.endTokens = endTokens;
    this.pushdown = new Pushdown(grammar);
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
    for (const item of state.kernel) this.addTokens(item, bits);
    for (const id of this.endTokens) {
      if (state.mayEnd) bits[id >>> 5] |= 1 << (id & 31);
      else bits[id >>> 5] &= ~(1 << (id & 31)); // one that is text elsewhere is none here
    }
    const mask = { bits, count: countBits(bits) };
    if (this.masks.size >= MOST_MASKS) this.masks.delete(this.masks.keys().next().value!);
    this.masks.set(state, mask);
    return mask;
  }

  /** Of the tokens that may follow, those on the shortest way to the end, if the vocabulary has such. @internal */
  closingMaskOf(state: ParseState): TokenMask {
    const bits = new Uint32Array(this.numWords);
    if (!state.mayEnd) for (const trie of this.vocabulary.tries) this.walkShortest(trie, state, bits);
    const count = countBits(bits);
    return count > 0 ? { bits, count } : this.maskOf(state);
  }

  private walkShortest({ byte, depth, end, token, twins, numNodes }: TokenTrie, start: ParseState, bits: Uint32Array) {
    const stack = [start];
    for (let node = 0; node < numNodes; ) {
      const state = stack[depth[node]];
      const next = this.pushdown.step(state, byte[node]);
      if (next === null || next.numBytes !== state.numBytes - 1) {
        node = end[node];
        continue;
      }
      for (let id: number | undefined = token[node]; id !== undefined && id >= 0; id = twins.get(id))
        bits[id >>> 5] |= 1 << (id & 31);
      stack[depth[node] + 1] = next;
      node++;
    }
    for (const id of this.endTokens) bits[id >>> 5] &= ~(1 << (id & 31));
  }

  /** Sets the bits of the tokens that may follow at a place. */
  private addTokens({ rule, state, caller }: Item, bits: Uint32Array): void {
    const after = this.pushdown.after(caller);
    for (const [i, trie] of this.vocabulary.tries.entries()) {
      const local = this.localTokens(i, trie, rule, state);
      if (local.bits) for (let word = 0; word < bits.length; word++) bits[word] |= local.bits[word];
      for (const id of local.ids ?? []) bits[id >>> 5] |= 1 << (id & 31);
      if (after.items.length === 0) continue;
      for (const node of local.leaves) this.walk(trie, node + 1, trie.end[node], after, bits);
    }
  }

  private localTokens(i: number, trie: TokenTrie, rule: number, state: number): LocalTokens {
    const alike = this.grammar.automata[rule].alike(state, trie.maxBytes);
    const place = this.pushdown.placeOf(rule, alike);
    const places = this.places[i];
    const known = places.get(place);
    if (known) return known;
    const bits = new Uint32Array(this.numWords);
    const leaves: number[] = [];
    const automaton = this.grammar.automata[rule];
    if (automaton.hasCalls) this.walk(trie, 0, trie.numNodes, this.pushdown.alone(rule, alike), bits, leaves);
    else walkAutomaton(trie, automaton, alike, bits, leaves);
    const isFew = countBits(bits) < this.numWords / 4;
    const local = isFew ? { ids: idsOf(bits), leaves } : { bits, leaves };
    if (places.size >= MOST_PLACES) places.clear();
    places.set(place, local);
    return local;
  }

  /**
   * Follows the tokens of a part of the tree from a state, and sets the bits of those that do not end in nothing.
   * `leaves` gets the nodes at which a rule that is looked at by itself may be over.
   */
  private walk(
    trie: TokenTrie,
    from: number,
    to: number,
    start: ParseState,
    bits: Uint32Array,
    leaves?: number[],
  ): void {
    const { byte, depth, end, token, twins } = trie;
    const { pushdown, stack } = this;
    const { classOf } = pushdown.grammar;
    const base = from < to ? depth[from] : 0;
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
      let id = token[node];
      while (id >= 0) {
        bits[id >>> 5] |= 1 << (id & 31);
        id = twins.size > 0 ? (twins.get(id) ?? -1) : -1;
      }
      if (leaves && next.endsRule && end[node] > node + 1) leaves.push(node);
      stack[level + 1] = next;
      node++;
    }
    stack.length = 0;
  }
}

/** The same for a rule that calls no others: its automaton alone says where tokens lead. */
function walkAutomaton(
  { byte, depth, end, token, twins, numNodes, maxBytes }: TokenTrie,
  automaton: Automaton,
  start: number,
  bits: Uint32Array,
  leaves: number[],
): void {
  const stack = new Float64Array(maxBytes + 1);
  stack[0] = start;
  for (let node = 0; node < numNodes; ) {
    const level = depth[node];
    const next = automaton.step(stack[level], byte[node]);
    if (next < 0) {
      node = end[node];
      continue;
    }
    let id = token[node];
    while (id >= 0) {
      bits[id >>> 5] |= 1 << (id & 31);
      id = twins.size > 0 ? (twins.get(id) ?? -1) : -1;
    }
    if (end[node] > node + 1 && automaton.isFinal(next)) leaves.push(node);
    stack[level + 1] = next;
    node++;
  }
}
