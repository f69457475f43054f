import { OptionError } from "../../base/index.ts";
import { type Tokenizer, tokenBytes } from "../../tokenizers/index.ts";
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
  /** The tokens of one byte, by byte; -1 for none. */
  readonly singleBytes: Int32Array;

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
    this.singleBytes = new Int32Array(256).fill(-1);
    for (const id of ids) if (bytes[id]!.length === 1) this.singleBytes[bytes[id]![0]] = id;
  }

  /** The vocabulary of a tokenizer. @throws OptionError for one whose tokens are no bytes of a text, such as BERT's */
  static of(tokenizer: Tokenizer): TokenVocabulary {
    return new TokenVocabulary(tokenBytes(tokenizer.toJson()));
  }
}
