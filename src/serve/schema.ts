import { z } from "zod";
import type { ChatMessage } from "../tokenizers/index.ts";

/** Longest completion a request may ask for. */
const MAX_TOKENS = 32768;

const sampling = {
  model: z.string().optional(),
  max_tokens: z.number().int().min(0).max(MAX_TOKENS).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  /** Not in OpenAI's API, but in vLLM's and llama.cpp's. */
  top_k: z.number().int().min(-1).nullish(),
  seed: z.number().int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(16)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.literal(1).nullish(),
  user: z.string().nullish(),
};

/** Body of POST /v1/completions. */
export const completionRequest = z.object({
  ...sampling,
  prompt: z.union([z.string(), z.array(z.string()).length(1), z.array(z.number().int())]),
  echo: z.boolean().nullish(),
});

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z.union([z.string(), z.array(textPart)]),
  name: z.string().nullish(),
});

/** Body of POST /v1/chat/completions. */
export const chatRequest = z.object({
  ...sampling,
  max_completion_tokens: z.number().int().min(0).max(MAX_TOKENS).nullish(),
  messages: z.array(message).min(1),
});

export type SamplingFields = Omit<z.infer<typeof completionRequest>, "prompt" | "echo">;

/** The messages with text parts joined. */
export function plainMessages(messages: z.infer<typeof chatRequest>["messages"]): ChatMessage[] {
  return messages.map(({ role, content }) => ({ role, content: typeof content === "string" ? content : content.map(({ text }) => text).join("") }));
}
