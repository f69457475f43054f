/** Ollama's API, translated to what the server does for OpenAI's. */
export { embeddingsFields, embedFields } from "./embed.ts";
export { showFields } from "./models.ts";
export { chatFields, generateFields } from "./requests.ts";
export { ollamaRoutes } from "./routes.ts";
export { ollamaError } from "./shapes.ts";
