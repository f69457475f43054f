/** items, prefixItems, additionalItems, minItems, maxItems, contains, uniqueItems. */
import { type All, ofArrays, only, types } from "./conditions.ts";
import {
  type Constraint,
  fails,
  holds,
  type KeywordReader,
  listOf,
  type SchemaContext,
  wholeNumber,
} from "./constraint.ts";
import { type SchemaNode, unsupported } from "./document.ts";

type Schema = Readonly<Record<string, unknown>>;

export const arrayKeywords: KeywordReader = (node, schema, context) => [
  ...countConstraints(node, schema, context),
  ...itemConstraints(node, schema, context),
  ...containsConstraints(node, schema, context),
  ...uniqueConstraints(node, schema, context),
];

function countConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  const constraints: Constraint[] = [];
  if (schema.minItems !== undefined) {
    const min = wholeNumber(context, node, "minItems", schema.minItems);
    constraints.push({
      holds: () => [ofArrays({ min })],
      fails: () => (min === 0 ? [] : [only(types.array, ofArrays({ max: min - 1 }))]),
    });
  }
  if (schema.maxItems !== undefined) {
    const max = wholeNumber(context, node, "maxItems", schema.maxItems);
    constraints.push({
      holds: () => [ofArrays({ max })],
      fails: () => [only(types.array, ofArrays({ min: max + 1 }))],
    });
  }
  return constraints;
}

/** The schemas of the first items and of the rest: prefixItems and items, or before 2020 items and additionalItems. */
function partsOf(node: SchemaNode, schema: Schema, context: SchemaContext) {
  const { document } = context;
  const isList = Array.isArray(schema.items);
  if (isList && document.isModern && schema.prefixItems !== undefined)
    throw document.fault(`${node.path}/items`, "a schema, beside prefixItems", schema.items);
  const first = isList ? "items" : "prefixItems";
  const rest = isList ? "additionalItems" : "items";
  return { first, rest, prefix: schema[first] === undefined ? [] : listOf(context, node, first, schema[first]) };
}

function itemConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  const { first, rest, prefix } = partsOf(node, schema, context);
  const restValue = schema[rest];
  if (prefix.length === 0 && restValue === undefined) return [];
  const restSchema: All = restValue === undefined ? [] : holds(context, node, rest, restValue);
  const at = (i: number) => `${first}/${i}`;
  return [
    {
      holds: () => [
        ofArrays({
          items: [{ prefix: prefix.map((value, i) => holds(context, node, at(i), value)), rest: restSchema }],
        }),
      ],
      fails: () => {
        const misfits = prefix.map((value, i) => {
          const places: All[] = prefix.slice(0, i).map(() => []);
          places.push(fails(context, node, at(i), value));
          return only(types.array, ofArrays({ min: i + 1, items: [{ prefix: places, rest: [] }] }));
        });
        if (restSchema.length === 0) return misfits;
        if (restValue === false) return [...misfits, only(types.array, ofArrays({ min: prefix.length + 1 }))];
        if (prefix.length > 0)
          throw unsupported(`${node.path}/${rest}`, "no opposite of what further items are", "leave it out");
        const misfit = { schema: fails(context, node, rest, restValue), min: 1, max: Number.POSITIVE_INFINITY };
        return [only(types.array, ofArrays({ contains: [misfit] }))];
      },
    },
  ];
}

function containsConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  if (schema.contains === undefined) return [];
  const least = wholeNumber(context, node, "minContains", schema.minContains ?? 1);
  const most =
    schema.maxContains === undefined
      ? Number.POSITIVE_INFINITY
      : wholeNumber(context, node, "maxContains", schema.maxContains);
  const counted = (min: number, max: number) => ({
    schema: holds(context, node, "contains", schema.contains),
    min,
    max,
  });
  const infinite = Number.POSITIVE_INFINITY;
  return [
    {
      holds: () => [ofArrays({ contains: [counted(least, most)] })],
      fails: () => [
        ...(least === 0 ? [] : [only(types.array, ofArrays({ contains: [counted(0, least - 1)] }))]),
        ...(most === infinite ? [] : [only(types.array, ofArrays({ contains: [counted(most + 1, infinite)] }))]),
      ],
    },
  ];
}

function uniqueConstraints(node: SchemaNode, { uniqueItems }: Schema, { document }: SchemaContext): Constraint[] {
  const path = `${node.path}/uniqueItems`;
  if (uniqueItems !== undefined && typeof uniqueItems !== "boolean")
    throw document.fault(path, "true or false", uniqueItems);
  if (!uniqueItems) return [];
  return [
    {
      holds: () => [ofArrays({ unique: path })],
      fails: () => {
        throw unsupported(path, "no opposite of it", "leave it out");
      },
    },
  ];
}
