import { OptionError } from "../../base/index.ts";
import type { Grammar } from "./grammar.ts";
import type { LocalTokens } from "./local-tokens.ts";
import { type Item, type ParseState, Pushdown } from "./pushdown.ts";
import { restrictedTo } from "./restricted.ts";
import { type Steps, WorkMeter } from "./steps.ts";
import { TokenConstraint, type TokenRules } from "./token-constraint.ts";
import { countBits, idsOf, type TokenMask } from "./token-mask.ts";
import type { TokenTrie } from "./token-trie.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

/** Masks of states that are remembered, each of a bit for a token. */
const MOST_MASKS = 512;
/** Places of rules of which is remembered what tokens do there. */
const MOST_PLACES = 4096;
/** What that may take in bytes. */
const MOST_LOCAL_BYTES = 16 << 20;

/** A part of the tree of tokens that is followed from a state. */
interface Walk {
  trie: TokenTrie;
  from: number;
  to: number;
  start: ParseState;
  bits: Uint32Array;
  /** @default nobody asks for them */
  leaves?: number[];
  /** @default none */
  limit?: number;
  meter: WorkMeter;
}

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
  private localBytes = 0;
  private numForgotten = 0;

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

  /** Memory of what was worked out so far, in bytes, about. */
  get memoryBytes(): number {
    return 128 * this.pushdown.remembered + 4 * this.numWords * this.masks.size + this.localBytes;
  }

  /** The tokens that may follow in a state. @internal */
  *maskOf(state: ParseState): Steps<TokenMask> {
    if (this.numForgotten !== this.pushdown.numForgotten) this.masks.clear(); // of states that nothing leads to
    this.numForgotten = this.pushdown.numForgotten;
    const known = this.masks.get(state);
    if (known) return known;
    const meter = new WorkMeter();
    const bits = new Uint32Array(this.numWords);
    let mostBytes = 0;
    for (const item of state.kernel) mostBytes = Math.max(mostBytes, yield* this.addTokens(item, bits, meter));
    const mask = this.finished(state, bits, mostBytes);
    if (this.masks.size >= MOST_MASKS) this.masks.delete(this.masks.keys().next().value!);
    this.masks.set(state, mask);
    return mask;
  }

  /** The tokens behind which at most so many bytes bring the text to its end. @internal */
  *landingMaskOf(state: ParseState, mostBytes: number): Steps<TokenMask> {
    const bits = new Uint32Array(this.numWords);
    const meter = new WorkMeter();
    for (const trie of this.vocabulary.tries)
      yield* this.walk({ trie, from: 0, to: trie.numNodes, start: state, bits, limit: mostBytes, meter });
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
  *closingMaskOf(state: ParseState): Steps<TokenMask> {
    const bits = new Uint32Array(this.numWords);
    const meter = new WorkMeter();
    if (!state.mayEnd) for (const trie of this.vocabulary.tries) yield* this.walkShortest(trie, state, bits, meter);
    const count = countBits(bits);
    return count > 0 ? { bits, count, mostBytes: state.numBytes } : yield* this.maskOf(state);
  }

  private *walkShortest(
    { byte, depth, end, token, numNodes }: TokenTrie,
    start: ParseState,
    bits: Uint32Array,
    meter: WorkMeter,
  ): Steps<void> {
    const stack = [start];
    for (let node = 0; node < numNodes; ) {
      const state = stack[depth[node]];
      const next = this.step(state, this.grammar.classOf[byte[node]], meter);
      if (meter.endsStep()) yield;
      if (next === null || next.numBytes !== state.numBytes - 1) {
        node = end[node];
        continue;
      }
      const id = token[node];
      if (id >= 0) bits[id >>> 5] |= 1 << (id & 31);
      stack[depth[node] + 1] = next;
      node++;
    }
    meter.addNodes(numNodes);
    for (const id of this.endTokens) bits[id >>> 5] &= ~(1 << (id & 31));
  }

  /** The state after a byte of a class, which costs something when it is not known. */
  private step(state: ParseState, of: number, meter: WorkMeter): ParseState | null {
    const known = state.next[of];
    if (known !== undefined) return known;
    const { pushdown } = this;
    const before = pushdown.work;
    const next = pushdown.stepClass(state, of);
    meter.addPlaces(pushdown.work - before);
    return next;
  }

  /** Sets the bits of the tokens that may follow at a place. Gives the bytes that may then be needed to the end. */
  private *addTokens({ rule, state, caller }: Item, bits: Uint32Array, meter: WorkMeter): Steps<number> {
    const after = this.pushdown.after(caller);
    let mostBytes = 0;
    for (const [i, trie] of this.vocabulary.tries.entries()) {
      const local = yield* this.localTokens(i, rule, state, meter);
      if (local.bits) for (let word = 0; word < bits.length; word++) bits[word] |= local.bits[word];
      for (const id of local.ids ?? []) bits[id >>> 5] |= 1 << (id & 31);
      mostBytes = Math.max(mostBytes, local.mostBytes + caller.numBytes);
      if (after.items.length === 0) continue;
      for (const node of local.leaves) {
        const part = { trie, from: node + 1, to: trie.end[node], start: after, bits, meter };
        mostBytes = Math.max(mostBytes, yield* this.walk(part));
      }
    }
    return mostBytes;
  }

  private *localTokens(i: number, rule: number, state: number, meter: WorkMeter): Steps<LocalTokens> {
    const trie = this.vocabulary.tries[i];
    const alike = this.grammar.alike(rule, state, trie.maxBytes);
    const place = this.pushdown.placeOf(rule, alike);
    const { shared } = this.vocabulary;
    const name = this.grammar.sharedName(rule, state, trie.maxBytes);
    const known = this.places[i].get(place) ?? (name === undefined ? undefined : shared.get(name));
    if (known) return known;
    const bits = new Uint32Array(this.numWords);
    const leaves: number[] = [];
    const alone = { trie, from: 0, to: trie.numNodes, bits, leaves, meter };
    const mostBytes = this.grammar.automata[rule].hasCalls
      ? yield* this.walk({ ...alone, start: this.pushdown.alone(rule, alike) })
      : this.walkRule(trie, rule, alike, bits, leaves);
    meter.addNodes(trie.numNodes);
    if (meter.endsStep()) yield;
    const isFew = countBits(bits) < this.numWords / 4;
    const local = isFew ? { ids: idsOf(bits), leaves, mostBytes } : { bits, leaves, mostBytes };
    this.remember(i, place, local);
    if (name !== undefined && shared.size < MOST_PLACES) shared.set(name, local);
    return local;
  }

  private remember(i: number, place: number, local: LocalTokens): void {
    const places = this.places[i];
    if (places.size >= MOST_PLACES || this.localBytes >= MOST_LOCAL_BYTES) {
      for (const all of this.places) all.clear();
      this.localBytes = 0;
    }
    places.set(place, local);
    this.localBytes += (local.bits?.byteLength ?? 0) + 8 * ((local.ids?.length ?? 0) + local.leaves.length);
  }

  /**
   * Follows the tokens of a part of the tree from a state, and sets the bits of those that do not end in nothing, and
   * behind which no more than `limit` bytes are needed to the end. `leaves` gets the nodes at which a rule that is
   * looked at by itself may be over. Gives the most bytes that are needed behind one of the tokens.
   */
  private *walk({ trie, from, to, start, bits, leaves, limit = Number.POSITIVE_INFINITY, meter }: Walk): Steps<number> {
    const { byte, depth, end, token } = trie;
    const { classOf } = this.grammar;
    const base = from < to ? depth[from] : 0;
    const stack = [start];
    let mostBytes = 0;
    for (let node = from; node < to; ) {
      const level = depth[node] - base;
      const state = stack[level];
      const of = classOf[byte[node]];
      let next = state.next[of];
      if (next === undefined) {
        next = this.step(state, of, meter);
        if (meter.endsStep()) yield;
      }
      if (next === null) {
        node = end[node];
        continue;
      }
      const id = token[node];
      if (id >= 0 && next.numBytes <= limit) {
        bits[id >>> 5] |= 1 << (id & 31);
        if (next.numBytes > mostBytes) mostBytes = next.numBytes;
      }
      if (next.endsRule && end[node] > node + 1) leaves?.push(node);
      stack[level + 1] = next;
      node++;
    }
    meter.addNodes(to - from);
    if (meter.endsStep()) yield;
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
