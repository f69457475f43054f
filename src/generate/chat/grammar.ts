/** What a text must be like, as data: an engine of grammars turns it into the tokens that may come next. */
import type { JsonSchema } from "./tools.ts";

/** Parts may stand in several places: a program that goes through them remembers those that it has seen. */
export type CallGrammar =
  /** The text itself. isMarker: it may be one special token, which stands for it. */
  | { kind: "literal"; text: string; isMarker?: boolean }
  /** JSON that a schema accepts; its references, "#/...", are looked up in root, or in itself. */
  | { kind: "schema"; schema: JsonSchema | boolean; root?: JsonSchema }
  /** Any text, also none, that a schema accepts as a string. */
  | TextGrammar
  /** One of several. */
  | { kind: "choice"; options: readonly CallGrammar[] }
  /** One after the other. */
  | { kind: "sequence"; items: readonly CallGrammar[] }
  /** The same several times, with a separator between two; without `most`, any number of times */
  | { kind: "repeat"; item: CallGrammar; separator?: CallGrammar; least: number; most?: number };

/** Text as it is, without quotes. */
export interface TextGrammar {
  kind: "text";
  /** What the text does not have in it. */
  without: string;
  /** What it does not have in it either: texts one behind the other, with white space between them or not. */
  nor?: readonly (readonly string[])[];
  /** What it must be as a string, by a schema. @default anything */
  schema?: JsonSchema;
  /** Where references of the schema are looked up. @default the schema */
  root?: JsonSchema;
}

export const literal = (text: string): CallGrammar => ({ kind: "literal", text });
export const marker = (text: string): CallGrammar => ({ kind: "literal", text, isMarker: true });
export const sequence = (...items: readonly CallGrammar[]): CallGrammar => ({ kind: "sequence", items });
export const choice = (options: readonly CallGrammar[]): CallGrammar =>
  options.length === 1 ? options[0] : { kind: "choice", options };
