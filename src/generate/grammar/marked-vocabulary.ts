import { type PackedJson, type Tokenizer, tokenBytes, unpackJson } from "../../tokenizers/index.ts";
import { TokenVocabulary } from "./vocabulary.ts";

/** What a vocabulary with marks needs of a tokenizer: data, which a thread may be sent. */
export interface VocabularySource {
  /** What of its tokenizer.json tells the bytes of tokens. */
  readonly json: PackedJson;
  /** Ids of its special tokens. */
  readonly specialIds: readonly number[];
  /** Texts that are marks, with their ids. */
  readonly marks: readonly (readonly [text: string, id: number])[];
}

/** First byte of what stands for a mark: no text has it, and no token of the vocabulary that is text. */
const MARK = 0xff;
/** Second byte for special tokens that are no marks. */
const OTHER = 0xff;
/** Most marks; a format has some ten. */
const MOST_MARKS = 128;

/** The bytes that stand for any special token that is no mark. */
export const otherBytes: readonly number[] = [MARK, OTHER];

/** The marks of a vocabulary. */
export interface TokenMarks {
  /** The bytes of each mark that is a token; other marks are written as text. */
  readonly bytes: ReadonlyMap<string, readonly number[]>;
  /** Whether a blank comes before text that follows a special token: SentencePiece's way, with "▁" for blanks. */
  readonly addsBlanks: boolean;
}

/**
 * A vocabulary in which tokens may be marks: each stands for bytes that no text has, so that a grammar can ask for it,
 * and no text can imitate it.
 */
export interface MarkedVocabulary extends TokenMarks {
  readonly vocabulary: TokenVocabulary;
}

/** What a vocabulary with some texts as marks, where they are tokens, needs of a tokenizer. */
export function vocabularySource(tokenizer: Tokenizer, texts: readonly string[]): VocabularySource {
  const idOf = (text: string) => tokenizer.tokenToId(text) ?? -1;
  const marks = [...new Set(texts)].filter((text) => text !== "" && idOf(text) >= 0).slice(0, MOST_MARKS);
  const { parts, lists, ...traits } = tokenizer.packedJson;
  const { added_tokens, decoder, model } = parts;
  return {
    json: { ...traits, parts: { added_tokens, decoder, model }, lists: { vocab: lists.vocab } },
    specialIds: tokenizer.specialTexts.map(idOf).filter((id) => id >= 0),
    marks: marks.map((text) => [text, idOf(text)]),
  };
}

/** The marks of a vocabulary of some source. */
export const tokenMarks = ({ json, marks }: VocabularySource): TokenMarks => ({
  bytes: new Map(marks.map(([text], i) => [text, [MARK, i]])),
  addsBlanks: JSON.stringify(json.parts.decoder).includes("▁"),
});

/**
 * The bytes that stand for each token, where special tokens and marks stand for such as no text has.
 * @throws OptionError for a tokenizer whose tokens are no bytes of a text, as BERT's
 */
export function markedBytes({ json, specialIds, marks }: VocabularySource): (Uint8Array | undefined)[] {
  const tokens = tokenBytes(unpackJson(json)).map((bytes) => (bytes?.some((byte) => byte >= 0xfe) ? undefined : bytes));
  for (const id of specialIds) tokens[id] = Uint8Array.from(otherBytes);
  for (const [i, [, id]] of marks.entries()) tokens[id] = Uint8Array.of(MARK, i);
  return tokens;
}

/**
 * The vocabulary of a tokenizer with some texts as marks, where they are tokens, special or not.
 * @throws as `markedBytes`
 */
export function markedVocabulary(tokenizer: Tokenizer, texts: readonly string[]): MarkedVocabulary {
  const source = vocabularySource(tokenizer, texts);
  return { vocabulary: new TokenVocabulary(markedBytes(source)), ...tokenMarks(source) };
}
