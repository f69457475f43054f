/** type, enum, const. */

import type { Dfa } from "../dfa.ts";
import { anyOf, automaton, text } from "../expression.ts";
import {
  ALL_TYPES,
  anyValue,
  type Conditions,
  ofArrays,
  ofNumbers,
  ofObjects,
  only,
  type TypeName,
  types,
} from "./conditions.ts";
import { type Constraint, type KeywordReader, listOf, type SchemaContext } from "./constraint.ts";
import { placeOf, type SchemaNode, unsupported } from "./document.ts";
import { decimal, valueLanguage, wholeDecimal } from "./numbers.ts";

export const valueKeywords: KeywordReader = (node, schema, context) => [
  ...(schema.type === undefined ? [] : [typeConstraint(node, schema.type, context)]),
  ...(schema.enum === undefined
    ? []
    : [enumConstraint(node, "enum", listOf(context, node, "enum", schema.enum), context)]),
  ...(schema.const === undefined ? [] : [enumConstraint(node, "const", [schema.const], context)]),
];

function typeConstraint(node: SchemaNode, type: unknown, { document, languages }: SchemaContext): Constraint {
  const path = `${node.path}/type`;
  const names = [type].flat();
  const isName = (name: unknown) => name === "integer" || Object.hasOwn(types, String(name));
  if (names.length === 0 || !names.every(isName))
    throw document.fault(path, `a type: ${[...Object.keys(types), "integer"].join(", ")}, or a list of some`, type);
  const mask = names.reduce<number>((all, name) => all | (types[name as TypeName] ?? types.number), 0);
  const isWhole = names.includes("integer") && !names.includes("number");
  return {
    holds: () => [only(mask, isWhole ? ofNumbers({ isWhole }) : anyValue)],
    fails: () => {
      const others = only(ALL_TYPES & ~mask, anyValue);
      if (!isWhole) return others.types === 0 ? [] : [others];
      const where = placeOf(path);
      const broken = languages.difference(languages.of(decimal, where), languages.of(wholeDecimal, where), where);
      return [others, only(types.number, ofNumbers({ language: broken, digits: "significant" }))];
    },
  };
}

/** One of some values. Lists and objects are said by what their parts are. */
function enumConstraint(
  node: SchemaNode,
  keyword: string,
  values: readonly unknown[],
  context: SchemaContext,
): Constraint {
  const { document, languages } = context;
  const path = `${node.path}/${keyword}`;
  const where = placeOf(path);
  const composite = values.filter((value) => typeof value === "object" && value !== null);
  const constants = (value: unknown, name: string) => [
    { node: document.constant(value, `${path}/${name}`), isNegated: false },
  ];
  const valuesOf = (type: string) => values.filter((value) => typeof value === type);
  const strings = () => languages.of(anyOf(valuesOf("string").map((value) => text(value as string))), where);
  const numbers = () => valuesOf("number").map((value) => valueLanguage(value as number, languages, where));
  const booleans = (values.includes(true) ? 1 : 0) | (values.includes(false) ? 2 : 0);
  return {
    holds: () => {
      const mask =
        (values.includes(null) ? types.null : 0) |
        (booleans ? types.boolean : 0) |
        (valuesOf("number").length > 0 ? types.number : 0) |
        (valuesOf("string").length > 0 ? types.string : 0);
      const scalars: Conditions = {
        ...only(mask, anyValue),
        booleans,
        ...(mask & types.number && {
          numbers: { language: joined(numbers(), where, context), isWhole: false, isExact: true, digits: "no" },
        }),
        ...(mask & types.string && { strings: { ...anyValue.strings, language: strings() } }),
      };
      return [...(mask ? [scalars] : []), ...composite.map((value) => compositeConditions(value!, constants))];
    },
    fails: () => {
      if (composite.length > 0) {
        throw unsupported(
          path,
          "values that are no lists or objects, where others are to be excluded",
          "compare the properties that tell the values apart",
        );
      }
      const language = numbers().reduce<Dfa | undefined>(
        (rest, value) => languages.difference(rest ?? languages.of(decimal, where), value, where),
        undefined,
      );
      const mask = values.includes(null) ? ALL_TYPES & ~types.null : ALL_TYPES;
      return [
        {
          ...only(booleans === 3 ? mask & ~types.boolean : mask, anyValue),
          booleans: 3 & ~booleans,
          numbers: { ...anyValue.numbers, language, digits: language ? "significant" : "no" },
          strings: {
            ...anyValue.strings,
            ...(valuesOf("string").length > 0 && { language: languages.complement(strings(), where) }),
          },
        },
      ];
    },
  };
}

function joined(parts: readonly Dfa[], where: string, { languages }: SchemaContext): Dfa {
  return languages.of(anyOf(parts.map(automaton)), where);
}

function compositeConditions(
  value: object,
  constants: (value: unknown, name: string) => { node: SchemaNode; isNegated: boolean }[],
): Conditions {
  if (Array.isArray(value)) {
    const prefix = value.map((item, i) => constants(item, String(i)));
    return only(types.array, ofArrays({ min: value.length, max: value.length, items: [{ prefix, rest: [] }] }));
  }
  const entries = Object.entries(value);
  const properties = new Map(entries.map(([name, item]) => [name, constants(item, name)]));
  const max = entries.length;
  const members = [{ properties, patterns: [], additional: [] }];
  return only(types.object, ofObjects({ members, required: new Set(properties.keys()), max }));
}
