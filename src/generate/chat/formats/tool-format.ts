import type { CallWriter } from "../call-writer.ts";
import type { CallGrammar } from "../grammar.ts";
import type { Parsing } from "../text-reader.ts";
import type { ChatTool } from "../tools.ts";

/** Families whose form of calls is known; others write one of these forms too. */
export const toolFormatNames = [
  "hermes",
  "qwen3-coder",
  "glm4.5",
  "glm4",
  "llama3",
  "llama4",
  "pythonic",
  "lfm2",
  "mistral",
  "mistral-args",
  "deepseek-v3",
  "deepseek-v3.1",
  "kimi-k2",
  "minimax-m2",
  "seed-oss",
  "deepseek-v3.2",
  "deepseek-v4",
  "nemotron",
  "tool-calls",
  "phi4",
  "command-r7b",
  "gemma4",
  "harmony",
  "json",
] as const;
/** A name of a form of calls. */
export type ToolFormatName = (typeof toolFormatNames)[number];

/** How a family of models writes the calls of tools. */
export interface ToolFormat {
  name: ToolFormatName;
  /** Texts that begin calls, anywhere in an answer. */
  begins: readonly string[];
  /**
   * Markers that are special tokens in some tokenizers: decoding must keep them, for what it leaves out cannot be
   * parsed.
   */
  keptTokens: readonly string[];
  /** Reads calls, after one of `begins`. Whether they are calls. @default there are none to read */
  read?: (calls: CallWriter, begin: string) => Parsing<boolean>;
  /** Reads calls that nothing marks, where an answer begins. @default an answer begins with no calls */
  readFirst?: (calls: CallWriter) => Parsing<boolean>;
  /** How a call is written. */
  call: (tool: ChatTool) => CallGrammar;
  /** What stands around all calls, and between two. @default nothing */
  around?: { before?: CallGrammar; between?: CallGrammar; after?: CallGrammar };
  /** Special tokens that end an answer with calls, besides the model's usual ones. @default none */
  endTokens?: readonly string[];
  /** Most calls of one answer. @default any number */
  mostCalls?: number;
  /** What a call begins with where nothing marks it. @default the first of `begins` */
  trigger?: string;
  /** Characters of the ids that the format's templates take, letters and digits. @default "call_" and 24 */
  idLength?: number;
}
