/**
 * Serving by the APIs of OpenAI, Anthropic and Ollama. Imports generate/ (serve -> generate), tokenizers/, keys/,
 * files/, base/.
 */
export { type AccessOptions, accessRules } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { asRequestError, RequestError } from "./errors.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export type { RequestRecord } from "./log.ts";
export {
  AuditLog,
  type ConnectionOptions,
  HttpServer,
  type LogOptions,
  type OperationOptions,
  Operations,
  Reloader,
  type TlsOptions,
  unpackedBodies,
} from "./operations/index.ts";
export { bodyText, jsonOf } from "./request-body.ts";
export type { LimitOptions, ServedModel } from "./service.ts";
