/** What a text must be like, as data: an engine of grammars turns it into the tokens that may come next. */
import type { JsonSchema } from "./tools.ts";

/** Parts may stand in several places: a program that goes through them remembers those that it has seen. */
export type CallGrammar =
  /** The text itself. isMarker: it may be one special token, which stands for it. */
  | { kind: "literal"; text: string; isMarker?: boolean }
  /** JSON that a schema accepts; its references, "#/...", are looked up in root, or in itself. */
  | { kind: "schema"; schema: JsonSchema | boolean; root?: JsonSchema }
  /** Any text, also none, that does not have another one in it. */
  | { kind: "text"; without: string }
  /** One of several. */
  | { kind: "choice"; options: readonly CallGrammar[] }
  /** One after the other. */
  | { kind: "sequence"; items: readonly CallGrammar[] }
  /** The same several times, with a separator between two; without `most`, any number of times */
  | { kind: "repeat"; item: CallGrammar; separator?: CallGrammar; least: number; most?: number };

export const literal = (text: string): CallGrammar => ({ kind: "literal", text });
export const marker = (text: string): CallGrammar => ({ kind: "literal", text, isMarker: true });
export const sequence = (...items: readonly CallGrammar[]): CallGrammar => ({ kind: "sequence", items });
export const choice = (options: readonly CallGrammar[]): CallGrammar =>
  options.length === 1 ? options[0] : { kind: "choice", options };
