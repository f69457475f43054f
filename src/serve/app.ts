import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ApiKey } from "../keys/index.ts";
import { type AccessOptions, accessRules } from "./access.ts";
import { type Job, streamedAnswer, wholeAnswer } from "./answer.ts";
import { anthropicError, countedTokens, messagesJob } from "./anthropic/index.ts";
import { chatJob, completionJob } from "./choices.ts";
import { asRequestError, RequestError } from "./errors.ts";
import type { RequestRecord } from "./log.ts";
import { OllamaModels, ollamaChat, ollamaError, ollamaGenerate } from "./ollama/index.ts";
import { type OperationOptions, Operations, splitOptions, unpackedBodies } from "./operations/index.ts";
import { pageFiles } from "./page/index.ts";
import { bodyText, jsonOf } from "./request-body.ts";
import { RequestLife } from "./request-life.ts";
import { readChatRequest, readCompletionRequest } from "./requests.ts";
import { type LimitOptions, type ServedModel, Service } from "./service.ts";
import { detokenized, tokenized } from "./tokenize.ts";

export interface AppOptions extends AccessOptions, LimitOptions, OperationOptions {}

interface Environment {
  /** Of Node's server; in tests there is none. */
  Bindings: Partial<HttpBindings>;
  Variables: { record: RequestRecord };
}

const MAX_BODY_BYTES = 4 << 20;

/**
 * An OpenAI-compatible HTTP app for one model. It listens nowhere by itself: see `serve`, or call `app.request` in
 * tests.
 * @throws OptionError for unknown options and limits that cannot be
 */
export function createApp(model: ServedModel, options: AppOptions = {}): Hono<Environment> {
  const { allowedHosts, corsOrigins, ...rest } = options;
  const [operations, limits] = splitOptions(rest);
  return appOf(new Service(model, limits), { allowedHosts, corsOrigins, ...operations }).app;
}

/** The app of a service that others dispose of, and what is around its requests. */
export function appOf(
  service: Service,
  { allowedHosts, corsOrigins, ...options }: AccessOptions & OperationOptions,
): { app: Hono<Environment>; operations: Operations } {
  const app = new Hono<Environment>();
  const pages = pageFiles(service);
  const operations = new Operations(options, Object.keys(pages));
  const modelObject = {
    id: service.model.id,
    object: "model",
    created: Math.floor(Date.now() / 1000),
    owned_by: "kindling",
  };
  const model = { ...modelObject, max_model_len: service.contextLength }; // vLLM's name

  app.use(operations.recorded(), ...accessRules({ allowedHosts, corsOrigins }));
  app.get("/health", (c) => (operations.isDraining ? c.json({ status: "draining" }, 503) : c.json({ status: "ok" })));
  app.use(operations.guarded(), unpackedBodies(), bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge }));
  for (const [path, file] of Object.entries(pages)) app.get(path, (c) => c.body(file.body, 200, file.headers));
  app.get("/metrics", async (c) => {
    const { body, type } = await service.metrics.text();
    return c.body(body, 200, { "content-type": type });
  });
  app.post("/tokenize", async (c) => c.json(await tokenized(service, await askedJson(c, service), c.req.raw.signal)));
  app.post("/detokenize", async (c) => c.json(await detokenized(service, await askedJson(c, service))));
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
    c.json(await countedTokens(service, await askedJson(c, service), c.req.raw.signal)),
  );
  ollamaRoutes(app, service);
  app.notFound(({ req }) => {
    throw new RequestError({ status: 404, message: `There is no ${req.method} ${req.path} here.`, code: "not_found" });
  });
  app.onError((error, c) => {
    const refusal = asRequestError(error);
    const record = c.get("record");
    record.failed(error, refusal);
    const body = { ...errorBody(c.req.path, refusal), request_id: record.id };
    return c.json(body, refusal.status as ContentfulStatusCode, refusal.headers);
  });
  return { app, operations };
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
  app.post("/api/show", async (c) => c.json(models.show(await askedJson(c, service))));
}

/** What there is to do, or an answer that needs no model. */
type Task = { isStreamed?: boolean; job: Job } | { answer: object };
type Read = (json: unknown, signal: AbortSignal) => Promise<Task>;

/** Answers a request with one JSON object or with a stream of them. */
async function answer(c: Context<Environment>, service: Service, read: Read): Promise<Response> {
  const body = await bodyText(c);
  const life = new RequestLife({
    client: c.req.raw.signal,
    server: service.stopSignal,
    timeoutMs: service.requestTimeoutMs,
    place: service.queue.enter(),
    record: c.get("record"),
    meter: service.metrics.request(),
    disconnect: () => c.env?.outgoing?.destroy(),
  });
  try {
    const task = await read(asked(c, service, body), life.signal);
    if ("answer" in task) return c.json(task.answer);
    const { isStreamed } = task;
    const job = ofKey(task.job, life.record.key);
    if (!isStreamed) return c.json(await wholeAnswer(service.model, job, life));
    const events = await streamedAnswer(service.model, job, life, service.stalledTimeoutMs);
    return c.body(events, 200, {
      "content-type": job.contentType ?? "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
  } finally {
    if (!life.record.isStreamed) life.end();
  }
}

/** Requests of one key share the model as one with those of the others. */
function ofKey(job: Job, key: ApiKey | undefined): Job {
  if (!key) return job;
  const choices = job.choices.map(({ options, ...choice }) => ({
    ...choice,
    options: { ...options, group: key.hash },
  }));
  return { ...job, choices };
}

/** The JSON of a body, which the request's record is told of. @throws RequestError for what is none, or not allowed */
function asked(c: Context<Environment>, service: Service, body: string): unknown {
  const json = jsonOf(body);
  c.get("record").asked(json, service.model.id);
  return json;
}
const askedJson = async (c: Context<Environment>, service: Service) => asked(c, service, await bodyText(c));

function tooLarge(): never {
  const message = `body: expected at most ${MAX_BODY_BYTES >> 20} MiB; received more`;
  throw new RequestError({ status: 413, message, code: "request_too_large" });
}
