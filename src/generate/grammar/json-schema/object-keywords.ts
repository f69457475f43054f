/** properties, patternProperties, additionalProperties, propertyNames, required, and what depends on properties. */
import { type All, type Conditions, type MemberRule, member, ofObjects, only, types } from "./conditions.ts";
import {
  type Constraint,
  fails,
  holds,
  type KeywordReader,
  namesOf,
  objectOf,
  type SchemaContext,
  wholeNumber,
} from "./constraint.ts";
import { pointerPart, type SchemaNode, unsupported } from "./document.ts";

type Schema = Readonly<Record<string, unknown>>;

export const objectKeywords: KeywordReader = (node, schema, context) => [
  ...requiredConstraints(node, schema, context),
  ...memberConstraints(node, schema, context),
  ...nameConstraints(node, schema, context),
  ...countConstraints(node, schema, context),
  ...dependencyConstraints(node, schema, context),
];

const objects = (conditions: Parameters<typeof ofObjects>[0]): Conditions => only(types.object, ofObjects(conditions));

/** Objects without a property. */
const without = (name: string, { document }: SchemaContext): MemberRule =>
  member(name, [{ node: document.never, isNegated: false }]);

function requiredConstraints(node: SchemaNode, { required }: Schema, context: SchemaContext): Constraint[] {
  if (required === undefined) return [];
  const names = namesOf(context, node, "required", required);
  return [
    {
      holds: () => [ofObjects({ required: new Set(names) })],
      fails: () => names.map((name) => objects({ members: [without(name, context)] })),
    },
  ];
}

function memberConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  const { properties = {}, patternProperties = {}, additionalProperties = true } = schema;
  const named = Object.entries(objectOf(context, node, "properties", properties));
  const patterned = Object.entries(objectOf(context, node, "patternProperties", patternProperties));
  if (named.length + patterned.length === 0 && additionalProperties === true) return [];
  const place = (keyword: string, name: string) => `${keyword}/${pointerPart(name)}`;
  return [
    {
      holds: () => {
        const schemas = named.map(
          ([name, value]) => [name, holds(context, node, place("properties", name), value)] as const,
        );
        const patterns = patterned.map(([source, value]) => {
          const name = place("patternProperties", source);
          return { source, path: `${node.path}/${name}`, schema: holds(context, node, name, value) };
        });
        const additional = holds(context, node, "additionalProperties", additionalProperties);
        return [ofObjects({ members: [{ properties: new Map<string, All>(schemas), patterns, additional }] })];
      },
      fails: () => {
        const keyword = patterned.length > 0 ? "patternProperties" : "additionalProperties";
        if (patterned.length > 0 || additionalProperties !== true) {
          throw unsupported(
            `${node.path}/${keyword}`,
            "nothing that must not hold, for some other property would have to break it",
            "let alternatives exclude one another by a property with a const, or use anyOf",
          );
        }
        return named.map(([name, value]) =>
          objects({
            required: new Set([name]),
            members: [member(name, fails(context, node, place("properties", name), value))],
          }),
        );
      },
    },
  ];
}

function nameConstraints(node: SchemaNode, { propertyNames }: Schema, context: SchemaContext): Constraint[] {
  if (propertyNames === undefined) return [];
  return [
    {
      holds: () => [ofObjects({ names: holds(context, node, "propertyNames", propertyNames) })],
      fails: () => {
        throw unsupported(`${node.path}/propertyNames`, "no opposite of it", "leave it out");
      },
    },
  ];
}

function countConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  const constraints: Constraint[] = [];
  if (schema.minProperties !== undefined) {
    const min = wholeNumber(context, node, "minProperties", schema.minProperties);
    const minPath = `${node.path}/minProperties`;
    constraints.push({
      holds: () => [ofObjects({ min, minPath })],
      fails: () => (min === 0 ? [] : [objects({ max: min - 1 })]),
    });
  }
  if (schema.maxProperties !== undefined) {
    const max = wholeNumber(context, node, "maxProperties", schema.maxProperties);
    constraints.push({
      holds: () => [ofObjects({ max })],
      fails: () => [objects({ min: max + 1, minPath: `${node.path}/maxProperties` })],
    });
  }
  return constraints;
}

/** Names or schemas that must hold where a property is there. */
function dependencyConstraints(node: SchemaNode, schema: Schema, context: SchemaContext): Constraint[] {
  return ["dependentRequired", "dependentSchemas", "dependencies"].flatMap((keyword) => {
    if (schema[keyword] === undefined) return [];
    const entries = Object.entries(objectOf(context, node, keyword, schema[keyword]));
    return entries.map(([name, value]) => {
      const path = `${keyword}/${pointerPart(name)}`;
      return Array.isArray(value) || keyword === "dependentRequired"
        ? dependentNames(name, namesOf(context, node, path, value), context)
        : dependentSchema(node, name, path, value, context);
    });
  });
}

function dependentNames(name: string, names: readonly string[], context: SchemaContext): Constraint {
  return {
    holds: () => [ofObjects({ members: [without(name, context)] }), objects({ required: new Set([name, ...names]) })],
    fails: () => names.map((other) => objects({ required: new Set([name]), members: [without(other, context)] })),
  };
}

function dependentSchema(
  node: SchemaNode,
  name: string,
  path: string,
  value: unknown,
  context: SchemaContext,
): Constraint {
  const has = [objects({ required: new Set([name]) })];
  return {
    holds: () => [
      ofObjects({ members: [without(name, context)] }),
      ...context.product(has, context.alternatives(holds(context, node, path, value)), path),
    ],
    fails: () => context.product(has, context.alternatives(fails(context, node, path, value)), path),
  };
}
