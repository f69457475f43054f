import { OptionError } from "../../base/index.ts";
import { type Tokenizer, tokenBytes } from "../../tokenizers/index.ts";
import { type CodePoints, union } from "./code-points.ts";
import type { LocalTokens } from "./local-tokens.ts";
import { TokenTrie } from "./token-trie.ts";

/**
 * Tokens of at most so many bytes are looked up apart from longer ones, of which there are few: so a place from which
 * twenty characters may follow is for most tokens the same as one from which a thousand may.
 */
const SHORT_BYTES = 16;

/** The tokens of a tokenizer as bytes, in order. One serves any number of grammars. */
export class TokenVocabulary {
  /** Ids are below it. */
  readonly size: number;
  /** Bytes by id; undefined for special tokens and ids that are not taken. */
  readonly bytes: readonly (Uint8Array | undefined)[];
  /** The tokens of few bytes, then the others. @internal */
  readonly tries: readonly TokenTrie[];
  /** The characters that can be written, token by token; undefined where those are all. */
  readonly characters: CodePoints | undefined;
  /** What tokens do in automata that several grammars have, by name. @internal */
  readonly shared = new Map<string, LocalTokens>();

  /**
   * @param bytes of each token, by id; undefined for those that are no text
   * @throws OptionError when there are none
   */
  constructor(bytes: readonly (Uint8Array | undefined)[]) {
    const ids = [...bytes.keys()].filter((id) => bytes[id] !== undefined && bytes[id].length > 0);
    if (ids.length === 0) {
      throw new OptionError({
        where: "TokenVocabulary",
        expected: "tokens that are text",
        received: `${bytes.length} tokens, none of them text`,
        fix: "give the bytes of each token, undefined for special ones alone",
      });
    }
    this.size = bytes.length;
    this.bytes = bytes;
    const isShort = (id: number) => bytes[id]!.length <= SHORT_BYTES;
    const long = ids.filter((id) => !isShort(id));
    this.tries = [new TokenTrie(bytes, ids.filter(isShort)), ...(long.length > 0 ? [new TokenTrie(bytes, long)] : [])];
    this.characters = charactersOfTokens(ids.map((id) => bytes[id]!));
  }

  /** The vocabulary of a tokenizer. @throws OptionError for one whose tokens are no bytes of a text, such as BERT's */
  static of(tokenizer: Tokenizer): TokenVocabulary {
    return new TokenVocabulary(tokenBytes(tokenizer.toJson()));
  }
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
