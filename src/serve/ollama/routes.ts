import { type App, answer, jsonBody, modelNameOf as nameIn } from "../exchange.ts";
import { isObject } from "../fields.ts";
import type { AskedLease, ServedModels } from "../models/index.ts";
import { ollamaChat, ollamaGenerate } from "./jobs.ts";
import { keepAliveMs } from "./keep-alive.ts";
import { modelNameOf, OllamaModels } from "./models.ts";

/** The endpoints of Ollama's API. */
export function ollamaRoutes(app: App, models: ServedModels): void {
  const shown = new OllamaModels(models);
  app.post("/api/chat", (c) => answer(c, models, ollamaChat, leaseOf));
  app.post("/api/generate", (c) => answer(c, models, ollamaGenerate, leaseOf));
  app.get("/api/tags", (c) => c.json(shown.tags()));
  app.get("/api/ps", (c) => c.json(shown.running()));
  app.get("/api/version", (c) => c.json(shown.version()));
  app.post("/api/show", async (c) => c.json(await shown.show(await jsonBody(c), c.req.raw.signal)));
}

/** The model that a request asks for, and how long it is to stay; what is wrong is told when the fields are read. */
function leaseOf(json: unknown): AskedLease {
  const asked = nameIn(json);
  return {
    asked: asked === undefined ? undefined : modelNameOf(asked),
    keepAliveMs: isObject(json) ? keepAliveMs(json.keep_alive) : undefined,
  };
}
