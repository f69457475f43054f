/**
 * Serving by the APIs of OpenAI, Anthropic, Ollama, Cohere and Jina. Imports generate/ (serve -> generate), pipelines/
 * (serve -> pipelines), tokenizers/, files/, base/.
 */
export type { AccessOptions } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { DataFolder } from "./data-folder.ts";
export type { FileLimits } from "./files/store.ts";
export type { ImageHostOptions, ImageSide } from "./images/index.ts";
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
export type { Moderate, Moderation, ModerationAnswer } from "./moderations/index.ts";
export type { ServedModel } from "./service.ts";
