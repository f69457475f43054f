import type { Dfa } from "../dfa.ts";
import type { Expression } from "../expression.ts";
import type { Languages } from "../languages.ts";
import type { All } from "./conditions.ts";
import type { SchemaDocument } from "./document.ts";

/** What lists and objects need of the writer of values. */
export interface ValueWriter {
  readonly document: SchemaDocument;
  readonly languages: Languages;
  /** Between a name and its value, between items, and at the other ends of values. */
  readonly colon: Expression;
  readonly comma: Expression;
  readonly space: Expression;
  /** What a value that meets all of some schemas is written as. */
  valueOf(schemas: All): Expression;
  /** The values that meet all of some schemas as JSON, where there are at most so many; undefined where not. */
  fewValues(schemas: All, most: number, where: string): string[] | undefined;
  /** Any name of a property. */
  readonly anyName: Expression;
  /** The names of a language. */
  name(language: Dfa, where: string): Expression;
  /** The names in which a pattern is found. */
  namesWith(source: string, path: string): Dfa;
  /** The names that meet all of some schemas; undefined for any. */
  namesOf(schemas: All, where: string): Dfa | undefined;
}
