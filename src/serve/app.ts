import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { except } from "hono/combine";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type AccessOptions, accessRules } from "./access.ts";
import { anthropicError, countedTokens, messagesJob } from "./anthropic/index.ts";
import { batchRoutes } from "./batches/index.ts";
import { chatJob, completionJob } from "./choices.ts";
import type { DataFolder } from "./data-folder.ts";
import { asRequestError, RequestError } from "./errors.ts";
import { answer, type Environment, jsonBody } from "./exchange.ts";
import { fileRoutes } from "./files/index.ts";
import { RequestRecord } from "./log.ts";
import { type Moderate, moderationRoutes } from "./moderations/index.ts";
import { OllamaModels, ollamaChat, ollamaError, ollamaGenerate } from "./ollama/index.ts";
import { documentRoutes } from "./openapi/index.ts";
import { pageFiles } from "./page/index.ts";
import { readChatRequest, readCompletionRequest } from "./requests.ts";
import { responseRoutes } from "./responses/index.ts";
import { type LimitOptions, type ServedModel, Service } from "./service.ts";
import { detokenized, tokenized } from "./tokenize.ts";

export interface AppOptions extends AccessOptions, LimitOptions {
  /** Gets one line for each request that ends. @default none */
  log?: (line: string) => void;
  /** Keeps files and batches; whoever has opened it closes it. @default those endpoints answer 501 */
  data?: DataFolder;
  /** Judges texts for /v1/moderations. @default none, and the endpoint answers 501 */
  moderate?: Moderate;
}

const MAX_BODY_BYTES = 4 << 20;

/**
 * An OpenAI-compatible HTTP app for one model. It listens nowhere by itself: see `serve`, or call `app.request` in
 * tests.
 * @throws OptionError for unknown options and limits that cannot be
 */
export function createApp(model: ServedModel, options: AppOptions = {}): Hono<Environment> {
  const { allowedHosts, corsOrigins, log, data, moderate, ...limits } = options;
  return appOf(new Service(model, limits), { allowedHosts, corsOrigins, log, data, moderate });
}

/** The app of a service that others dispose of. */
export function appOf(
  service: Service,
  { log, data, moderate, ...access }: Omit<AppOptions, keyof LimitOptions>,
): Hono<Environment> {
  const app = new Hono<Environment>();
  const modelObject = {
    id: service.model.id,
    object: "model",
    created: Math.floor(Date.now() / 1000),
    owned_by: "kindling",
  };
  const model = { ...modelObject, max_model_len: service.contextLength }; // vLLM's name

  app.use(async (c, next) => {
    const record = new RequestRecord(`${c.req.method} ${c.req.path}`, log);
    c.set("record", record);
    await next();
    if (!record.isStreamed) record.end(c.res.status);
  });
  app.use(...accessRules(access));
  app.use("*", except("/v1/files", bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge })));
  for (const [path, file] of Object.entries(pageFiles(service)))
    app.get(path, (c) => c.body(file.body, 200, file.headers));
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/metrics", async (c) => {
    const { body, type } = await service.metrics.text();
    return c.body(body, 200, { "content-type": type });
  });
  app.post("/tokenize", async (c) => c.json(await tokenized(service, await jsonBody(c), c.req.raw.signal)));
  app.post("/detokenize", async (c) => c.json(await detokenized(service, await jsonBody(c))));
  app.get("/v1/models", (c) => c.json({ object: "list", data: [model] }));
  app.get("/v1/models/:id{.+}", (c) => {
    service.requireModel(c.req.param("id"));
    return c.json(model);
  });
  app.post("/v1/completions", (c) =>
    answer(c, service, async (json, signal) => {
      const request = readCompletionRequest(json);
      service.requireModel(request.model);
      return { isStreamed: request.stream, job: await completionJob(service, request, signal) };
    }),
  );
  app.post("/v1/chat/completions", (c) =>
    answer(c, service, async (json, signal) => {
      const request = readChatRequest(json);
      service.requireModel(request.model);
      return { isStreamed: request.stream, job: await chatJob(service, request, signal) };
    }),
  );
  app.post("/v1/messages", (c) => answer(c, service, (json, signal) => messagesJob(service, json, signal)));
  app.post("/v1/messages/count_tokens", async (c) =>
    c.json(await countedTokens(service, await jsonBody(c), c.req.raw.signal)),
  );
  ollamaRoutes(app, service);
  responseRoutes(app, service);
  fileRoutes(app, data);
  batchRoutes(app, service, data);
  moderationRoutes(app, moderate);
  documentRoutes(app, service);
  app.notFound(({ req }) => {
    throw new RequestError({ status: 404, message: `There is no ${req.method} ${req.path} here.`, code: "not_found" });
  });
  app.onError((error, c) => {
    const refusal = asRequestError(error);
    const { status, body, headers } = refusal;
    c.get("record").outcome = body.error.code ?? body.error.message;
    return c.json(errorBody(c.req.path, refusal), status as ContentfulStatusCode, headers);
  });
  return app;
}

/** An error in the form of the API that a path belongs to. */
function errorBody(path: string, error: RequestError): object {
  if (path.startsWith("/v1/messages")) return anthropicError(error);
  return path.startsWith("/api/") ? ollamaError(error) : error.body;
}

function ollamaRoutes(app: Hono<Environment>, service: Service): void {
  const models = new OllamaModels(service);
  app.post("/api/chat", (c) => answer(c, service, (json, signal) => ollamaChat(service, json, signal)));
  app.post("/api/generate", (c) => answer(c, service, (json, signal) => ollamaGenerate(service, json, signal)));
  app.get("/api/tags", (c) => c.json(models.tags()));
  app.get("/api/ps", (c) => c.json(models.running()));
  app.get("/api/version", (c) => c.json(models.version()));
  app.post("/api/show", async (c) => c.json(models.show(await jsonBody(c))));
}

function tooLarge(): never {
  const message = `body: expected at most ${MAX_BODY_BYTES >> 20} MiB; received more`;
  throw new RequestError({ status: 413, message, code: "request_too_large" });
}
