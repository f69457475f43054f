/**
 * Serving by the APIs of OpenAI, Anthropic and Ollama. Imports generate/ (serve -> generate), tokenizers/, keys/,
 * files/, base/.
 */
export type { AccessOptions } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export { AuditLog, type ConnectionOptions, type OperationOptions, type TlsOptions } from "./operations/index.ts";
export type { LimitOptions, ServedModel } from "./service.ts";
