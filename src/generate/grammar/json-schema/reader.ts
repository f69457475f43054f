import type { Languages } from "../languages.ts";
import { requireWithin } from "../limits.ts";
import { arrayKeywords } from "./array-keywords.ts";
import { combiningKeywords } from "./combining-keywords.ts";
import {
  type All,
  allOf,
  anyValue,
  both,
  type Conditions,
  itemSchema,
  type Literal,
  nameOf,
  types,
} from "./conditions.ts";
import type { Constraint, SchemaContext } from "./constraint.ts";
import { placeOf, type SchemaDocument, type SchemaNode } from "./document.ts";
import { numberKeywords } from "./number-keywords.ts";
import { objectKeywords } from "./object-keywords.ts";
import { stringKeywords } from "./string-keywords.ts";
import { unevaluatedKeywords } from "./unevaluated-keywords.ts";
import { valueKeywords } from "./value-keywords.ts";

const readers = [
  valueKeywords,
  numberKeywords,
  stringKeywords,
  arrayKeywords,
  objectKeywords,
  combiningKeywords,
  unevaluatedKeywords,
];

/** How deep two schemas are compared for what excludes them: a discriminating property may stand in a property. */
const COMPARED_DEPTH = 4;

/** Brings schemas into alternatives of conditions. */
export class SchemaReader implements SchemaContext {
  readonly document: SchemaDocument;
  readonly languages: Languages;
  private readonly known = new Map<string, readonly Conditions[]>();
  private readonly open = new Set<string>();
  private readonly constraints = new Map<SchemaNode, readonly Constraint[]>();
  private combinations = 0;

  constructor(document: SchemaDocument, languages: Languages) {
    this.document = document;
    this.languages = languages;
  }

  alternatives(schemas: All): readonly Conditions[] {
    const name = nameOf(schemas);
    const known = this.known.get(name);
    if (known) return known;
    if (this.open.has(name)) {
      throw this.document.fault(
        schemas[0].node.path,
        "references that lead to a value of their own before they come back",
        "a schema that is its own condition",
      );
    }
    requireWithin(
      "references",
      this.open.size,
      placeOf(schemas[0]?.node.path ?? "#"),
      "schemas that refer to one another",
    );
    this.open.add(name);
    let all: readonly Conditions[] = [anyValue];
    if (schemas.length === 1) all = this.ofLiteral(schemas[0]);
    else for (const schema of schemas) all = this.product(all, this.alternatives([schema]), schema.node.path);
    this.open.delete(name);
    this.known.set(name, all);
    return all;
  }

  private ofLiteral({ node, isNegated }: Literal): readonly Conditions[] {
    if (typeof node.schema === "boolean") return node.schema === isNegated ? [] : [anyValue];
    const constraints = this.constraintsOf(node);
    if (isNegated) {
      const all = constraints.flatMap((constraint) => constraint.fails());
      requireWithin("alternatives", all.length, placeOf(node.path), "alternatives");
      return all;
    }
    return constraints.reduce<readonly Conditions[]>(
      (all, constraint) => this.product(all, constraint.holds(), node.path),
      [anyValue],
    );
  }

  private constraintsOf(node: SchemaNode): readonly Constraint[] {
    const known = this.constraints.get(node);
    if (known) return known;
    const keywords = this.document.keywords(node);
    const schema = node.schema as Readonly<Record<string, unknown>>;
    const followed = Object.fromEntries(keywords.map((keyword) => [keyword, schema[keyword]]));
    const constraints = readers.flatMap((read) => read(node, followed, this));
    this.constraints.set(node, constraints);
    return constraints;
  }

  product(a: readonly Conditions[], b: readonly Conditions[], path: string): readonly Conditions[] {
    const where = placeOf(path);
    this.combinations += a.length * b.length;
    requireWithin("combinations", this.combinations, where, "combinations of keywords");
    const all = a.flatMap((first) =>
      b.flatMap((second) => {
        if (second === anyValue) return [first];
        if (first === anyValue) return [second];
        return both(first, second, this.languages, where) ?? [];
      }),
    );
    requireWithin("alternatives", all.length, where, "alternatives");
    return all;
  }

  isSurelyEmpty(schemas: All): boolean {
    return this.isEmptyWithin(schemas, COMPARED_DEPTH);
  }

  private isEmptyWithin(schemas: All, depth: number): boolean {
    if (schemas.length === 0) return false;
    if (schemas.some(({ node, isNegated }) => node.schema === isNegated)) return true;
    if (depth === 0 || this.open.has(nameOf(schemas))) return false;
    return this.alternatives(schemas).every((conditions) => this.haveNone(conditions, depth));
  }

  /** Whether plainly no value meets some conditions. */
  private haveNone(conditions: Conditions, depth: number): boolean {
    if (conditions.types & ~(types.array | types.object)) return false;
    const { arrays, objects } = conditions;
    if (conditions.types & types.object) {
      const { members, required } = objects;
      // what a pattern says of a required property is left aside: an object that seems possible harms nothing
      const isImpossible = [...required].some((name) =>
        this.isEmptyWithin(
          allOf(
            ...members.map(
              ({ properties, patterns, additional }) =>
                properties.get(name) ?? (patterns.length === 0 ? additional : []),
            ),
          ),
          depth - 1,
        ),
      );
      if (!isImpossible) return false;
    }
    if (conditions.types & types.array) {
      const least = Math.min(arrays.min, 16);
      const isImpossible = Array.from({ length: least }, (_, place) => itemSchema(arrays.items, place)).some((schema) =>
        this.isEmptyWithin(schema, depth - 1),
      );
      if (!isImpossible) return false;
    }
    return true;
  }
}
