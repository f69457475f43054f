/** OpenAI-compatible serving. Imports generate/ (serve -> generate), tokenizers/ and ir/. */
export { createApp, type ServedModel } from "./app.ts";
export { type RunningServer, type ServeOptions, serve } from "./listen.ts";
