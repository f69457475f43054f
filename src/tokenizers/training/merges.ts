/**
 * Byte-pair encoding, learned: the pair of symbols that stands together most often becomes a symbol of its own, again
 * and again. Sennrich et al. 2015, arXiv:1508.07909, section 3.2. Order and ties are those of Hugging Face tokenizers'
 * BpeTrainer.
 */
import { byCodePoints, characterCounts } from "./words.ts";

export interface MergeOptions {
  /** Tokens in all; the alphabet and the special tokens are kept whole even where there are more of them. */
  vocabSize: number;
  /** Pairs seen less often are not joined. */
  minFrequency: number;
  /** These have the first ids. */
  specialTokens: readonly string[];
  /** Characters that have a token whether they are seen or not. */
  initialAlphabet?: readonly string[];
  /** Only so many characters have tokens, the most frequent. @default all */
  limitAlphabet?: number;
  /** Written before every symbol that does not begin a word. @default "" */
  continuingSubwordPrefix?: string;
  /** Written after every symbol that ends a word. @default "" */
  endOfWordSuffix?: string;
  /** Pairs of at least so many characters are not joined. @default none */
  maxTokenLength?: number;
}

export interface LearnedMerges {
  /** In the order of their ids. */
  tokens: string[];
  merges: [string, string][];
}

/** @param words how often each word occurs */
export function learnMerges(words: ReadonlyMap<string, number>, options: MergeOptions): LearnedMerges {
  const { vocabSize, minFrequency, specialTokens, continuingSubwordPrefix: prefix = "" } = options;
  const tokens: string[] = [];
  const ids = new Map<string, number>();
  const idOf = (token: string): number => {
    let id = ids.get(token);
    if (id === undefined) {
      id = tokens.push(token) - 1;
      ids.set(token, id);
    }
    return id;
  };
  for (const token of [...specialTokens, ...alphabetOf(words, options)]) idOf(token);
  const corpus = new SplitWords(words, options, ids, idOf);
  const lengths = new Int32Array(Math.max(vocabSize, tokens.length) + 1).fill(1); // in symbols at the start
  const pairs = new PairCounts(options.maxTokenLength ?? Number.POSITIVE_INFINITY, lengths);
  corpus.countPairs(pairs);

  const merges: [string, string][] = [];
  const queue = new PairQueue(pairs);
  for (let pair = 0; pair < pairs.size; pair++) queue.push(pair);
  while (tokens.length < vocabSize) {
    const pair = queue.pop();
    if (pair === undefined || pairs.counts[pair] < Math.max(1, minFrequency)) break;
    const [left, right] = [pairs.lefts[pair], pairs.rights[pair]];
    const rest = tokens[right];
    const id = idOf(tokens[left] + (prefix !== "" && rest.startsWith(prefix) ? rest.slice(prefix.length) : rest));
    lengths[id] = lengths[left] + lengths[right];
    merges.push([tokens[left], rest]);
    for (const grown of corpus.merge(pairs, pair, id)) queue.push(grown);
  }
  return { tokens, merges };
}

/** The characters that get tokens, in the order of code points. */
function alphabetOf(
  words: ReadonlyMap<string, number>,
  { initialAlphabet = [], limitAlphabet }: MergeOptions,
): string[] {
  const counts = characterCounts(words);
  for (const character of initialAlphabet) counts.set(character, Number.POSITIVE_INFINITY);
  let kept = [...counts];
  if (limitAlphabet !== undefined && limitAlphabet < kept.length) {
    kept = kept.sort(([a, m], [b, n]) => (m === n ? byCodePoints(a, b) : n - m)).slice(0, limitAlphabet);
  }
  return kept.map(([character]) => character).sort(byCodePoints);
}

/** The words as runs of symbols in one array. */
class SplitWords {
  private readonly symbols: Int32Array;
  private readonly starts: Int32Array;
  private readonly lengths: Int32Array;
  private readonly counts: Float64Array;

  constructor(
    words: ReadonlyMap<string, number>,
    options: MergeOptions,
    ids: ReadonlyMap<string, number>,
    idOf: (token: string) => number,
  ) {
    const { continuingSubwordPrefix: prefix = "", endOfWordSuffix: suffix = "" } = options;
    // characters that were left out have no symbol: their neighbours come together
    const alphabet = new Set(ids.keys());
    const size = [...words.keys()].reduce((total, word) => total + word.length, 0);
    this.symbols = new Int32Array(size);
    this.starts = new Int32Array(words.size);
    this.lengths = new Int32Array(words.size);
    this.counts = new Float64Array(words.size);
    if (prefix !== "" || suffix !== "") for (const form of formsOf(words.keys(), alphabet, prefix, suffix)) idOf(form);
    let at = 0;
    let word = 0;
    for (const [text, count] of words) {
      this.starts[word] = at;
      this.counts[word] = count;
      for (const form of split(text, alphabet, prefix, suffix)) this.symbols[at++] = ids.get(form) as number;
      this.lengths[word] = at - this.starts[word];
      word++;
    }
  }

  countPairs(pairs: PairCounts): void {
    for (let word = 0; word < this.counts.length; word++) {
      const end = this.starts[word] + this.lengths[word] - 1;
      for (let i = this.starts[word]; i < end; i++)
        pairs.add(this.symbols[i], this.symbols[i + 1], this.counts[word], word);
    }
  }

  /** Joins a pair wherever it stands, leftmost first. -> the pairs of which there are more now */
  merge(pairs: PairCounts, pair: number, id: number): Set<number> {
    const { symbols, starts, lengths, counts } = this;
    const [left, right] = [pairs.lefts[pair], pairs.rights[pair]];
    const grown = new Set<number>();
    const add = (a: number, b: number, count: number, word: number) => {
      if (pairs.isTooLong(a, b)) return;
      grown.add(pairs.add(a, b, count, word));
    };
    for (const word of pairs.takeWords(pair)) {
      const start = starts[word];
      const end = start + lengths[word];
      const count = counts[word];
      let to = start;
      for (let i = start; i < end; ) {
        if (i + 1 === end || symbols[i] !== left || symbols[i + 1] !== right) {
          symbols[to++] = symbols[i++];
          continue;
        }
        if (to > start) {
          pairs.take(symbols[to - 1], left, count);
          add(symbols[to - 1], id, count, word);
        }
        if (i + 2 < end) {
          pairs.take(right, symbols[i + 2], count);
          add(id, symbols[i + 2], count, word);
        }
        symbols[to++] = id;
        i += 2;
      }
      lengths[word] = to - start;
    }
    pairs.counts[pair] = 0;
    grown.delete(pair);
    return grown;
  }
}

/** The symbols of a word: its characters, with the prefix but for the first and the suffix for the last. */
function* split(
  word: string,
  alphabet: ReadonlySet<string>,
  prefix: string,
  suffix: string,
): Generator<string, void, void> {
  let at = 0;
  for (const character of word) {
    const isFirst = at === 0;
    at += character.length;
    if (alphabet.has(character)) yield (isFirst ? "" : prefix) + character + (at === word.length ? suffix : "");
  }
}

/** Forms with prefix or suffix are numbered by their code points; the reference's order changes from run to run. */
function formsOf(words: Iterable<string>, alphabet: ReadonlySet<string>, prefix: string, suffix: string): string[] {
  const forms = new Set<string>();
  for (const word of words) for (const form of split(word, alphabet, prefix, suffix)) forms.add(form);
  return [...forms].sort(byCodePoints);
}

const grow = <T extends Int32Array | Float64Array>(array: T): T => {
  const larger = new (array.constructor as new (size: number) => T)(array.length * 2);
  larger.set(array as never);
  return larger;
};

/**
 * Pairs of symbols: how many there are of each, and in which words. Columns of numbers and a hash table, since there
 * are millions.
 */
class PairCounts {
  size = 0;
  lefts = new Int32Array(1 << 12);
  rights = new Int32Array(1 << 12);
  counts = new Float64Array(1 << 12);
  private heads = new Int32Array(1 << 12); // the list of a pair's words: its first place in the columns below, or -1
  private words = new Int32Array(1 << 12);
  private nexts = new Int32Array(1 << 12);
  private places = 0;
  private table = new Int32Array(1 << 14).fill(-1);
  private readonly maxLength: number;
  private readonly lengths: Int32Array;

  constructor(maxLength: number, lengths: Int32Array) {
    this.maxLength = maxLength;
    this.lengths = lengths;
  }

  isTooLong(left: number, right: number): boolean {
    return this.lengths[left] + this.lengths[right] >= this.maxLength;
  }

  /** More of a pair, in a word. -> its number */
  add(left: number, right: number, count: number, word: number): number {
    const slot = this.slotOf(left, right);
    let pair = this.table[slot];
    if (pair < 0) pair = this.insert(slot, left, right);
    this.counts[pair] += count;
    const head = this.heads[pair];
    if (head >= 0 && this.words[head] === word) return pair;
    if (this.places === this.words.length) {
      this.words = grow(this.words);
      this.nexts = grow(this.nexts);
    }
    this.words[this.places] = word;
    this.nexts[this.places] = head;
    this.heads[pair] = this.places++;
    return pair;
  }

  /** Less of a pair; one that was too long to be counted is passed over. */
  take(left: number, right: number, count: number): void {
    const pair = this.table[this.slotOf(left, right)];
    if (pair >= 0) this.counts[pair] -= count;
  }

  /** The words of a pair, some perhaps without it by now; none is left. */
  takeWords(pair: number): number[] {
    const words: number[] = [];
    for (let at = this.heads[pair]; at >= 0; at = this.nexts[at]) words.push(this.words[at]);
    this.heads[pair] = -1;
    return words;
  }

  private slotOf(left: number, right: number): number {
    const mask = this.table.length - 1;
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & mask;
    for (;;) {
      const pair = this.table[slot];
      if (pair < 0 || (this.lefts[pair] === left && this.rights[pair] === right)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private insert(slot: number, left: number, right: number): number {
    if (this.size === this.lefts.length) {
      this.lefts = grow(this.lefts);
      this.rights = grow(this.rights);
      this.counts = grow(this.counts);
      this.heads = grow(this.heads);
    }
    const pair = this.size++;
    this.lefts[pair] = left;
    this.rights[pair] = right;
    this.heads[pair] = -1;
    this.table[slot] = pair;
    if (this.size * 2 > this.table.length) {
      this.table = new Int32Array(this.table.length * 2).fill(-1);
      for (let i = 0; i < this.size; i++) this.table[this.slotOf(this.lefts[i], this.rights[i])] = i;
    }
    return pair;
  }
}

/** Pairs by how many there are, the most first; among equals the one with the smaller ids. */
class PairQueue {
  private items = new Int32Array(1 << 12);
  private keys = new Float64Array(1 << 12); // the count a pair was put in with
  private size = 0;
  private readonly pairs: PairCounts;

  constructor(pairs: PairCounts) {
    this.pairs = pairs;
  }

  push(pair: number): void {
    const count = this.pairs.counts[pair];
    if (count < 1) return;
    if (this.size === this.items.length) {
      this.items = grow(this.items);
      this.keys = grow(this.keys);
    }
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.isBefore(pair, count, this.items[parent], this.keys[parent])) break;
      this.move(parent, at);
      at = parent;
    }
    this.items[at] = pair;
    this.keys[at] = count;
  }

  /** The pair of which there are most now: one whose count has changed goes back with the present one. */
  pop(): number | undefined {
    while (this.size > 0) {
      const [pair, count] = [this.items[0], this.keys[0]];
      this.removeFirst();
      if (this.pairs.counts[pair] === count) return pair;
      this.push(pair);
    }
    return undefined;
  }

  private removeFirst(): void {
    this.size--;
    const [pair, count] = [this.items[this.size], this.keys[this.size]];
    let at = 0;
    for (let child = 1; child < this.size; child = 2 * at + 1) {
      const other = child + 1;
      if (other < this.size && this.isBefore(this.items[other], this.keys[other], this.items[child], this.keys[child]))
        child = other;
      if (!this.isBefore(this.items[child], this.keys[child], pair, count)) break;
      this.move(child, at);
      at = child;
    }
    this.items[at] = pair;
    this.keys[at] = count;
  }

  private move(from: number, to: number): void {
    this.items[to] = this.items[from];
    this.keys[to] = this.keys[from];
  }

  private isBefore(a: number, countA: number, b: number, countB: number): boolean {
    if (countA !== countB) return countA > countB;
    const { lefts, rights } = this.pairs;
    return lefts[a] !== lefts[b] ? lefts[a] < lefts[b] : rights[a] < rights[b];
  }
}
