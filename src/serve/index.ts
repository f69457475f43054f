/**
 * Serving by the APIs of OpenAI, Anthropic, Ollama, Cohere and Jina. Imports generate/ (serve -> generate), pipelines/
 * (serve -> pipelines), tokenizers/, base/.
 */
export type { AccessOptions } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export type {
  KindModels,
  LimitOptions,
  LoadedAlready,
  LoadedOnDemand,
  ModelEntry,
  ModelKind,
  Servable,
} from "./models/index.ts";
export type { ServedModel } from "./service.ts";
