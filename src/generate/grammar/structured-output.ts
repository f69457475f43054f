import { DataError, OptionError } from "../../base/index.ts";
import type { Grammar } from "./grammar.ts";
import { type JsonSchemaOptions, jsonSchemaGrammar } from "./json-schema/json-schema.ts";

/** What went wrong with a value, by a schema. */
interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
type Result<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

/** What gives the JSON Schema of the values that a schema takes. */
export interface StandardJsonSchema {
  /** That schema. */
  input(options: { readonly target: "draft-2020-12" }): Record<string, unknown>;
}

/**
 * A schema of any library that follows Standard Schema and gives a JSON Schema by it, as Zod does from 4.2 on.
 * https://standardschema.dev
 */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly vendor: string;
    /** The value as the schema makes it, or what is wrong with it. */
    validate(value: unknown): Result<Output> | Promise<Result<Output>>;
    readonly jsonSchema?: StandardJsonSchema;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** The type of the values that a schema gives. */
export type OutputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["output"];

/** A grammar, and what makes a value of a text that it wrote. */
export interface StructuredOutput<Output> {
  readonly grammar: Grammar;
  /**
   * The value of a text: JSON, checked and changed as the schema says.
   * @throws DataError for a text that was cut off, or one that meets no condition that only the schema's program knows
   */
  parse(text: string): Promise<Output>;
}

/**
 * The texts and values of a schema of Zod, or of another library that follows Standard Schema. Objects have no other
 * properties than those that they name, unless the schema allows some.
 *
 * @example
 * const person = structuredOutput(z.object({ name: z.string(), age: z.number().int() }));
 * matchesGrammar(person.grammar, '{"name":"Ishmael","age":32}'); // that is one
 * const { age } = await person.parse('{"name":"Ishmael","age":32}'); // age: number
 *
 * @throws OptionError as jsonSchemaGrammar, or for a schema that gives no JSON Schema
 */
export function structuredOutput<Schema extends StandardSchema>(
  schema: Schema,
  options: JsonSchemaOptions = {},
): StructuredOutput<OutputOf<Schema>> {
  const standard = (schema as StandardSchema | undefined)?.["~standard"];
  if (!standard?.jsonSchema) {
    throw new OptionError({
      where: "structuredOutput",
      expected: "a schema that gives a JSON Schema by Standard Schema, as those of Zod 4.2 and later do",
      received: standard ? `one of ${standard.vendor} that gives none` : typeof schema,
      fix: "use jsonSchemaGrammar for a JSON Schema",
    });
  }
  const described = standard.jsonSchema.input({ target: "draft-2020-12" });
  const isMerged = JSON.stringify(described).includes('"allOf"'); // parts of an object, none of which knows them all
  return {
    grammar: jsonSchemaGrammar(isMerged ? described : closed(described), options),
    parse: async (text) => {
      const result = await standard.validate(parsed(text));
      if (!result.issues) return result.value as OutputOf<Schema>;
      throw new DataError({
        where: "structuredOutput, parse",
        expected: "a value that meets the schema",
        received: result.issues.map(describeIssue).join("; ").slice(0, 300),
        fix: "ask again, or say the condition in the schema so that a grammar can follow it",
      });
    },
  };
}

const describeIssue = ({ path = [], message }: Issue) =>
  [...path.map((part) => String(typeof part === "object" ? part.key : part)), message].join(": ");

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError({
      where: "structuredOutput, parse",
      expected: "a whole JSON text",
      received: JSON.stringify(text.slice(-60)),
      fix: "allow more tokens: an answer that was cut off is none",
      cause,
    });
  }
}

/** The schema with no further properties in objects that say nothing about those. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const copy: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    const holdsData = ["const", "enum", "default", "examples"].includes(keyword);
    const isMap = ["properties", "patternProperties", "$defs", "definitions"].includes(keyword);
    copy[keyword] = holdsData ? value : isMap ? closedValues(value as object) : closed(value);
  }
  if (copy.properties !== undefined) copy.additionalProperties ??= false;
  return copy;
}

const closedValues = (map: object) =>
  Object.fromEntries(Object.entries(map).map(([name, value]) => [name, closed(value)]));
