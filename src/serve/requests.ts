import {
  type Fields,
  flag,
  invalid,
  isObject,
  isText,
  list,
  object,
  objectSchema,
  readFields,
  rule,
  text,
  textOrList,
  type Values,
  wholeNumber,
} from "./fields.ts";
import { messageFields } from "./messages.ts";

/** OpenAI's most answers to one request. */
const MAX_CHOICES = 128;
const MAX_STOPS = 16;
/** Each answer looks at them for each token. */
const MAX_BIASES = 1024;
/** Likeliest tokens that are told, OpenAI's most. */
export const MAX_LOGPROBS = 20;

const isStop = (value: unknown) => isText(value) && value !== "";
const streamOptions = {
  include_usage: flag,
  continuous_usage_stats: flag, // vLLM's
  include_obfuscation: "harmless",
} as const satisfies Fields;

const range = (minimum: number, maximum: number) => ({ type: "number", minimum, maximum });
const share = { type: "number", exclusiveMinimum: 0, maximum: 1 };
const penalty = rule<number>(
  "a number from -2 to 2",
  (value) => typeof value === "number" && value >= -2 && value <= 2,
  range(-2, 2),
);
const isBiases = (value: unknown) =>
  isObject(value) &&
  Object.keys(value).length <= MAX_BIASES &&
  Object.entries(value).every(
    ([id, bias]) => /^\d+$/.test(id) && typeof bias === "number" && bias >= -100 && bias <= 100,
  );
export const isIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((id) => Number.isInteger(id));

/** Fields that both endpoints have. */
export const commonFields = {
  model: text,
  max_tokens: wholeNumber(0),
  temperature: rule<number>(
    "a number from 0 to 2",
    (value) => typeof value === "number" && value >= 0 && value <= 2,
    range(0, 2),
  ),
  top_p: rule<number>(
    "a number above 0 and at most 1",
    (value) => typeof value === "number" && value > 0 && value <= 1,
    share,
  ),
  top_k: wholeNumber(-1), // vLLM's and llama.cpp's; -1 and 0 are no limit
  // vLLM's and llama.cpp's
  min_p: rule<number>(
    "a number from 0 to 1",
    (value) => typeof value === "number" && value >= 0 && value <= 1,
    range(0, 1),
  ),
  repetition_penalty: rule<number>("a number above 0", (value) => typeof value === "number" && value > 0, {
    type: "number",
    exclusiveMinimum: 0,
  }), // vLLM's
  seed: rule<number>("a whole number", Number.isSafeInteger, { type: "integer" }),
  stop: rule<string | string[]>(
    `a text, or a list of at most ${MAX_STOPS} texts, none of them empty`,
    (value) => isStop(value) || (Array.isArray(value) && value.length <= MAX_STOPS && value.every(isStop)),
    { ...textOrList, items: { type: "string" }, maxItems: MAX_STOPS },
  ),
  stream: flag,
  stream_options: rule<Readonly<Record<string, unknown>>>("an object", isObject, object),
  n: wholeNumber(1, MAX_CHOICES),
  user: "harmless",
  frequency_penalty: penalty,
  presence_penalty: penalty,
  logit_bias: rule<Readonly<Record<string, number>>>(
    "an object of at most 1024 token ids, and numbers from -100 to 100",
    isBiases,
    { ...object, maxProperties: MAX_BIASES, additionalProperties: range(-100, 100) },
  ),
  // vLLM's
  min_tokens: wholeNumber(0),
  stop_token_ids: rule<number[]>("a list of token ids", isIds, { ...list, items: { type: "integer" } }),
  ignore_eos: flag,
  prompt_logprobs: wholeNumber(-1, MAX_LOGPROBS), // -1 tells of the whole vocabulary
  priority: rule<number>("a whole number: those of lower ones go first", Number.isSafeInteger, { type: "integer" }),
  structured_outputs: rule<Readonly<Record<string, unknown>>>(
    "an object with one of json, regex, choice, grammar",
    isObject,
    object,
  ),
  // llama.cpp's
  typical_p: rule<number>(
    "a number above 0 and at most 1",
    (value) => typeof value === "number" && value > 0 && value <= 1,
    share,
  ),
  grammar: text, // GBNF
} as const satisfies Fields;

/** Texts or token ids: one, or several. */
export type Prompts = string | number[] | string[] | number[][];
const prompts = rule<Prompts>(
  "a text, a list of token ids, or a list of texts or of such lists",
  (value) => isText(value) || isIds(value) || (Array.isArray(value) && (value.every(isText) || value.every(isIds))),
  textOrList,
);

/** Every field of POST /v1/completions. */
export const completionFields = {
  ...commonFields,
  prompt: prompts,
  echo: flag,
  best_of: wholeNumber(1, MAX_CHOICES),
  logprobs: wholeNumber(0, MAX_LOGPROBS),
  suffix: text,
} as const satisfies Fields;

/** Every field of POST /v1/chat/completions. */
export const chatFields = {
  ...commonFields,
  messages: rule<unknown[]>("a list of at least one message", (value) => Array.isArray(value) && value.length > 0, {
    ...list,
    minItems: 1,
    items: objectSchema(messageFields, ["role"]),
  }),
  max_completion_tokens: wholeNumber(0),
  // vLLM's
  chat_template_kwargs: rule<Readonly<Record<string, unknown>>>(
    "an object: variables of the chat template",
    isObject,
    object,
  ),
  metadata: "harmless",
  store: "harmless",
  service_tier: "harmless",
  safety_identifier: "harmless",
  prompt_cache_key: "harmless",
  prompt_cache_options: "harmless",
  prompt_cache_retention: "harmless",
  prediction: "harmless", // makes OpenAI faster
  parallel_tool_calls: flag,
  audio: [],
  function_call: ["none", "auto"],
  functions: [[]],
  logprobs: flag,
  top_logprobs: wholeNumber(0, MAX_LOGPROBS),
  modalities: [["text"]],
  moderation: [],
  reasoning_effort: [],
  response_format: rule<Readonly<Record<string, unknown>>>("an object with a type", isObject, object),
  tool_choice: rule<unknown>("none, auto, required or a function", (value) => isText(value) || isObject(value), {
    type: ["string", "object"],
  }),
  tools: rule<unknown[]>("a list of tools", Array.isArray, list),
  // vLLM's: most tokens of thoughts
  thinking_token_budget: wholeNumber(0),
  verbosity: ["medium"],
  web_search_options: [],
} as const satisfies Fields;

export interface UsageOptions {
  /** Whether a stream ends with the usage. */
  includeUsage: boolean;
  /** Whether each piece of a stream says how much there is by then. */
  continuousUsage: boolean;
}

export type CommonRequest = Values<typeof commonFields> & { usage: UsageOptions };
export type CompletionRequest = CommonRequest & Values<typeof completionFields> & { prompt: Prompts };
export type ChatRequest = CommonRequest & Values<typeof chatFields> & { messages: unknown[] };

/** @throws RequestError naming the field that is wrong */
export function readCompletionRequest(json: unknown): CompletionRequest {
  const request = readFields(json, completionFields);
  if (request.prompt === undefined) throw invalid("prompt", completionFields.prompt.expected, undefined);
  const { n = 1, best_of: best = n } = request;
  if (best < n) throw invalid("best_of", `at least n, ${n}`, best);
  if (best > n && request.stream) throw invalid("best_of", "no stream: which are the best shows at the end", best);
  return { ...request, ...promptLogprobs(request), prompt: request.prompt, usage: usageOptions(request) };
}

/** @throws RequestError naming the field that is wrong */
export function readChatRequest(json: unknown): ChatRequest {
  const request = readFields(json, chatFields);
  if (request.messages === undefined) throw invalid("messages", chatFields.messages.expected, undefined);
  if (request.top_logprobs !== undefined && !request.logprobs)
    throw invalid("top_logprobs", "logprobs to be true with it", request.top_logprobs);
  return { ...request, ...promptLogprobs(request), messages: request.messages, usage: usageOptions(request) };
}

/**
 * What comes with whole answers alone. As in vLLM a stream may ask for 0, and has nothing.
 * @throws RequestError for a stream that asks for more
 */
function promptLogprobs({ prompt_logprobs: count, stream }: Values<typeof commonFields>) {
  if (count && stream) throw invalid("prompt_logprobs", "no stream, as in vLLM", count);
  return { prompt_logprobs: stream ? undefined : count };
}

function usageOptions({ stream_options: json = {} }: Values<typeof commonFields>): UsageOptions {
  const { include_usage: includeUsage = false, continuous_usage_stats: isContinuous = false } = readFields(
    json,
    streamOptions,
    "stream_options.",
  );
  return { includeUsage, continuousUsage: includeUsage && isContinuous };
}
