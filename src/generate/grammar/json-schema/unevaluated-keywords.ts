/** unevaluatedProperties and unevaluatedItems, where what others have looked at does not depend on the value. */
import { type All, ofArrays, ofObjects } from "./conditions.ts";
import { type Constraint, holds, type KeywordReader, type SchemaContext } from "./constraint.ts";
import { type SchemaNode, unsupported } from "./document.ts";

type Schema = Readonly<Record<string, unknown>>;

/** What the keywords of a schema look at, the schemas that it refers to included. */
interface Evaluated {
  readonly names: Set<string>;
  readonly patterns: Map<string, string>;
  numItems: number;
  allProperties: boolean;
  allItems: boolean;
  /** Whether `contains` looks at items, which depends on what they are. */
  contains: boolean;
}

export const unevaluatedKeywords: KeywordReader = (node, schema, context) => [
  ...(schema.unevaluatedProperties === undefined ? [] : [propertyConstraint(node, schema, context)]),
  ...(schema.unevaluatedItems === undefined ? [] : [itemConstraint(node, schema, context)]),
];

const noOpposite = (node: SchemaNode, keyword: string) => () => {
  throw unsupported(`${node.path}/${keyword}`, "no opposite of it", "leave it out");
};

function propertyConstraint(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint {
  const keyword = "unevaluatedProperties";
  return {
    holds: () => {
      const { names, patterns, allProperties } = evaluatedBy(node, keyword, context);
      if (allProperties) return [ofObjects({})];
      const properties = new Map<string, All>([...names].map((name) => [name, []]));
      const looked = [...patterns].map(([source, path]) => ({ source, path, schema: [] }));
      const additional = holds(context, node, keyword, schema[keyword]);
      return [ofObjects({ members: [{ properties, patterns: looked, additional }] })];
    },
    fails: noOpposite(node, keyword),
  };
}

function itemConstraint(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint {
  const keyword = "unevaluatedItems";
  return {
    holds: () => {
      const { numItems, allItems } = evaluatedBy(node, keyword, context);
      if (allItems) return [ofArrays({})];
      const prefix = Array.from({ length: numItems }, (): All => []);
      return [ofArrays({ items: [{ prefix, rest: holds(context, node, keyword, schema[keyword]) }] })];
    },
    fails: noOpposite(node, keyword),
  };
}

function evaluatedBy(node: SchemaNode, keyword: string, context: SchemaContext): Evaluated {
  const evaluated = nothingYet();
  collect(node, keyword, evaluated, context, new Set());
  return evaluated;
}

const nothingYet = (): Evaluated => ({
  names: new Set(),
  patterns: new Map(),
  numItems: 0,
  allProperties: false,
  allItems: false,
  contains: false,
});

function collect(
  node: SchemaNode,
  asking: string,
  evaluated: Evaluated,
  context: SchemaContext,
  seen: Set<SchemaNode>,
): void {
  if (typeof node.schema === "boolean" || seen.has(node)) return;
  seen.add(node);
  const { document } = context;
  const schema = Object.fromEntries(document.keywords(node).map((name) => [name, (node.schema as Schema)[name]]));
  const isAsking = (name: string) => seen.size === 1 && name === asking;
  for (const name of Object.keys((schema.properties as object | undefined) ?? {})) evaluated.names.add(name);
  for (const source of Object.keys((schema.patternProperties as object | undefined) ?? {}))
    evaluated.patterns.set(source, `${node.path}/patternProperties`);
  if (schema.additionalProperties !== undefined) evaluated.allProperties = true;
  if (schema.unevaluatedProperties !== undefined && !isAsking("unevaluatedProperties")) evaluated.allProperties = true;
  if (Array.isArray(schema.prefixItems)) evaluated.numItems = Math.max(evaluated.numItems, schema.prefixItems.length);
  if (schema.items !== undefined) evaluated.allItems = true;
  if (schema.contains !== undefined) evaluated.contains = true;
  if (schema.unevaluatedItems !== undefined && !isAsking("unevaluatedItems")) evaluated.allItems = true;
  if (schema.$ref !== undefined) collect(document.target(node), asking, evaluated, context, seen);
  for (const [i, value] of ((schema.allOf as unknown[] | undefined) ?? []).entries())
    collect(document.child(node, `allOf/${i}`, value), asking, evaluated, context, seen);
  requireKnown(node, schema, asking, evaluated, context);
}

/** Keywords that look at other properties for other values leave open what has been looked at. */
function requireKnown(node: SchemaNode, schema: Schema, asking: string, evaluated: Evaluated, context: SchemaContext) {
  const { document } = context;
  const isItems = asking === "unevaluatedItems";
  const isAll = isItems ? evaluated.allItems : evaluated.allProperties;
  const branches: [string, unknown][] = [
    ...["anyOf", "oneOf"].flatMap((name) =>
      ((schema[name] as unknown[] | undefined) ?? []).map((value, i): [string, unknown] => [`${name}/${i}`, value]),
    ),
    ...["if", "then", "else"].flatMap((name): [string, unknown][] =>
      schema[name] === undefined ? [] : [[name, schema[name]]],
    ),
    ...["dependentSchemas", "dependencies"].flatMap((name) =>
      Object.entries((schema[name] as object | undefined) ?? {}).map(([key, value]): [string, unknown] => [
        `${name}/${key}`,
        Array.isArray(value) ? true : value,
      ]),
    ),
  ];
  const open = branches.find(([name, value]) => {
    const inside = nothingYet();
    collect(document.child(node, name, value), "", inside, context, new Set());
    if (isItems) return inside.allItems || inside.contains || inside.numItems > evaluated.numItems;
    const names = [...inside.names].some((property) => !evaluated.names.has(property));
    return (
      names || inside.allProperties || [...inside.patterns.keys()].some((source) => !evaluated.patterns.has(source))
    );
  });
  const counts = isItems && evaluated.contains;
  if (isAll || (!open && !counts)) return;
  throw unsupported(
    `${node.path}/${counts ? "contains" : open![0].split("/")[0]}`,
    `no keyword that looks at other parts for other values, beside ${asking}`,
    "name all properties beside it, or use additionalProperties",
  );
}
