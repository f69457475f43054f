/**
 * Serving by the APIs of OpenAI, Anthropic, Ollama, Cohere and Jina. Imports generate/ (serve -> generate), pipelines/
 * (serve -> pipelines), tokenizers/, keys/, files/, base/.
 */
export { type AccessOptions, accessRules } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { DataFolder } from "./data-folder.ts";
export { asRequestError, clientLost, RequestError } from "./errors.ts";
export type { FileLimits } from "./files/store.ts";
export type { ImageHostOptions, ImageSide } from "./images/index.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export type { RequestRecord } from "./log.ts";
export type {
  KindModels,
  LimitOptions,
  LoadedAlready,
  LoadedOnDemand,
  ModelEntry,
  ModelKind,
  Servable,
} from "./models/index.ts";
export type { Moderate, Moderation, ModerationAnswer } from "./moderations/index.ts";
export {
  AuditLog,
  answerErrors,
  type ConnectionOptions,
  HttpServer,
  type LogLevel,
  type LogOptions,
  limitedBodies,
  logLine,
  type OperationOptions,
  Operations,
  Reloader,
  type TlsOptions,
  unpackedBodies,
} from "./operations/index.ts";
export { bodyText, jsonOf } from "./request-body.ts";
export type { ServedModel, ServedSpeculation } from "./service.ts";
