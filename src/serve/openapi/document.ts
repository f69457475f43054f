import { type Fields, type JsonSchema, objectSchema } from "../fields.ts";
import { groups, type Operation } from "./operations.ts";

const errorSchema: JsonSchema = {
  type: "object",
  description: "An error in OpenAI's form; endpoints of other APIs have theirs.",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string", description: "what is wrong, and what is expected" },
        type: { type: "string" },
        param: { type: ["string", "null"], description: "the field that is wrong" },
        code: { type: ["string", "null"], description: "a name for programs" },
      },
    },
  },
};

/** An OpenAPI document, as far as it is looked at here. */
export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string; description: string };
  tags: readonly { name: string; description: string }[];
  paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  components: { schemas: Readonly<Record<string, JsonSchema>>; securitySchemes?: Readonly<Record<string, object>> };
  /** Any of these lets a request in. */
  security?: readonly Readonly<Record<string, readonly string[]>>[];
}

interface Content {
  content: Readonly<Record<string, { schema: JsonSchema }>>;
}
export interface OperationObject {
  operationId: string;
  summary: string;
  tags: readonly string[];
  parameters?: readonly { name: string; in: "path" | "query"; required: boolean; schema: JsonSchema }[];
  requestBody?: Content & { required: true };
  responses: Readonly<Record<string, { description: string } & Partial<Content>>>;
  /** None of one that needs no key. */
  security?: readonly [];
}

/** Which paths need no key; undefined where none is asked for. */
export type IsOpen = ((path: string) => boolean) | undefined;

/** How a request shows its key. */
const securitySchemes = {
  bearer: { type: "http", scheme: "bearer" },
  header: { type: "apiKey", in: "header", name: "x-api-key" },
} as const;

/** What the server answers, as OpenAPI 3.1 says it: made of the tables by which requests are read. */
export function openApiDocument(modelId: string, isOpen?: IsOpen): OpenApiDocument {
  const paths: Record<string, Record<string, OperationObject>> = {};
  for (const { name, operations } of groups)
    for (const operation of operations) {
      paths[operation.path] ??= {};
      const isFree = isOpen?.(operation.path) ?? false;
      paths[operation.path][operation.method] = {
        ...operationObject(operation, name),
        ...(isFree && { security: [] as const }),
      };
    }
  return {
    openapi: "3.1.0",
    info: {
      title: `Kindling: ${modelId}`,
      version: "1",
      description:
        "The APIs of OpenAI, Anthropic and Ollama. Fields that are not listed are refused; null stands for a field that is left out.",
    },
    tags: groups.map(({ name, description }) => ({ name, description })),
    paths,
    components: { schemas: { Error: errorSchema }, ...(isOpen && { securitySchemes }) },
    ...(isOpen && { security: Object.keys(securitySchemes).map((name) => ({ [name]: [] })) }),
  };
}

function operationObject(operation: Operation, tag: string): OperationObject {
  const { method, path, summary, body, required, bodyType = "application/json" } = operation;
  const parameters = parametersOf(operation);
  return {
    operationId: `${method}${path.replace(/\W+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    tags: [tag],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: { required: true as const, content: { [bodyType]: { schema: objectSchema(body, required) } } },
    }),
    responses: {
      200: { description: "the answer", content: answersOf(operation) },
      default: {
        description: "an error",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    },
  };
}

function parametersOf({ path, query = {} }: Operation): NonNullable<OperationObject["parameters"]> {
  const inPath = [...path.matchAll(/{(\w+)}/g)].map(([, name]) => ({
    name,
    in: "path" as const,
    required: true,
    schema: { type: "string" },
  }));
  const { properties } = objectSchema(query) as { properties: Readonly<Record<string, JsonSchema>> };
  const inQuery = Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query" as const,
    required: false,
    schema,
  }));
  return [...inPath, ...inQuery];
}

function answersOf({ answer = { type: "application/json", schema: { type: "object" } }, stream }: Operation) {
  const { type, schema = {} } = answer;
  return {
    [type]: { schema },
    ...(stream && { [stream]: { schema: { type: "string", description: "where stream is true" } } }),
  };
}

/** Fields of a request's body, for the page. */
export const bodyFields = ({ body = {}, required = [] }: { body?: Fields; required?: readonly string[] }) => {
  const { properties } = objectSchema(body) as { properties: Readonly<Record<string, JsonSchema>> };
  return Object.entries(properties).map(([name, schema]) => ({ name, schema, isRequired: required.includes(name) }));
};
