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
  // Anthropic counts what it reads from its cache, and writes there, apart
  const read = count(usage.cache_read_input_tokens) ?? 0;
  const written = count(usage.cache_creation_input_tokens) ?? 0;
  const hits = count(details?.cached_tokens) ?? count(usage.prompt_cache_hit_tokens) ?? count(usage.cached_tokens);
  const whole = (input ?? 0) + read + written;
  return { input: whole, cached: Math.min(hits ?? read, whole), output: output ?? 0 };
}

/** What two events of a stream tell together: some tell the prompt at the beginning and the answer at the end. */
export function laterUsage(before: TokenUsage | undefined, now: TokenUsage | undefined): TokenUsage | undefined {
  if (before === undefined || now === undefined) return now ?? before;
  return { ...(now.input > 0 ? now : before), output: Math.max(before.output, now.output) };
}

/** Characters of a token, on the low side for English: what nobody counted is rather taken for too much. */
const TOKEN_CHARACTERS = 3;

/** Tokens of a text that nobody has counted. */
export const estimatedTokens = (characters: number): number => Math.ceil(characters / TOKEN_CHARACTERS);
