import { isObject } from "../base/index.ts";

/** Tokens of a request. */
export interface TokenUsage {
  /** Of the prompt, those of the cache included. */
  input: number;
  /** Of the prompt, those that the upstream had in its cache. */
  cached: number;
  output: number;
}

const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.floor(value) : undefined;

/**
 * The usage that an answer tells: of chats, completions and embeddings (`prompt_tokens`), of responses and messages
 * (`input_tokens`), of DeepSeek (`prompt_cache_hit_tokens`), of Moonshot (`cached_tokens`; its streams have it in a
 * choice). Undefined where there is none.
 */
export function usageOf(answer: unknown): TokenUsage | undefined {
  if (!isObject(answer)) return undefined;
  const nested = [answer.response, answer.message, Array.isArray(answer.choices) ? answer.choices[0] : undefined];
  const usage = [answer, ...nested].map((part) => (isObject(part) ? part.usage : undefined)).find(isObject);
  if (usage === undefined) return undefined;
  const input = count(usage.prompt_tokens) ?? count(usage.input_tokens);
  const output = count(usage.completion_tokens) ?? count(usage.output_tokens);
  if (input === undefined && output === undefined) return undefined;
  const details = [usage.prompt_tokens_details, usage.input_tokens_details].find(isObject);
  const cached =
    count(details?.cached_tokens) ?? count(usage.prompt_cache_hit_tokens) ?? count(usage.cached_tokens) ?? 0;
  return { input: input ?? 0, cached: Math.min(cached, input ?? 0), output: output ?? 0 };
}

/** Characters of a token, on the low side for English: what nobody counted is rather taken for too much. */
const TOKEN_CHARACTERS = 3;

/** Tokens of a text that nobody has counted. */
export const estimatedTokens = (characters: number): number => Math.ceil(characters / TOKEN_CHARACTERS);
