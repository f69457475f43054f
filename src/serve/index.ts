/** Serving by OpenAI's API, and by Anthropic's and Ollama's. Imports generate/ (serve -> generate), tokenizers/ and ir/. */
export type { AccessOptions } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
export type { LimitOptions, ServedModel } from "./service.ts";
