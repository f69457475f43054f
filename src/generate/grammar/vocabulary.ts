import { OptionError } from "../../base/index.ts";
import { type Tokenizer, tokenBytes } from "../../tokenizers/index.ts";
import { type CodePoints, union } from "./code-points.ts";
import type { LocalTokens } from "./local-tokens.ts";
import { TokenTrie, type TrieTables, trieOf } from "./token-trie.ts";

/**
 * Tokens of at most so many bytes are looked up apart from longer ones, of which there are few: so a place from which
 * twenty characters may follow is for most tokens the same as one from which a thousand may.
 */
const SHORT_BYTES = 16;

/** What a vocabulary is worked out to: data, which a thread may hand over. */
export interface VocabularyTables {
  /** Ids are below it. */
  readonly size: number;
  /** The bytes of all tokens, one behind the other. */
  readonly bytes: Uint8Array;
  /** Where the bytes of each token begin, and where those of the last end. */
  readonly offsets: Int32Array; // [size + 1]
  /** 1 for each token that is text. */
  readonly isText: Uint8Array; // [size]
  readonly tries: readonly TrieTables[];
  readonly characters: CodePoints | undefined;
}

/** The tokens of a tokenizer as bytes, in order. One serves any number of grammars. */
export class TokenVocabulary {
  /** Ids are below it. */
  readonly size: number;
  /** The tokens of few bytes, then the others. @internal */
  readonly tries: readonly TokenTrie[];
  /** The characters that can be written, token by token; undefined where those are all. */
  readonly characters: CodePoints | undefined;
  /** What tokens do in automata that several grammars have, by name. @internal */
  readonly shared = new Map<string, LocalTokens>();
  private readonly tables: VocabularyTables;

  /**
   * @param tokens the bytes of each token, by id; undefined for those that are no text. Or what was worked out of them
   * @throws OptionError when there are none
   */
  constructor(tokens: readonly (Uint8Array | undefined)[] | VocabularyTables) {
    const tables = "tries" in tokens ? tokens : vocabularyTables(tokens);
    this.tables = tables;
    this.size = tables.size;
    this.tries = tables.tries.map((trie) => new TokenTrie(trie));
    this.characters = tables.characters;
  }

  /** The vocabulary of a tokenizer. @throws OptionError for one whose tokens are no bytes of a text, such as BERT's */
  static of(tokenizer: Tokenizer): TokenVocabulary {
    return new TokenVocabulary(tokenBytes(tokenizer.toJson()));
  }

  /** The bytes of a token; undefined for special tokens and ids that are not taken. */
  bytesOf(id: number): Uint8Array | undefined {
    const { bytes, offsets, isText } = this.tables;
    return isText[id] === 1 ? bytes.subarray(offsets[id], offsets[id + 1]) : undefined;
  }
}

/**
 * What is worked out of the bytes of tokens.
 * @throws OptionError when there are none
 */
export function vocabularyTables(tokens: readonly (Uint8Array | undefined)[]): VocabularyTables {
  const ids = [...tokens.keys()].filter((id) => tokens[id] !== undefined && tokens[id].length > 0);
  if (ids.length === 0) {
    throw new OptionError({
      where: "TokenVocabulary",
      expected: "tokens that are text",
      received: `${tokens.length} tokens, none of them text`,
      fix: "give the bytes of each token, undefined for special ones alone",
    });
  }
  const isShort = (id: number) => tokens[id]!.length <= SHORT_BYTES;
  const long = ids.filter((id) => !isShort(id));
  const offsets = new Int32Array(tokens.length + 1);
  for (const [id, token] of tokens.entries()) offsets[id + 1] = offsets[id] + (token?.length ?? 0);
  const bytes = new Uint8Array(offsets[tokens.length]);
  for (const id of ids) bytes.set(tokens[id]!, offsets[id]);
  return {
    size: tokens.length,
    bytes,
    offsets,
    isText: Uint8Array.from(tokens, (token) => (token ? 1 : 0)),
    tries: [trieOf(tokens, ids.filter(isShort)), ...(long.length > 0 ? [trieOf(tokens, long)] : [])],
    characters: charactersOfTokens(ids.map((id) => tokens[id]!)),
  };
}

/** The first and last bytes that characters of more than one byte have in UTF-8. */
const MULTIBYTE = [
  [0x80, 0xbf],
  [0xc2, 0xf4],
];

/** Characters that are tokens, or whose bytes all are; undefined for all. */
function charactersOfTokens(tokens: readonly Uint8Array[]): CodePoints | undefined {
  const hasByte = new Uint8Array(256);
  const characters: number[] = [];
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  for (const token of tokens) {
    if (token.length === 1) hasByte[token[0]] = 1;
    if (token.length > 4) continue;
    const text = utf8.decode(token);
    if (Array.from(text).length === 1 && text !== "\ufffd") characters.push(text.codePointAt(0)!);
  }
  const hasAll = (first: number, last: number) => hasByte.subarray(first, last + 1).every((has) => has === 1);
  const isBytewise = MULTIBYTE.every(([first, last]) => hasAll(first, last));
  if (isBytewise && hasAll(0, 0x7f)) return undefined;
  return union([...characters.map((code) => [code, code]), ...(isBytewise ? [[0x80, 0x10ffff]] : [])]);
}
