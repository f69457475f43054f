/** The document of the API, and the page that shows it. */
import { existsSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyServedModel } from "../../testing/served-model.ts";
import { type Field, isObject } from "../fields.ts";
import { createApp, type RunningServer, serve } from "../index.ts";
import { chatPage } from "../page/index.ts";
import { type OpenApiDocument, openApiDocument } from "./document.ts";
import { groups } from "./operations.ts";

const app = createApp(tinyServedModel());
const document = openApiDocument("tiny");
const operations = groups.flatMap((group) => group.operations);
/** What pages load, which is no part of an API. */
const parts = [...Object.keys(chatPage().assets), "/docs.css"];

test("every route is in the document, and nothing else is", () => {
  const routes = app.routes
    .filter(({ method, path }) => method !== "ALL" && !parts.includes(path))
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)({[^}]*})?/g, "{$1}")}`);
  const documented = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(documented.toSorted()).toEqual([...new Set(routes)].toSorted());
});

/** OpenAPI 3.1, as far as the document uses it. */
const schemaOfDocuments = {
  $defs: {
    content: {
      type: "object",
      minProperties: 1,
      additionalProperties: {
        type: "object",
        required: ["schema"],
        properties: { schema: { type: "object" } },
        additionalProperties: false,
      },
    },
    security: {
      type: "array",
      items: { type: "object", additionalProperties: { type: "array", items: { type: "string" } } },
    },
    operation: {
      type: "object",
      required: ["operationId", "summary", "tags", "responses"],
      properties: {
        operationId: { type: "string", pattern: "^\\w+$" },
        summary: { type: "string", minLength: 1 },
        tags: { type: "array", items: { type: "string" }, minItems: 1 },
        parameters: {
          type: "array",
          uniqueItems: true,
          items: {
            type: "object",
            required: ["name", "in", "required", "schema"],
            properties: {
              name: { type: "string" },
              in: { enum: ["path", "query", "header", "cookie"] },
              required: { type: "boolean" },
              schema: { type: "object" },
            },
            additionalProperties: false,
          },
        },
        security: { $ref: "#/$defs/security" },
        requestBody: {
          type: "object",
          required: ["content"],
          properties: { required: { type: "boolean" }, content: { $ref: "#/$defs/content" } },
          additionalProperties: false,
        },
        responses: {
          type: "object",
          minProperties: 1,
          propertyNames: { pattern: "^([1-5](\\d\\d|XX)|default)$" },
          additionalProperties: {
            type: "object",
            required: ["description"],
            properties: { description: { type: "string" }, content: { $ref: "#/$defs/content" } },
            additionalProperties: false,
          },
        },
      },
      additionalProperties: false,
    },
  },
  type: "object",
  required: ["openapi", "info", "paths"],
  properties: {
    openapi: { type: "string", pattern: "^3\\.1\\.\\d+$" },
    info: {
      type: "object",
      required: ["title", "version"],
      properties: { title: { type: "string" }, version: { type: "string" }, description: { type: "string" } },
      additionalProperties: false,
    },
    tags: {
      type: "array",
      items: {
        type: "object",
        required: ["name"],
        properties: { name: { type: "string" }, description: { type: "string" } },
        additionalProperties: false,
      },
    },
    paths: {
      type: "object",
      propertyNames: { pattern: "^/" },
      additionalProperties: {
        type: "object",
        propertyNames: { enum: ["get", "put", "post", "delete", "options", "head", "patch", "trace"] },
        additionalProperties: { $ref: "#/$defs/operation" },
      },
    },
    security: { $ref: "#/$defs/security" },
    components: {
      type: "object",
      properties: {
        schemas: { type: "object" },
        securitySchemes: {
          type: "object",
          additionalProperties: {
            type: "object",
            required: ["type"],
            properties: { type: { enum: ["http", "apiKey"] } },
          },
        },
      },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
};

describe("the document", () => {
  test.each([
    ["", app],
    [", with keys", createApp(tinyServedModel(), { apiKey: "secret" })],
  ])("has OpenAPI's form%s", async (_, app) => {
    const served = (await (await app.request("/openapi.json")).json()) as OpenApiDocument;
    const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schemaOfDocuments);
    validate(served);
    expect(validate.errors).toBeNull();
    const all = Object.entries(served.paths).flatMap(([path, item]) =>
      Object.values(item).map((operation) => ({ path, ...operation })),
    );
    expect(new Set(all.map(({ operationId }) => operationId)).size).toBe(all.length);
    const tags = served.tags.map(({ name }) => name);
    for (const { path, parameters = [], tags: used } of all) {
      const inPath = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => `{${name}}`);
      expect(inPath).toEqual(path.match(/{\w+}/g) ?? []);
      expect(tags).toEqual(expect.arrayContaining([...used]));
    }
  });

  test("says which requests need a key", async () => {
    expect(document).not.toHaveProperty("security");
    const locked = createApp(tinyServedModel(), { apiKey: "secret" });
    const { security, paths, components } = (await (await locked.request("/openapi.json")).json()) as OpenApiDocument;
    expect(security).toEqual([{ bearer: [] }, { header: [] }]);
    expect(Object.keys(components.securitySchemes ?? {})).toEqual(["bearer", "header"]);
    for (const [path, { get }] of Object.entries(paths)) {
      if (!get || path.includes("{")) continue;
      const isOpen = (await locked.request(path)).status !== 401;
      expect([path, get.security]).toEqual([path, isOpen ? [] : undefined]);
    }
  });

  test("has schemas that are JSON Schema, and refers to what is there", () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    const schemas = schemasIn(document.paths);
    expect(schemas.length).toBeGreaterThan(60);
    for (const schema of schemas) {
      if (schema.$ref === undefined) ajv.compile(schema);
      else expect(schema.$ref).toBe("#/components/schemas/Error");
    }
    ajv.compile(document.components.schemas.Error);
  });

  const samples = [
    ...["", "a", "auto", "disabled", "none", "24h", "batch", "asc", "created_at", "3600", "json", "user", "high"],
    ...[true, false, -100, -1, 0, 0.5, 1, 2, 100, 2 ** 40],
    ...[[], [1], ["a"], [{}], [[1]], [{ role: "user", content: "a" }], ["message.output_text.logprobs"]],
    ...[{}, { a: 1 }, { a: "b" }, { 5: 1 }, { type: "text" }],
  ];
  const rules = operations.flatMap(({ path, body = {}, query = {} }) =>
    Object.entries<Field>({ ...body, ...query }).map(([name, field]) => ({ path, name, field })),
  );
  /** What is in them is told too, but read by rules of its own. */
  const nested = ["messages", "options"];

  test("says of no field that it must not be what is taken", () => {
    const ajv = new Ajv2020({ allowUnionTypes: true });
    for (const { path, name, field } of rules) {
      if (field === "harmless" || !("accepts" in field) || nested.includes(name)) continue;
      const validate = ajv.compile(field.schema);
      const wrong = samples.filter((sample) => field.accepts(sample) && !validate(sample));
      expect({ path, name, wrong }).toEqual({ path, name, wrong: [] });
    }
  });
});

/** Every schema that stands in a part of the document. */
function schemasIn(value: unknown): Readonly<Record<string, unknown>>[] {
  if (Array.isArray(value)) return value.flatMap(schemasIn);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([name, each]) =>
    name === "schema" && isObject(each) ? [each] : schemasIn(each),
  );
}

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
describe.skipIf(!executable)("the page", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await serve({ ...tinyServedModel(), id: "a <b> model" }, { port: 0 });
  });
  afterAll(() => server.close());

  test.each(["light", "dark"] as const)(
    "shows all of it, %s, with no script and nothing from elsewhere",
    async (colorScheme) => {
      const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
      try {
        const page = await browser.newPage({ colorScheme, viewport: { width: 1000, height: 1400 } });
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(String(error)));
        await page.goto(`${server.url}/docs`);
        expect(await page.locator("h1").textContent()).toBe("Kindling · API of a <b> model");
        expect(await page.locator("summary, .operation").count()).toBe(operations.length);
        await page.locator("summary", { hasText: "/v1/responses" }).first().click();
        expect(await page.locator("details[open] tr", { hasText: "max_output_tokens" }).textContent()).toMatch(
          /whole number.*from 1/,
        );
        const background = await page.evaluate("getComputedStyle(document.body).backgroundColor");
        expect(background).toBe(colorScheme === "dark" ? "rgb(28, 23, 18)" : "rgb(251, 247, 240)");
        const folder = process.env.KINDLING_SCREENSHOTS;
        if (folder) await page.screenshot({ path: `${folder}/docs-${colorScheme}.png` });
        await page.setViewportSize({ width: 360, height: 700 });
        const isWide = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
        expect([isWide, complaints]).toEqual([false, []]);
      } finally {
        await browser.close();
      }
    },
  );

  test("is the same without a key where the server asks for one, and says how a key is sent", async () => {
    const locked = await serve(tinyServedModel(), { port: 0, apiKey: "secret" });
    const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage({ colorScheme: "light" });
      const refused: string[] = [];
      page.on("response", (response) => response.ok() || refused.push(response.url()));
      await page.goto(`${locked.url}/docs`);
      const background = await page.evaluate("getComputedStyle(document.body).backgroundColor");
      expect([background, refused]).toEqual(["rgb(251, 247, 240)", []]);
      expect(await page.locator("header").textContent()).toMatch(
        /asks for a key, as Authorization: Bearer KEY or x-api-key: KEY\. Without one\s+it answers \/health, \/openapi\.json, \/docs, \/\./,
      );
      await page.locator("header a", { hasText: "openapi.json" }).click();
      expect([page.url(), refused]).toEqual([`${locked.url}/openapi.json`, []]);
      await page.goto(`${server.url}/docs`);
      expect(await page.locator("header").textContent()).not.toContain("asks for a key");
    } finally {
      await browser.close();
      await locked.close();
    }
  });
});
