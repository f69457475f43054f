import type { SentenceEncoder, SentenceOptions } from "../../pipelines/index.ts";
import type { App } from "../exchange.ts";
import { type Fields, invalid, readFields, rule, text, wholeNumber } from "../fields.ts";
import type { ServedModels, TaskService } from "../models/index.ts";
import { type Answer, answerJson } from "./answering.ts";
import { countTokens, cutLength, inSlices, listOf, texts, truncateTokens, usageOf } from "./inputs.ts";

const formats = ["float", "base64"];

/** Every field of POST /v1/embeddings. */
export const embeddingFields = {
  model: text,
  input: texts,
  encoding_format: rule<"float" | "base64">('"float" or "base64"', (value) => formats.includes(value as string)),
  dimensions: wholeNumber(1),
  user: "harmless",
  truncate_prompt_tokens: truncateTokens,
  prompt_name: text, // of sentence-transformers
} as const satisfies Fields;

/** POST /v1/embeddings, as OpenAI's. */
export function embeddingRoutes(app: App, models: ServedModels): void {
  app.post("/v1/embeddings", (c) => answerJson(c, models, "embedding", embedded));
}

async function embedded({ id, model }: TaskService<"embedding">, json: unknown, signal: AbortSignal): Promise<Answer> {
  const request = readFields(json, embeddingFields);
  const { encoding_format: format = "float", dimensions, prompt_name: promptName } = request;
  const input = listOf(request.input, "input");
  if (promptName !== undefined && !model.promptNames.includes(promptName))
    throw invalid("prompt_name", `a prompt of the model: ${model.promptNames.join(", ") || "it has none"}`, promptName);
  if (promptName !== undefined && typeof input[0] !== "string")
    throw invalid("prompt_name", "texts with it: token ids are taken as they are", promptName);
  const { vectors, tokens } = await embeddings(model, input, {
    signal,
    dimensions,
    promptName,
    maxLength: cutLength(request.truncate_prompt_tokens, model.maxTokens),
  });
  const data = vectors.map((vector, index) => ({
    object: "embedding",
    index,
    embedding: format === "float" ? vector : base64Of(vector),
  }));
  return { tokens, body: { object: "list", data, model: id, usage: usageOf(tokens) } };
}

interface EmbeddingOptions {
  signal: AbortSignal;
  /** Numbers that are kept of each vector, which then gets length 1. @default all, as they are */
  dimensions?: number;
  promptName?: string;
  /** Most tokens of a text; what is longer is cut. @default it is refused */
  maxLength?: number;
  /** Whether vectors get length 1. @default as the model leaves them, unless there are dimensions */
  normalize?: boolean;
}

/** Vectors of texts, and how many tokens these have. @throws RequestError 400 naming the field that is wrong */
export async function embeddings(
  model: SentenceEncoder,
  input: readonly (string | readonly number[])[],
  { signal, dimensions, promptName, maxLength, normalize }: EmbeddingOptions,
): Promise<{ vectors: number[][]; tokens: number }> {
  const prompt = typeof input[0] === "string" ? { promptName } : { prompt: "" };
  const encodings = await model.tokenize(input, { ...prompt, maxLength });
  const tokens = countTokens(encodings, { maxTokens: model.maxTokens, param: "input" });
  const options: SentenceOptions = {
    ...prompt,
    truncateDim: dimensions,
    normalizeEmbeddings: normalize ?? dimensions !== undefined,
  };
  const vectors = await inSlices(encodings, signal, async (slice, batch) => {
    const some = await model.encode(slice, { ...options, ...batch });
    if (dimensions !== undefined && some[0].length < dimensions)
      throw invalid("dimensions", `at most the ${some[0].length} of this model`, dimensions);
    return some;
  });
  return { vectors, tokens };
}

/** The numbers as OpenAI's clients read them: 32 bits each, the lowest byte first. */
function base64Of(vector: readonly number[]): string {
  const bytes = Buffer.alloc(4 * vector.length);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, 4 * i);
  return bytes.toString("base64");
}
