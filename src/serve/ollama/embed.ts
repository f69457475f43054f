import type { App } from "../exchange.ts";
import { type Fields, flag, invalid, isText, readFields, rule, text, type Values, wholeNumber } from "../fields.ts";
import type { ServedModels, TaskService } from "../models/index.ts";
import { type Answer, answerJson } from "../tasks/answering.ts";
import { embeddings } from "../tasks/embeddings.ts";
import { keepAlive } from "./keep-alive.ts";
import { leaseOf } from "./lease.ts";
import { optionFields } from "./requests.ts";

/** No option changes a vector but this: what a text is cut to. */
const embedOptions = {
  ...(Object.fromEntries(Object.keys(optionFields).map((name) => [name, "harmless"])) as Record<string, "harmless">),
  num_ctx: wholeNumber(1),
};

const common = {
  model: text,
  keep_alive: keepAlive, // by how the model is lent
  options: rule<object>("an object", (value) => typeof value === "object" && !Array.isArray(value)),
} as const satisfies Fields;

/** Every field of POST /api/embed. */
export const embedFields = {
  ...common,
  input: rule<string | string[]>(
    "a text, or a list of texts",
    (value) => isText(value) || (Array.isArray(value) && value.every(isText)),
  ),
  truncate: flag,
  dimensions: wholeNumber(1),
} as const satisfies Fields;

/** Every field of the older POST /api/embeddings. */
export const embeddingsFields = { ...common, prompt: text } as const satisfies Fields;

/** POST /api/embed, and the older one. */
export function embedRoutes(app: App, models: ServedModels): void {
  app.post("/api/embed", (c) => answerJson(c, models, "embedding", embedded, leaseOf));
  app.post("/api/embeddings", (c) => answerJson(c, models, "embedding", embeddedOne, leaseOf));
}

type Embedder = TaskService<"embedding">;

/** @throws RequestError naming the field that is wrong */
async function embedded({ id, model }: Embedder, json: unknown, signal: AbortSignal): Promise<Answer> {
  const start = performance.now();
  const request = readFields(json, embedFields);
  const { input = [], truncate = true, dimensions } = request;
  const list = [input].flat();
  requireModel(request);
  const maxLength = cutOf(request, model.maxTokens);
  const { vectors, tokens } =
    list.length === 0
      ? { vectors: [], tokens: 0 } // asks for the model to be there, and it is
      : await embeddings(model, list, { signal, dimensions, normalize: true, ...(truncate && { maxLength }) });
  return {
    tokens,
    body: {
      model: id,
      embeddings: vectors,
      total_duration: Math.round((performance.now() - start) * 1e6),
      load_duration: 0, // it was loaded before its turn
      prompt_eval_count: tokens,
    },
  };
}

/** @throws RequestError naming the field that is wrong */
async function embeddedOne({ model }: Embedder, json: unknown, signal: AbortSignal): Promise<Answer> {
  const request = readFields(json, embeddingsFields);
  requireModel(request);
  const { prompt = "" } = request;
  if (prompt === "") return { tokens: 0, body: { embedding: [] } };
  const maxLength = cutOf(request, model.maxTokens);
  const { vectors, tokens } = await embeddings(model, [prompt], { signal, maxLength });
  return { tokens, body: { embedding: vectors[0] } };
}

function requireModel({ model }: Values<typeof common>): void {
  if (model === undefined) throw invalid("model", "the name of a model", undefined);
}

/** What a text is cut to: as many tokens as the model takes, or fewer that are asked for. */
function cutOf({ options }: Values<typeof common>, maxTokens: number): number | undefined {
  const { num_ctx: asked = Number.POSITIVE_INFINITY } = readFields(options ?? {}, embedOptions, "options.");
  const length = Math.min(asked, maxTokens);
  return Number.isFinite(length) ? length : undefined;
}
