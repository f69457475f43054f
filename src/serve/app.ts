import { type Context, Hono, type MiddlewareHandler } from "hono";
import { type AccessOptions, accessRules } from "./access.ts";
import { adapterRoutes } from "./adapters.ts";
import { anthropicError, countedTokens, messagesJob } from "./anthropic/index.ts";
import { batchRoutes } from "./batches/index.ts";
import { chatJob, completionJob } from "./choices.ts";
import type { DataFolder } from "./data-folder.ts";
import type { RequestError } from "./errors.ts";
import { type App, answer, type Environment, lookUp, useOutside } from "./exchange.ts";
import { fileRoutes } from "./files/index.ts";
import type { ImageHostOptions } from "./images/index.ts";
import { modelRoutes } from "./model-list.ts";
import { type LimitOptions, type Servable, ServedModels } from "./models/index.ts";
import { type Moderate, moderationRoutes } from "./moderations/index.ts";
import { ollamaError, ollamaRoutes } from "./ollama/index.ts";
import { documentPaths, documentRoutes } from "./openapi/index.ts";
import {
  answerErrors,
  limitedBodies,
  type OperationOptions,
  Operations,
  splitOptions,
  unpackedBodies,
} from "./operations/index.ts";
import { type ChatPage, chatPage } from "./page/index.ts";
import { readChatRequest, readCompletionRequest } from "./requests.ts";
import { responseRoutes } from "./responses/index.ts";
import { classifyRoutes, embeddingRoutes, rankingRoutes, speechRoutes } from "./tasks/index.ts";
import { detokenized, tokenized } from "./tokenize.ts";

export interface AppOptions extends AccessOptions, LimitOptions, ImageHostOptions, OperationOptions {
  /**
   * Folder below which clients may load adapters while the server runs, by vLLM's API. @default none: they may not
   */
  adapterFolder?: string;
  /** Keeps files and batches; whoever has opened it closes it. @default those endpoints answer 501 */
  data?: DataFolder;
  /** Judges texts for /v1/moderations. @default none, and the endpoint answers 501 */
  moderate?: Moderate;
}

const MAX_JSON_MIB = 4;
/** Anthropic's most for messages: one image of the largest size in base64, or several smaller ones. */
const MAX_MESSAGES_MIB = 32;
const MESSAGES = [
  "/v1/chat/completions",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/v1/responses",
  "/v1/responses/input_tokens",
  "/api/chat",
  "/api/generate",
];
/** OpenAI's most for a sound, and room for the form around it. */
const MAX_SOUND_MIB = 26;
const SOUNDS = "/v1/audio/";
/** Has a limit of its own. */
const FILES = "/v1/files";

/**
 * An OpenAI-compatible HTTP app for one or several models. It listens nowhere by itself: see `serve`, or call
 * `app.request` in tests.
 * @throws OptionError for unknown options and limits that cannot be, and for models that cannot be served together
 */
export function createApp(models: Servable | readonly Servable[], options: AppOptions = {}): App {
  const { allowedHosts, corsOrigins, adapterFolder, data, moderate, ...rest } = options;
  const [operations, limits] = splitOptions(rest);
  const parts = { allowedHosts, corsOrigins, adapterFolder, data, moderate };
  return appOf(new ServedModels(models, limits), { ...parts, ...operations }).app;
}

/** The app of models that others dispose of, and what is around its requests. */
export function appOf(
  models: ServedModels,
  {
    allowedHosts,
    corsOrigins,
    adapterFolder,
    data,
    moderate,
    ...options
  }: Omit<AppOptions, keyof LimitOptions | keyof ImageHostOptions>,
): { app: App; operations: Operations } {
  const app: App = new Hono();
  const page = chatPage();
  const operations = new Operations(options, ["/", ...Object.keys(page.assets), ...documentPaths]);
  app.use(operations.recorded(), ...accessRules({ allowedHosts, corsOrigins }));
  // load balancers ask without a key; a body that nobody may send is not read
  app.get("/health", (c) => health(c, models, operations));
  app.use(operations.guarded(), unpackedBodies(), ...bodyLimits(models));
  operationRoutes(app, models, page);
  modelRoutes(app, models);
  if (adapterFolder !== undefined) adapterRoutes(app, models, adapterFolder);
  textRoutes(app, models);
  embeddingRoutes(app, models);
  rankingRoutes(app, models);
  classifyRoutes(app, models);
  speechRoutes(app, models);
  ollamaRoutes(app, models);
  responseRoutes(app, models);
  fileRoutes(app, data);
  batchRoutes(app, data);
  moderationRoutes(app, moderate);
  documentRoutes(app, models, operations.gate);
  answerErrors(app, errorBody);
  return { app, operations };
}

/** An error in the form of the API that a path belongs to. */
function errorBody(error: RequestError, path: string): object {
  if (path.startsWith("/v1/messages")) return anthropicError(error);
  return path.startsWith("/api/") ? ollamaError(error) : error.body;
}

/** Load balancers send nothing while it is no 200; who asks for an answer while the model is loaded waits for it. */
function health(c: Context<Environment>, models: ServedModels, { isDraining }: Operations): Response {
  if (isDraining) return c.json({ status: "draining" }, 503);
  return models.isStarting ? c.json({ status: "loading" }, 503, { "retry-after": "1" }) : c.json({ status: "ok" });
}

/** The numbers of the server, and its page. */
function operationRoutes(app: App, models: ServedModels, page: ChatPage): void {
  app.get("/", (c) =>
    useOutside(c, models, "text-generation", models.first("text-generation"), (service) => {
      const { body, headers } = page.document(service);
      return c.body(body, 200, headers);
    }),
  );
  for (const [path, file] of Object.entries(page.assets)) app.get(path, (c) => c.body(file.body, 200, file.headers));
  app.get("/metrics", async (c) => {
    const { body, type } = await models.metrics.text();
    return c.body(body, 200, { "content-type": type });
  });
}

/** What models that write are asked for, by OpenAI's, vLLM's and Anthropic's APIs. */
function textRoutes(app: App, models: ServedModels): void {
  const kind = "text-generation";
  app.post("/tokenize", (c) => lookUp(c, models, kind, tokenized));
  app.post("/detokenize", (c) => lookUp(c, models, kind, detokenized));
  app.post("/v1/completions", (c) =>
    answer(c, models, async (service, json, signal) => {
      const request = readCompletionRequest(json);
      return { isStreamed: request.stream, job: await completionJob(service, request, signal) };
    }),
  );
  app.post("/v1/chat/completions", (c) =>
    answer(c, models, async (service, json, signal) => {
      const request = readChatRequest(json);
      return { isStreamed: request.stream, job: await chatJob(service, request, signal) };
    }),
  );
  app.post("/v1/messages", (c) => answer(c, models, messagesJob));
  app.post("/v1/messages/count_tokens", (c) => lookUp(c, models, kind, countedTokens));
}

/** Refuse what is larger than requests are. @throws RequestError 413 */
function bodyLimits(models: ServedModels): MiddlewareHandler[] {
  const limitOf = (most: number, isOfIt: (path: string) => boolean): MiddlewareHandler => {
    const limit = limitedBodies(most);
    return (c, next) => (isOfIt(c.req.path) ? limit(c, next) : next());
  };
  const isSound = (path: string) => path.startsWith(SOUNDS);
  const takeImages = models.list().some(({ takesImages }) => takesImages);
  const mayHaveImages = (path: string) => takeImages && MESSAGES.includes(path);
  const isOther = (path: string) => !isSound(path) && !mayHaveImages(path) && path !== FILES;
  return [limitOf(MAX_SOUND_MIB, isSound), limitOf(MAX_MESSAGES_MIB, mayHaveImages), limitOf(MAX_JSON_MIB, isOther)];
}
