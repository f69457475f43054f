import { type App, answer, jsonBody, type Read, waiterOf } from "../exchange.ts";
import type { ServedModels } from "../models/index.ts";
import { whileWanted } from "../request-life.ts";
import type { Service } from "../service.ts";
import { embedRoutes } from "./embed.ts";
import { ollamaChat, ollamaGenerate } from "./jobs.ts";
import { leaseOf } from "./lease.ts";
import { OllamaModels } from "./models.ts";

/** The endpoints of Ollama's API. */
export function ollamaRoutes(app: App, models: ServedModels): void {
  const shown = new OllamaModels(models);
  const isLeaving = ({ model }: Service) => models.info(model.id).expiresInMs === 0;
  const withTime =
    (read: typeof ollamaChat): Read =>
    (service, json, signal) =>
      read(service, json, signal, isLeaving(service));
  app.post("/api/chat", (c) => answer(c, models, withTime(ollamaChat), leaseOf));
  app.post("/api/generate", (c) => answer(c, models, withTime(ollamaGenerate), leaseOf));
  embedRoutes(app, models);
  app.get("/api/tags", (c) => c.json(shown.tags()));
  app.get("/api/ps", (c) => c.json(shown.running()));
  app.get("/api/version", (c) => c.json(shown.version()));
  app.post("/api/show", async (c) => {
    const json = await jsonBody(c);
    return c.json(await whileWanted(waiterOf(c, models), (signal) => shown.show(json, signal)));
  });
}
