import { type App, answer, jsonBody } from "../exchange.ts";
import type { ServedModels } from "../models/index.ts";
import { embedRoutes } from "./embed.ts";
import { ollamaChat, ollamaGenerate } from "./jobs.ts";
import { leaseOf } from "./lease.ts";
import { OllamaModels } from "./models.ts";

/** The endpoints of Ollama's API. */
export function ollamaRoutes(app: App, models: ServedModels): void {
  const shown = new OllamaModels(models);
  app.post("/api/chat", (c) => answer(c, models, ollamaChat, leaseOf));
  app.post("/api/generate", (c) => answer(c, models, ollamaGenerate, leaseOf));
  embedRoutes(app, models);
  app.get("/api/tags", (c) => c.json(shown.tags()));
  app.get("/api/ps", (c) => c.json(shown.running()));
  app.get("/api/version", (c) => c.json(shown.version()));
  app.post("/api/show", async (c) => c.json(await shown.show(await jsonBody(c), c.req.raw.signal)));
}
