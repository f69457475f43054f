/** What must hold of a value, by its type: the one form that all keywords are brought into. */
import type { Dfa } from "../dfa.ts";
import { isEmptyLanguage, type Languages } from "../languages.ts";
import type { SchemaNode } from "./document.ts";

/** The types of JSON, as bits. */
export const types = { null: 1, boolean: 2, number: 4, string: 8, array: 16, object: 32 } as const;
export type TypeName = keyof typeof types;
export const ALL_TYPES = 63;

/** A schema that must hold, or must not. */
export interface Literal {
  readonly node: SchemaNode;
  readonly isNegated: boolean;
}

/** Schemas that must all hold. */
export type All = readonly Literal[];

/** Of numbers: those of a language of decimals. */
export interface NumberConditions {
  /** @default any number, with an exponent or without */
  readonly language?: Dfa;
  readonly isWhole: boolean;
  /** Whether each value is to be written in one way alone. */
  readonly isExact: boolean;
  /**
   * How exactly values are to be told apart: where it matters what their last digits are, only those digits are written
   * that a number of 64 bits keeps, and for multiples no larger numbers. "no" where rounding changes nothing.
   */
  readonly digits: "no" | "significant" | "all";
}

/** Of strings: those of a language, with so many characters. */
export interface StringConditions {
  readonly language?: Dfa;
  readonly min: number;
  readonly max: number;
}

/** What one schema says of items: of the first ones each, and of the rest. */
export interface ItemRule {
  readonly prefix: readonly All[];
  readonly rest: All;
}

export interface ArrayConditions {
  readonly min: number;
  readonly max: number;
  readonly items: readonly ItemRule[];
  readonly contains: readonly { readonly schema: All; readonly min: number; readonly max: number }[];
  /** Where it is said that all items differ; undefined where it is not. */
  readonly unique?: string;
}

/** What one schema says of properties. */
export interface MemberRule {
  readonly properties: ReadonlyMap<string, All>;
  readonly patterns: readonly { readonly source: string; readonly path: string; readonly schema: All }[];
  readonly additional: All;
}

export interface ObjectConditions {
  readonly members: readonly MemberRule[];
  readonly required: ReadonlySet<string>;
  readonly names: All;
  readonly min: number;
  readonly max: number;
  /** Where the least number of properties is asked for. */
  readonly minPath: string;
}

/** What must hold of a value, together. */
export interface Conditions {
  readonly types: number;
  /** 1: true may be, 2: false may be. */
  readonly booleans: number;
  readonly numbers: NumberConditions;
  readonly strings: StringConditions;
  readonly arrays: ArrayConditions;
  readonly objects: ObjectConditions;
}

const INFINITE = Number.POSITIVE_INFINITY;

/** Conditions that any value meets. */
export const anyValue: Conditions = {
  types: ALL_TYPES,
  booleans: 3,
  numbers: { isWhole: false, isExact: false, digits: "no" },
  strings: { min: 0, max: INFINITE },
  arrays: { min: 0, max: INFINITE, items: [], contains: [] },
  objects: { members: [], required: new Set(), names: [], min: 0, max: INFINITE, minPath: "" },
};

/** Conditions on values of one type, which those of others need not meet. */
export const ofNumbers = (numbers: Partial<NumberConditions>): Conditions => ({
  ...anyValue,
  numbers: { ...anyValue.numbers, ...numbers },
});
export const ofStrings = (strings: Partial<StringConditions>): Conditions => ({
  ...anyValue,
  strings: { ...anyValue.strings, ...strings },
});
export const ofArrays = (arrays: Partial<ArrayConditions>): Conditions => ({
  ...anyValue,
  arrays: { ...anyValue.arrays, ...arrays },
});
export const ofObjects = (objects: Partial<ObjectConditions>): Conditions => ({
  ...anyValue,
  objects: { ...anyValue.objects, ...objects },
});

/** The same conditions, of values of some types alone. */
export const only = (mask: number, conditions: Conditions): Conditions => ({
  ...conditions,
  types: conditions.types & mask,
});

/** What is said of one property alone. */
export const member = (name: string, schema: All): MemberRule => ({
  properties: new Map([[name, schema]]),
  patterns: [],
  additional: [],
});

/** Both conditions; undefined where no type is left. */
export function both(a: Conditions, b: Conditions, languages: Languages, where: string): Conditions | undefined {
  const mask = a.types & b.types;
  if (mask === 0) return undefined;
  return pruned({
    types: mask,
    booleans: a.booleans & b.booleans,
    numbers: {
      language: bothLanguages(a.numbers.language, b.numbers.language, languages, where),
      isWhole: a.numbers.isWhole || b.numbers.isWhole,
      isExact: a.numbers.isExact || b.numbers.isExact,
      digits: a.numbers.digits === "all" || b.numbers.digits === "no" ? a.numbers.digits : b.numbers.digits,
    },
    strings: {
      language: bothLanguages(a.strings.language, b.strings.language, languages, where),
      min: Math.max(a.strings.min, b.strings.min),
      max: Math.min(a.strings.max, b.strings.max),
    },
    arrays: {
      min: Math.max(a.arrays.min, b.arrays.min),
      max: Math.min(a.arrays.max, b.arrays.max),
      items: [...a.arrays.items, ...b.arrays.items],
      contains: [...a.arrays.contains, ...b.arrays.contains],
      unique: a.arrays.unique ?? b.arrays.unique,
    },
    objects: {
      members: [...a.objects.members, ...b.objects.members],
      required: new Set([...a.objects.required, ...b.objects.required]),
      names: allOf(a.objects.names, b.objects.names),
      min: Math.max(a.objects.min, b.objects.min),
      max: Math.min(a.objects.max, b.objects.max),
      minPath: a.objects.min >= b.objects.min ? a.objects.minPath : b.objects.minPath,
    },
  });
}

/** Conditions without the types of which plainly no value meets them; undefined where no type is left. */
function pruned(conditions: Conditions): Conditions | undefined {
  const { booleans, numbers, strings, arrays, objects } = conditions;
  const isNone = (language: Dfa | undefined) => language !== undefined && isEmptyLanguage(language);
  let mask = conditions.types;
  if (booleans === 0) mask &= ~types.boolean;
  if (isNone(numbers.language)) mask &= ~types.number;
  if (isNone(strings.language) || strings.min > strings.max) mask &= ~types.string;
  if (arrays.min > arrays.max) mask &= ~types.array;
  if (Math.max(objects.min, objects.required.size) > objects.max) mask &= ~types.object;
  return mask === 0 ? undefined : { ...conditions, types: mask };
}

const bothLanguages = (a: Dfa | undefined, b: Dfa | undefined, languages: Languages, where: string): Dfa | undefined =>
  a && b && a !== b ? languages.intersection(a, b, where) : (a ?? b);

/** All schemas of some lists, each once, in the order of the document. */
export function allOf(...lists: readonly All[]): All {
  const literals = new Map<string, Literal>();
  for (const list of lists) for (const literal of list) literals.set(nameOf([literal]), literal);
  return [...literals.values()].sort((a, b) => a.node.id - b.node.id || Number(a.isNegated) - Number(b.isNegated));
}

/** What tells lists of schemas apart. */
export const nameOf = (schemas: All): string =>
  schemas.map(({ node, isNegated }) => (isNegated ? `!${node.id}` : node.id)).join();

/** What must hold of the item at a place, of some rules. */
export const itemSchema = (rules: readonly ItemRule[], place: number): All =>
  allOf(...rules.map(({ prefix, rest }) => prefix[place] ?? rest));
