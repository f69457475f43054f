import type { LoadSettings } from "./options.ts";

/** What is known of a server before the test. */
export interface ServerFacts {
  model: string;
  /** Tokens of prompt and answer; undefined where the server does not say. */
  contextLength: number | undefined;
  /** Whether it takes vLLM's `continuous_usage_stats`, with which each piece says how many tokens there are by then. */
  countsPieces: boolean;
  /** Token ids below it are taken; undefined where no random ids are sent. */
  vocabSize: number | undefined;
  /** Tokens of a chat of n words: fixed + n * perWord. */
  wordTokens: { fixed: number; perWord: number };
}

export const userMessage = (content: string): object => ({ messages: [{ role: "user", content }] });

/** A request whose answer is streamed, with the tokens counted. */
export function requestOf(
  { endpoint, temperature, ignoreEos }: LoadSettings,
  { model, countsPieces }: Pick<ServerFacts, "model" | "countsPieces">,
  prompt: object,
  maxTokens: number,
): { path: string; body: string } {
  const body = {
    model,
    ...prompt,
    max_tokens: maxTokens, // of both endpoints; local servers know its newer name less well
    stream: true,
    stream_options: { include_usage: true, ...(countsPieces && { continuous_usage_stats: true }) },
    ...(temperature !== undefined && { temperature }),
    ...(ignoreEos && { ignore_eos: true }),
  };
  return { path: endpoint === "chat" ? "/v1/chat/completions" : "/v1/completions", body: JSON.stringify(body) };
}
