import { anyOf } from "./json-parts.ts";

export interface PlainEncodeOptions {
  /** Add what the model expects around a text. @default true, where the tokenizer has such a rule */
  addSpecialTokens?: boolean;
  /** Special tokens written out in the text are plain text. @default what tokenizer_config.json says, else false */
  isLiteral?: boolean;
}

/** Turns text into token ids and back. Some tokenizers answer at once, others later. */
export interface Tokenizer {
  readonly vocabSize: number;
  /** Id of the token that separates documents, or null. */
  readonly endOfTextId: number | null;
  /** Texts that stand for special tokens. */
  readonly specialTexts: readonly string[];
  /** Ids of the text. Special tokens written out in the text become their ids. */
  encode(text: string, options?: PlainEncodeOptions): number[] | Promise<number[]>;
  /** The text of ids; special tokens are left out, bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string | Promise<string>;
  /** Decodes ids one by one: each call gives the text that is certain by now. */
  stream(): AnyTokenStream;
  /** The object that Hugging Face's tokenizer.json holds. */
  toJson(): Record<string, unknown>;
}

export interface AnyTokenStream {
  push(id: number): string | Promise<string>;
  /** What is left at the end. */
  flush(): string | Promise<string>;
}

/** A tokenizer that answers at once. */
export interface PromptTokenizer extends Tokenizer {
  encode(text: string, options?: PlainEncodeOptions): number[];
  decode(ids: readonly number[]): string;
  stream(): { push(id: number): string; flush(): string };
}

export const END_OF_TEXT = "<|endoftext|>";

/** Splits a text at special tokens; odd pieces are the tokens themselves. */
export function splitSpecial(text: string, special: ReadonlyMap<string, number>): string[] {
  if (special.size === 0) return [text];
  return text.split(new RegExp(`(${anyOf(special.keys())})`, "u"));
}
