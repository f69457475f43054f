/** Ollama's API, translated to what the server does for OpenAI's. */
export { ollamaChat, ollamaGenerate } from "./jobs.ts";
export { OllamaModels } from "./models.ts";
export { ollamaError } from "./shapes.ts";
