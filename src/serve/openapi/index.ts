/** What the server answers: for programs as an OpenAPI document, for people as a page. */
import type { App } from "../exchange.ts";
import type { ServedModels } from "../models/index.ts";
import type { Gate } from "../operations/index.ts";
import { openApiDocument } from "./document.ts";
import { docsMarkup } from "./page.ts";
import { style } from "./style.ts";

/** The page loads its style and its picture, and nothing else. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Names of models in the title. */
const SHOWN = 3;

/** The document, its page, and what that loads: all that they say of the server is what it takes. */
export const documentPaths = ["/openapi.json", "/docs", "/docs.css"] as const;

/** GET /openapi.json and /docs. */
export function documentRoutes(app: App, models: ServedModels, gate: Pick<Gate, "asksForKeys" | "isOpenPath">): void {
  const names = models.list().map(({ id }) => id);
  const title = names.slice(0, SHOWN).join(", ") + (names.length > SHOWN ? " and others" : "");
  const isOpen = gate.asksForKeys ? (path: string) => gate.isOpenPath(path) : undefined;
  const document = openApiDocument(title, isOpen);
  const page = docsMarkup(title, isOpen);
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
