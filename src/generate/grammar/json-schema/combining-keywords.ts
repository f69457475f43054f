/** allOf, anyOf, oneOf, not, if, $ref. */
import { type All, allOf, anyValue, type Conditions, type Literal } from "./conditions.ts";
import { type Constraint, fails, holds, type KeywordReader, listOf, type SchemaContext } from "./constraint.ts";
import type { SchemaNode } from "./document.ts";

type Schema = Readonly<Record<string, unknown>>;

export const combiningKeywords: KeywordReader = (node, schema, context) => [
  ...(schema.$ref === undefined ? [] : [reference(node, context)]),
  ...(schema.allOf === undefined ? [] : [allConstraint(schemasOf(node, "allOf", schema, context), context)]),
  ...(schema.anyOf === undefined ? [] : [anyConstraint(schemasOf(node, "anyOf", schema, context), context)]),
  ...(schema.oneOf === undefined ? [] : [oneConstraint(schemasOf(node, "oneOf", schema, context), context)]),
  ...(schema.not === undefined ? [] : [opposite(node, schema.not, context)]),
  ...(schema.if === undefined ? [] : [conditional(node, schema, context)]),
];

function schemasOf(node: SchemaNode, keyword: string, schema: Schema, context: SchemaContext): Literal[] {
  const list = listOf(context, node, keyword, schema[keyword]);
  if (list.length === 0) throw context.document.fault(`${node.path}/${keyword}`, "at least one schema", list);
  return list.map((value, i) => ({
    node: context.document.child(node, `${keyword}/${i}`, value),
    isNegated: false,
  }));
}

const negated = ({ node, isNegated }: Literal): Literal => ({ node, isNegated: !isNegated });

/** Alternatives, each of which is schemas that must all hold. */
const anyOf = (context: SchemaContext, options: readonly All[]): Conditions[] =>
  options.flatMap((option) => context.alternatives(option));

function reference(node: SchemaNode, context: SchemaContext): Constraint {
  const target = { node: context.document.target(node), isNegated: false };
  return {
    holds: () => context.alternatives([target]),
    fails: () => context.alternatives([negated(target)]),
  };
}

function allConstraint(schemas: readonly Literal[], context: SchemaContext): Constraint {
  return {
    holds: () => context.alternatives(allOf(schemas)),
    fails: () =>
      anyOf(
        context,
        schemas.map((schema) => [negated(schema)]),
      ),
  };
}

function anyConstraint(schemas: readonly Literal[], context: SchemaContext): Constraint {
  return {
    holds: () =>
      anyOf(
        context,
        schemas.map((schema) => [schema]),
      ),
    fails: () => context.alternatives(allOf(schemas.map(negated))),
  };
}

/** Exactly one: where two cannot both hold, nothing need be excluded. */
function oneConstraint(schemas: readonly Literal[], context: SchemaContext): Constraint {
  const overlaps = (a: Literal, b: Literal) => a !== b && !context.isSurelyEmpty(allOf([a], [b]));
  return {
    holds: () =>
      anyOf(
        context,
        schemas.map((schema) => allOf([schema], schemas.filter((other) => overlaps(schema, other)).map(negated))),
      ),
    fails: () => [
      ...context.alternatives(allOf(schemas.map(negated))),
      ...anyOf(
        context,
        schemas.flatMap((a, i) =>
          schemas
            .slice(i + 1)
            .filter((b) => overlaps(a, b))
            .map((b) => allOf([a], [b])),
        ),
      ),
    ],
  };
}

function opposite(node: SchemaNode, value: unknown, context: SchemaContext): Constraint {
  return {
    holds: () => context.alternatives(fails(context, node, "not", value)),
    fails: () => context.alternatives(holds(context, node, "not", value)),
  };
}

function conditional(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint {
  const part = (keyword: string, isHeld: boolean): All => {
    if (isHeld) return schema[keyword] === undefined ? [] : holds(context, node, keyword, schema[keyword]);
    return fails(context, node, keyword, schema[keyword] ?? true);
  };
  if (schema.then === undefined && schema.else === undefined) return { holds: () => [anyValue], fails: () => [] };
  return {
    holds: () =>
      anyOf(context, [allOf(part("if", true), part("then", true)), allOf(part("if", false), part("else", true))]),
    fails: () =>
      anyOf(context, [allOf(part("if", true), part("then", false)), allOf(part("if", false), part("else", false))]),
  };
}
