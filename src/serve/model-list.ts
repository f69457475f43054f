import type { App } from "./exchange.ts";
import type { ModelInfo, ServedModels } from "./models/index.ts";
import { Service } from "./service.ts";

/** GET /v1/models, and one of them. */
export function modelRoutes(app: App, models: ServedModels): void {
  const created = Math.floor(Date.now() / 1000);
  app.get("/v1/models", (c) =>
    c.json({ object: "list", data: models.list().map((info) => modelObject(info, created)) }),
  );
  app.get("/v1/models/:id{.+}", (c) => c.json(modelObject(models.info(c.req.param("id")), created)));
}

const modelObject = ({ id, kind, isLoaded, service }: ModelInfo, created: number) => ({
  id,
  object: "model",
  created,
  owned_by: "kindling",
  kind,
  is_loaded: isLoaded,
  ...(service instanceof Service && { max_model_len: service.contextLength }), // vLLM's name
});
