import type { Encoding } from "./encoding.ts";

/** An encoding without what did not fit. */
export type Flat = Omit<Encoding, "overflowing">;

/** How many tokens of each text are kept, and from which end. */
export interface Cut {
  maxLength: number;
  truncation: "longest_first" | "only_first" | "only_second";
  truncationSide: "left" | "right";
  stride: number;
}

/**
 * What runs a tokenizer.json: Hugging Face's native library in Node; in a page, and where that is not installed, the
 * engine in JavaScript.
 */
export interface TokenizerEngine {
  readonly vocabSize: number;
  tokenToId(token: string): number | null;
  idToToken(id: number): string | null;
  /** The encoding, then the parts that did not fit. Offsets count code points. */
  encode(text: string, pair: string | undefined, addSpecialTokens: boolean, cut: Cut | undefined): Promise<Flat[]>;
  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string>;
  /** The text of tokens, special or not. */
  joinTokens(tokens: readonly string[]): string;
}
