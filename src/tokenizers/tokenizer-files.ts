import type { TokenizerEngine } from "./engine.ts";
import type { AddedToken, Json } from "./json-parts.ts";
import type { PackedJson } from "./packed-json.ts";
import type { SpecialTokens, TokenizerSettings } from "./settings.ts";

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

/** The same, as a tokenizer keeps it. */
export type KeptFiles = Omit<TokenizerFiles, "json"> & { readonly json: PackedJson };

/** What a tokenizer works with, made when it is opened: a program that opens none does not load these parts. */
export interface TokenizerParts {
  /** With the tokens of the settings. */
  readonly files: KeptFiles;
  readonly rules: TokenizerSettings;
  readonly special: SpecialTokens;
  readonly engine: TokenizerEngine;
  /** The same with other added tokens. */
  readonly engineWith: (addedTokens: readonly AddedToken[]) => Promise<TokenizerEngine>;
  /** Evaluates chat templates. */
  readonly Template: typeof import("./jinja/template.ts").Template;
}
