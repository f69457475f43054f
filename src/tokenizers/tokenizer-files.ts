import type { Json } from "./json-parts.ts";

/** A tokenizer's file, and what the files beside it say. */
export interface TokenizerFiles {
  /** Its path, for messages. */
  readonly file: string;
  /** What a tokenizer.json holds. */
  readonly json: Json;
  /** What tokenizer_config.json holds, older files included. */
  readonly config?: Json;
  /** The model's config.json, which may tell the tokenizer's class. */
  readonly modelConfig?: Json;
  /** Whether the file itself is a tokenizer.json. @default true */
  readonly isOriginal?: boolean;
}
