import { DataError } from "../ir/index.ts";
import { byteCharacters, characterBytes, pretokens, toByteCharacters } from "./byte-level.ts";
import { type Join, joinPairs } from "./join-pairs.ts";
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
  private readonly joins = new Map<number, Join>();
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
    const ids = joinPairs(symbols, (left, right) => this.joins.get(left * this.size + right)).ids;
    if (word.length <= CACHED_WORD) {
      if (this.cache.size >= CACHE_LIMIT) this.cache.clear();
      this.cache.set(word, ids);
    }
    return ids;
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
