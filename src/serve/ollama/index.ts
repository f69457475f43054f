/** Ollama's API, translated to what the server does for OpenAI's. */
export { ollamaRoutes } from "./routes.ts";
export { ollamaError } from "./shapes.ts";
