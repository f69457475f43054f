import { type Tokenizer, tokenBytes } from "../../tokenizers/index.ts";
import { TokenVocabulary } from "./vocabulary.ts";

/** What a vocabulary needs of a tokenizer. */
export type VocabularySource = Pick<Tokenizer, "toJson" | "specialTexts" | "tokenToId">;

/** First byte of what stands for a mark: no text has it, and no token of the vocabulary that is text. */
const MARK = 0xff;
/** Second byte for special tokens that are no marks. */
const OTHER = 0xff;
/** Most marks; a format has some ten. */
const MOST_MARKS = 128;

/** The bytes that stand for any special token that is no mark. */
export const otherBytes: readonly number[] = [MARK, OTHER];

/**
 * A vocabulary in which tokens may be marks: each stands for bytes that no text has, so that a grammar can ask for it,
 * and no text can imitate it.
 */
export interface MarkedVocabulary {
  vocabulary: TokenVocabulary;
  /** The bytes of each mark that is a token; other marks are written as text. */
  bytes: ReadonlyMap<string, readonly number[]>;
  /** Whether a blank comes before text that follows a special token: SentencePiece's way, with "▁" for blanks. */
  addsBlanks: boolean;
}

/**
 * The vocabulary of a tokenizer with some texts as marks, where they are tokens, special or not.
 * @throws OptionError for a tokenizer whose tokens are no bytes of a text, as BERT's
 */
export function markedVocabulary(tokenizer: VocabularySource, texts: readonly string[]): MarkedVocabulary {
  const json = tokenizer.toJson();
  const tokens = tokenBytes(json).map((bytes) => (bytes?.some((byte) => byte >= 0xfe) ? undefined : bytes));
  const idOf = (text: string) => tokenizer.tokenToId(text) ?? -1;
  for (const id of tokenizer.specialTexts.map(idOf)) if (id >= 0) tokens[id] = Uint8Array.from(otherBytes);
  const marks = [...new Set(texts)].filter((text) => text !== "" && idOf(text) >= 0).slice(0, MOST_MARKS);
  const bytes = new Map(marks.map((text, i) => [text, [MARK, i]]));
  for (const [text, mark] of bytes) tokens[idOf(text)] = Uint8Array.from(mark);
  const addsBlanks = JSON.stringify(json.decoder).includes("▁");
  return { vocabulary: new TokenVocabulary(tokens), bytes, addsBlanks };
}
