import { corpusEncoder, type Tokenizer } from "../../tokenizers/index.ts";

/** What is done about the tokens of a text. */
export interface EncodeTextsOptions {
  /** Whether the tokenizer adds what belongs around a text, such as [CLS] and [SEP]. */
  addSpecialTokens: boolean;
  /** Tokens behind those that are kept are left out; of a text that ends in `endId`, that stays. */
  maxTokens: number;
  /** A token that is put behind each text, such as the one that ends a document. @default none */
  endId: number | undefined;
}

/** Tokens of several texts, one after another. */
export interface EncodedTexts {
  ids: Int32Array;
  /** Tokens of each. */
  lengths: Uint32Array;
}

/** Encodes texts, some at a time. */
export function textsEncoder(
  tokenizer: Tokenizer,
  { addSpecialTokens, maxTokens, endId }: EncodeTextsOptions,
): (texts: readonly string[]) => Promise<EncodedTexts> {
  const encode = addSpecialTokens ? (text: string) => tokenizer.encode(text) : corpusEncoder(tokenizer);
  const most = endId === undefined ? maxTokens : maxTokens - 1;
  return async (texts) => {
    // the native library encodes several at the same time
    const rows = await Promise.all(texts.map(encode));
    const lengths = Uint32Array.from(rows, (row) => Math.min(row.length, most) + (endId === undefined ? 0 : 1));
    const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const [i, row] of rows.entries()) {
      ids.set(row.length > most ? row.slice(0, most) : row, at);
      at += lengths[i];
      if (endId !== undefined) ids[at - 1] = endId;
    }
    return { ids, lengths };
  };
}
