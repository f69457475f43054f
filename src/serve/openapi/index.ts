/** What the server answers: for programs as an OpenAPI document, for people as a page. */
import type { Hono } from "hono";
import type { Environment } from "../exchange.ts";
import type { Service } from "../service.ts";
import { openApiDocument } from "./document.ts";
import { docsMarkup } from "./page.ts";
import { style } from "./style.ts";

/** The page loads its style and its picture, and nothing else. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** GET /openapi.json and /docs. */
export function documentRoutes(app: Hono<Environment>, { model }: Service): void {
  const document = openApiDocument(model.id);
  const page = docsMarkup(model.id);
  const headers = { "cache-control": "no-cache", "x-content-type-options": "nosniff" };
  app.get("/openapi.json", (c) => c.json(document));
  app.get("/docs", (c) =>
    c.html(page, 200, {
      ...headers,
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "no-referrer",
    }),
  );
  app.get("/docs.css", (c) => c.body(style, 200, { ...headers, "content-type": "text/css; charset=utf-8" }));
}
