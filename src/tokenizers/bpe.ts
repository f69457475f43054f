import { DataError } from "../ir/index.ts";
import { byteCharacters, characterBytes, pretokens, toByteCharacters } from "./byte-level.ts";
import { addedToken, bpeModel, byteLevel, byteLevelDecoder, byteLevelDigits, tokenizerJson } from "./json-parts.ts";
import { type PlainEncodeOptions, type PromptTokenizer, splitSpecial } from "./tokenizer.ts";

export interface BpeParts {
  /** Token to id. */
  vocab: ReadonlyMap<string, number>;
  /** Pairs to join, best first. */
  merges: readonly (readonly [string, string])[];
  /** Tokens that stand for no text, such as <|endoftext|>. */
  special: ReadonlyMap<string, number>;
  /** Each digit is a word by itself, before words are cut. @default false */
  splitsDigits?: boolean;
}

/** A text keeps the byte order mark that it begins with. */
const utf8Decoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

/** Words whose tokens are remembered; natural text repeats its words. */
const CACHE_LIMIT = 100_000;
/** Longer pieces are rarely met again, so they are not remembered. */
const CACHED_WORD = 64;

/** Byte-level byte-pair encoding, as GPT-2. Sennrich et al. 2015, arXiv:1508.07909; Radford et al. 2019. */
export class BytePairTokenizer implements PromptTokenizer {
  readonly vocabSize: number;
  readonly endOfTextId: number | null;
  private readonly parts: BpeParts;
  private readonly tokens: readonly (string | undefined)[];
  /** For a pair of ids (left * size + right): rank and id of the joined token. */
  private readonly joins = new Map<number, { rank: number; id: number }>();
  private readonly base: Int32Array;
  private readonly cache = new Map<string, readonly number[]>();
  private readonly size: number;

  /** @throws DataError when a merge or a byte is missing from the vocabulary */
  constructor(parts: BpeParts) {
    this.parts = parts;
    const all = new Map([...parts.vocab, ...parts.special]);
    this.size = Math.max(-1, ...all.values()) + 1;
    this.vocabSize = this.size;
    const tokens: (string | undefined)[] = new Array(this.size);
    for (const [token, id] of all) tokens[id] = token;
    this.tokens = tokens;
    this.endOfTextId = parts.special.get("<|endoftext|>") ?? null;
    const idOf = (token: string) => {
      const id = parts.vocab.get(token);
      if (id !== undefined) return id;
      throw new DataError({
        where: "tokenizer",
        expected: `"${token}" in the vocabulary`,
        received: "none",
        fix: "the tokenizer file is damaged or not byte-level BPE",
      });
    };
    this.base = Int32Array.from(byteCharacters, (character) => parts.vocab.get(character) ?? -1);
    parts.merges.forEach(([left, right], rank) => {
      const key = idOf(left) * this.size + idOf(right);
      if (!this.joins.has(key)) this.joins.set(key, { rank, id: idOf(left + right) });
    });
  }

  get specialTexts(): readonly string[] {
    return [...this.parts.special.keys()];
  }

  encode(text: string, { isLiteral = false }: PlainEncodeOptions = {}): number[] {
    const out: number[] = [];
    splitSpecial(text, isLiteral ? new Map() : this.parts.special).forEach((piece, i) => {
      if (i % 2 === 1) out.push(this.parts.special.get(piece) as number);
      else for (const word of this.words(piece)) for (const id of this.encodeWord(word)) out.push(id);
    });
    return out;
  }

  private *words(text: string): Generator<string, void, void> {
    const pieces = this.parts.splitsDigits ? text.split(/(\p{N})/u) : [text];
    for (const piece of pieces) for (const [word] of piece.matchAll(pretokens())) yield word;
  }

  /** Ids of one pre-token. */
  encodeWord(word: string): readonly number[] {
    const known = this.cache.get(word);
    if (known) return known;
    const symbols: number[] = [];
    for (const character of toByteCharacters(word)) {
      const id = this.base[characterBytes.get(character) as number];
      if (id >= 0) symbols.push(id); // a byte that the vocabulary lacks has no token: as the reference without unk_token, it is dropped
    }
    const ids = symbols.length > CACHED_WORD ? this.joinLong(symbols) : this.joinShort(symbols);
    if (word.length <= CACHED_WORD) {
      if (this.cache.size >= CACHE_LIMIT) this.cache.clear();
      this.cache.set(word, ids);
    }
    return ids;
  }

  /** Joins the best pair, leftmost first, until none is left. Quadratic, and fastest for words. */
  private joinShort(symbols: number[]): number[] {
    for (;;) {
      let best: { rank: number; id: number } | undefined;
      let at = -1;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const join = this.joins.get(symbols[i] * this.size + symbols[i + 1]);
        if (join && (!best || join.rank < best.rank)) {
          best = join;
          at = i;
        }
      }
      if (!best) return symbols;
      symbols.splice(at, 2, best.id);
    }
  }

  /** The same result with a heap over a linked list, for long runs such as text without spaces. */
  private joinLong(symbols: number[]): number[] {
    const next = Int32Array.from(symbols, (_, i) => (i + 1 < symbols.length ? i + 1 : -1));
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const heap = new MinHeap<{ rank: number; id: number; at: number; left: number; right: number }>((a, b) => a.rank - b.rank || a.at - b.at);
    const offer = (at: number) => {
      if (at < 0 || next[at] < 0) return;
      const [left, right] = [symbols[at], symbols[next[at]]];
      const join = this.joins.get(left * this.size + right);
      if (join) heap.push({ ...join, at, left, right });
    };
    for (let i = 0; i < symbols.length; i++) offer(i);
    for (let top = heap.pop(); top; top = heap.pop()) {
      const { at, left, right, id } = top;
      const after = next[at];
      if (symbols[at] !== left || after < 0 || symbols[after] !== right) continue; // changed since it was offered
      symbols[at] = id;
      symbols[after] = -1;
      next[at] = next[after];
      if (next[at] >= 0) previous[next[at]] = at;
      next[after] = -1;
      offer(previous[at]);
      offer(at);
    }
    return symbols.filter((id) => id >= 0);
  }

  /** Bytes of a token; none for a special one. */
  private bytesOf(id: number): number[] {
    const token = this.tokens[id];
    if (token === undefined || this.parts.special.get(token) === id) return [];
    return Array.from(token, (character) => characterBytes.get(character) ?? 0x3f);
  }

  decode(ids: readonly number[]): string {
    return utf8Decoder().decode(Uint8Array.from(ids.flatMap((id) => this.bytesOf(id))));
  }

  stream() {
    const decoder = utf8Decoder();
    return {
      push: (id: number) => decoder.decode(Uint8Array.from(this.bytesOf(id)), { stream: true }),
      flush: () => decoder.decode(),
    };
  }

  toJson(): Record<string, unknown> {
    const { special, vocab, merges, splitsDigits } = this.parts;
    return tokenizerJson({
      added_tokens: [...special].map(([content, id]) => addedToken(id, content)),
      pre_tokenizer: splitsDigits ? byteLevelDigits : byteLevel(),
      decoder: byteLevelDecoder,
      model: bpeModel({ vocab: Object.fromEntries([...special, ...vocab].sort(([, a], [, b]) => a - b)), merges }),
    });
  }
}

/** A binary heap; `pop` gives the least element. */
class MinHeap<T> {
  private readonly items: T[] = [];
  private readonly compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.compare = compare;
  }

  push(item: T): void {
    const { items, compare } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compare(items[parent], item) <= 0) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const { items, compare } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && compare(items[child + 1], items[child]) < 0) child++;
      if (compare(items[child], last) >= 0) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return top;
  }
}
