/**
 * Serving by the APIs of OpenAI, Anthropic and Ollama. Imports generate/ (serve -> generate), tokenizers/, files/,
 * base/.
 */
export type { AccessOptions } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { DataFolder } from "./data-folder.ts";
export type { FileLimits } from "./files/store.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export type { Moderate, Moderation, ModerationAnswer } from "./moderations/index.ts";
export type { LimitOptions, ServedModel } from "./service.ts";
