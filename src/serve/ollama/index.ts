/** Ollama's API, translated to what the server does for OpenAI's. */
export { ollamaChat, ollamaGenerate } from "./jobs.ts";
export { OllamaModels, showFields } from "./models.ts";
export { chatFields, generateFields } from "./requests.ts";
export { ollamaError } from "./shapes.ts";
