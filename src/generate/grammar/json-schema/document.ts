import { isObject, nearest, OptionError } from "../../../base/index.ts";
import { grammarLimits } from "../limits.ts";

/** A JSON Schema as JSON.parse gives it. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** A schema inside a document. */
export interface SchemaNode {
  readonly id: number;
  readonly schema: JsonSchema;
  /** Where it stands, as "#/properties/name". */
  readonly path: string;
  /** What its references are relative to. */
  readonly base: string;
}

const BASE = "schema:///document";

/** Keywords that say nothing about what is valid. */
const annotations = [
  ...["$schema", "$id", "$anchor", "$defs", "definitions", "$comment", "$vocabulary"],
  ...["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"],
  ...["contentEncoding", "contentMediaType", "contentSchema", "example", "externalDocs", "discriminator"],
];
/** Keywords that are followed. */
const assertions = [
  ...["type", "enum", "const", "$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["minLength", "maxLength", "pattern", "format"],
  ...["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"],
  ...["contains", "minContains", "maxContains", "unevaluatedItems"],
  ...["properties", "patternProperties", "additionalProperties", "propertyNames", "required"],
  ...["minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"],
  "unevaluatedProperties",
];
const known = new Set([...annotations, ...assertions]);

/** Where schemas stand in a schema: as the value of a keyword, in its list, or in its object. */
const single = [
  ...["not", "if", "then", "else", "items", "additionalItems", "contains", "additionalProperties", "propertyNames"],
  ...["unevaluatedItems", "unevaluatedProperties", "contentSchema"],
];
const listed = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
const mapped = ["$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"];

const isSchema = (value: unknown): value is JsonSchema => typeof value === "boolean" || isObject(value);

/** A schema with all that is inside it, and what its references lead to. */
export class SchemaDocument {
  readonly root: SchemaNode;
  /** Whether keywords beside $ref count, and `items` may not be a list: not so up to draft 7. */
  readonly isModern: boolean;
  /** The schema that no value meets. */
  readonly never: SchemaNode = { id: 0, schema: false, path: "#", base: BASE };
  private readonly always: SchemaNode = { id: 1, schema: true, path: "#", base: BASE };
  private readonly nodes = new Map<JsonSchema, SchemaNode>();
  private readonly constants = new Map<string, SchemaNode>();
  private readonly resources = new Map<string, SchemaNode>();
  private readonly anchors = new Map<string, SchemaNode>();
  private numNodes = 2;

  /** @throws OptionError for what is no schema, or one of a draft before the seventh */
  constructor(schema: unknown) {
    if (!isSchema(schema)) throw this.fault("#", "a JSON Schema: an object, or true or false", schema);
    this.isModern = isModern(schema);
    this.root = this.collect(schema, "#", BASE, 0);
    this.resources.set(BASE, this.root);
  }

  /** A further schema of the same draft, whose references stay in it, or that stands in one that is there. */
  add(schema: JsonSchema, outer?: SchemaNode): SchemaNode {
    if (outer) return this.collect(schema, outer.path, outer.base, 0);
    const base = `${BASE}/${this.numNodes}`;
    const node = this.collect(schema, "#", base, 0);
    this.resources.set(base, node);
    return node;
  }

  /** Notes a schema and all inside it, with their ids and anchors. */
  private collect(schema: JsonSchema, path: string, outer: string, depth: number): SchemaNode {
    if (depth > grammarLimits.nesting)
      throw this.fault(path, `at most ${grammarLimits.nesting} schemas inside one another (limit nesting)`, "more");
    if (!isObject(schema)) return schema ? this.always : this.never;
    const known = this.nodes.get(schema);
    if (known) return known;
    const base = this.baseOf(schema, path, outer);
    const node = { id: this.numNodes++, schema, path, base };
    this.nodes.set(schema, node);
    if (base !== outer) this.resources.set(base, node);
    if (typeof schema.$anchor === "string") this.anchors.set(`${base}#${schema.$anchor}`, node);
    if (!this.isModern && typeof schema.$id === "string" && schema.$id.startsWith("#"))
      this.anchors.set(`${base}${schema.$id}`, node);
    for (const [inner, name] of this.inside(schema)) this.collect(inner, `${path}/${name}`, base, depth + 1);
    return node;
  }

  private baseOf({ $id, $ref }: Record<string, unknown>, path: string, outer: string): string {
    if (typeof $id !== "string" || (!this.isModern && ($ref !== undefined || $id.startsWith("#")))) return outer;
    return this.absolute($id, outer, `${path}/$id`).replace(/#$/, "");
  }

  private absolute(reference: string, base: string, path: string): string {
    try {
      return new URL(reference, base).href;
    } catch {
      throw this.fault(path, "an address that can be resolved", reference);
    }
  }

  private *inside(schema: Record<string, unknown>): Generator<[JsonSchema, string]> {
    for (const keyword of single) {
      const value = schema[keyword];
      if (isSchema(value)) yield [value, keyword];
    }
    for (const keyword of listed) {
      const value = schema[keyword];
      if (Array.isArray(value))
        for (const [i, inner] of value.entries()) if (isSchema(inner)) yield [inner, `${keyword}/${i}`];
    }
    for (const keyword of mapped) {
      const value = schema[keyword];
      if (!isObject(value)) continue;
      for (const [name, inner] of Object.entries(value))
        if (isSchema(inner)) yield [inner, `${keyword}/${pointerPart(name)}`];
    }
  }

  /** The schema at a keyword of another. @throws OptionError for what is none */
  child(parent: SchemaNode, name: string, value: unknown): SchemaNode {
    const path = `${parent.path}/${name}`;
    if (!isSchema(value)) throw this.fault(path, "a schema", value);
    return this.collect(value, path, parent.base, 0);
  }

  /** What a node's $ref leads to. @throws OptionError when that is not in the document */
  target(node: SchemaNode): SchemaNode {
    const { $ref } = node.schema as { $ref: unknown };
    const path = `${node.path}/$ref`;
    if (typeof $ref !== "string") throw this.fault(path, "an address", $ref);
    const address = this.absolute($ref, node.base, path);
    const [place, fragment = ""] = address.split("#");
    const resource = this.resources.get(place);
    const target = fragment.startsWith("/")
      ? resource && this.at(resource, fragment, path)
      : fragment === ""
        ? resource
        : this.anchors.get(`${place}#${fragment}`);
    if (!target) throw this.fault(path, "a reference to a schema in the same document", $ref);
    return target;
  }

  /** The schema behind a JSON Pointer. */
  private at(resource: SchemaNode, pointer: string, path: string): SchemaNode | undefined {
    let value: unknown = resource.schema;
    let { base } = resource;
    const names = pointer.split("/").slice(1);
    for (const name of names) {
      const key = decoded(name).replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
      const node = isObject(value) ? this.nodes.get(value) : undefined;
      if (node) base = node.base;
    }
    if (!isSchema(value)) throw this.fault(path, "a reference to a schema", value);
    return this.collect(value, `${resource.path}${pointer}`, base, 0);
  }

  /** The schema of one value, which stands at a path. */
  constant(value: unknown, path: string): SchemaNode {
    const key = JSON.stringify(value);
    const node = this.constants.get(key) ?? this.collect({ const: value }, path, BASE, 0);
    this.constants.set(key, node);
    return node;
  }

  /** The keywords that say what is valid. @throws OptionError naming one that is not followed */
  keywords(node: SchemaNode): readonly string[] {
    if (typeof node.schema === "boolean") return [];
    if (!this.isModern && node.schema.$ref !== undefined) return ["$ref"];
    const keywords = Object.keys(node.schema).filter((keyword) => !annotations.includes(keyword));
    for (const keyword of keywords) {
      if (known.has(keyword) || keyword.startsWith("x-")) continue;
      const near = nearest(keyword, [...known]);
      throw new OptionError({
        where: placeOf(node.path),
        expected: "keywords that are followed",
        received: JSON.stringify(keyword),
        fix: near ? `did you mean "${near}"?` : `remove "${keyword}", or say the same with other keywords`,
      });
    }
    return keywords.filter((keyword) => known.has(keyword));
  }

  /** The error for a keyword whose value is not what it should be. */
  fault(path: string, expected: string, received: unknown): OptionError {
    return schemaFault(path, expected, received);
  }
}

function schemaFault(path: string, expected: string, received: unknown): OptionError {
  return new OptionError({
    where: placeOf(path),
    expected,
    received: (JSON.stringify(received) ?? String(received)).slice(0, 100),
    fix: "correct the schema",
  });
}

/**
 * Whether keywords count as from draft 2019-09 on.
 * @throws OptionError for a draft before the seventh
 */
export function isModern(schema: JsonSchema): boolean {
  const draft = isObject(schema) ? schema.$schema : undefined;
  const [, name] =
    /^https?:\/\/json-schema\.org\/(draft\/2020-12|draft\/2019-09|draft-07)\/schema#?$/.exec(String(draft)) ?? [];
  if (draft === undefined || name !== undefined) return name !== "draft-07";
  throw schemaFault("#/$schema", "draft 2020-12, 2019-09 or 7", draft);
}

/** What errors call a place in a schema. */
export const placeOf = (path: string): string => `JSON Schema, ${path}`;

/** The error for what a schema asks that no grammar here says. */
export function unsupported(path: string, what: string, fix: string): OptionError {
  const keyword = path.slice(path.lastIndexOf("/") + 1);
  return new OptionError({ where: placeOf(path), expected: what, received: keyword, fix });
}

/** A name as part of a JSON Pointer. */
export const pointerPart = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
