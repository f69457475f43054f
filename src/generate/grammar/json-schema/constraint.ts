import type { Languages } from "../languages.ts";
import type { All, Conditions } from "./conditions.ts";
import type { SchemaDocument, SchemaNode } from "./document.ts";

/** What one keyword, or several that belong together, say: as alternatives of which any is enough. */
export interface Constraint {
  /** Values that meet it. */
  holds(): readonly Conditions[];
  /** Values that do not. @throws OptionError naming the keyword, where that cannot be said by a grammar */
  fails(): readonly Conditions[];
}

/** What readers of keywords work with. */
export interface SchemaContext {
  readonly document: SchemaDocument;
  readonly languages: Languages;
  /** The alternatives of schemas that must all hold. */
  alternatives(schemas: All): readonly Conditions[];
  /** Whether it is plain that no value meets all the schemas. */
  isSurelyEmpty(schemas: All): boolean;
  /** All alternatives that are both in the one and in the other list. */
  product(a: readonly Conditions[], b: readonly Conditions[], path: string): readonly Conditions[];
}

/** Reads the keywords of one kind in a schema. */
export type KeywordReader = (
  node: SchemaNode,
  schema: Readonly<Record<string, unknown>>,
  context: SchemaContext,
) => Constraint[];

/** That a schema at a keyword holds. */
export const holds = ({ document }: SchemaContext, node: SchemaNode, name: string, value: unknown): All =>
  value === true ? [] : [{ node: document.child(node, name, value), isNegated: false }];

/** That it does not hold. */
export const fails = ({ document }: SchemaContext, node: SchemaNode, name: string, value: unknown): All => [
  { node: document.child(node, name, value), isNegated: true },
];

/** The whole number of a keyword. @throws OptionError for what is none */
export function wholeNumber({ document }: SchemaContext, node: SchemaNode, keyword: string, value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw document.fault(`${node.path}/${keyword}`, "a whole number of at least 0", value);
}

/** The object of a keyword. @throws OptionError for what is none */
export function objectOf(
  { document }: SchemaContext,
  node: SchemaNode,
  keyword: string,
  value: unknown,
): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw document.fault(`${node.path}/${keyword}`, "an object", value);
}

/** The list of a keyword. @throws OptionError for what is none */
export function listOf(
  { document }: SchemaContext,
  node: SchemaNode,
  keyword: string,
  value: unknown,
): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw document.fault(`${node.path}/${keyword}`, "a list", value);
}

/** The list of texts of a keyword. @throws OptionError for what is none */
export function namesOf(
  { document }: SchemaContext,
  node: SchemaNode,
  keyword: string,
  value: unknown,
): readonly string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw document.fault(`${node.path}/${keyword}`, "a list of names", value);
}
