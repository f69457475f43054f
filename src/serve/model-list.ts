import type { App } from "./exchange.ts";
import type { ModelInfo, ServedModels } from "./models/index.ts";
import { Service } from "./service.ts";

/** GET /v1/models, and one of them. */
export function modelRoutes(app: App, models: ServedModels): void {
  const created = Math.floor(Date.now() / 1000);
  app.get("/v1/models", (c) =>
    c.json({ object: "list", data: models.list().flatMap((info) => objectsOf(info, created)) }),
  );
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    const [model, ...adapters] = objectsOf(models.info(id), created);
    return c.json(adapters.find((adapter) => adapter.id === id) ?? model);
  });
}

/** A model, and its adapters, which are models to clients: vLLM's `parent` is the one that they change. */
function objectsOf(info: ModelInfo, created: number): { id: string }[] {
  const model = modelObject(info, created);
  return [model, ...info.adapters.map((name) => ({ ...model, id: name, parent: info.id }))];
}

const modelObject = ({ id, kind, isLoaded, takesImages, service }: ModelInfo, created: number) => ({
  id,
  object: "model",
  created,
  owned_by: "kindling",
  kind,
  is_loaded: isLoaded,
  ...(takesImages && { capabilities: ["vision"] }),
  ...(service instanceof Service && { max_model_len: service.contextLength }), // vLLM's name
});
