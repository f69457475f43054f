/** Serving by the APIs of OpenAI, Anthropic and Ollama. Imports generate/ (serve -> generate), tokenizers/, base/. */
export { type AccessOptions, accessRules } from "./access.ts";
export { type AppOptions, createApp } from "./app.ts";
export { asRequestError, type ErrorBody, type ErrorStatus, RequestError } from "./errors.ts";
export { closeServer, listen, type RunningServer, type ServeOptions, serve } from "./listen.ts";
export { RequestRecord } from "./log.ts";
export { bodyText, jsonOf } from "./request-body.ts";
export type { LimitOptions, ServedModel } from "./service.ts";
