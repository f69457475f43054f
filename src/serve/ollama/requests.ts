import {
  type Fields,
  flag,
  invalid,
  isObject,
  isText,
  list,
  objectSchema,
  readFields,
  rule,
  text,
  type Values,
  wholeNumber,
} from "../fields.ts";
import type { CommonRequest } from "../requests.ts";
import { keepAlive } from "./keep-alive.ts";
import { imageList } from "./messages.ts";

const number = (expected: string, accepts: (value: number) => boolean) =>
  rule<number>(expected, (value) => typeof value === "number" && accepts(value));
const share = number("a number above 0 and at most 1", (value) => value > 0 && value <= 1);
const penalty = number("a number from -2 to 2", (value) => value >= -2 && value <= 2);

const MAX_STOPS = 16;
const MAX_LOGPROBS = 20;

/** Every option of a request. */
export const optionFields = {
  num_predict: rule<number>(
    "a whole number, or -1 for as many as there is room for",
    (value) => Number.isSafeInteger(value) && (value as number) >= -2,
  ),
  temperature: number("a number from 0 to 2", (value) => value >= 0 && value <= 2),
  top_k: wholeNumber(-1),
  top_p: share,
  min_p: number("a number from 0 to 1", (value) => value >= 0 && value <= 1),
  typical_p: share,
  repeat_penalty: number("a number above 0", (value) => value > 0),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  seed: rule<number>("a whole number", Number.isSafeInteger),
  stop: rule<string[]>(
    `a list of at most ${MAX_STOPS} texts, none of them empty`,
    (value) => Array.isArray(value) && value.length <= MAX_STOPS && value.every((stop) => isText(stop) && stop !== ""),
  ),
  mirostat: rule<0 | 2>("0 or 2: version 1 is not built", (value) => value === 0 || value === 2),
  mirostat_tau: number("a number above 0", (value) => value > 0),
  mirostat_eta: share,
  num_ctx: wholeNumber(1),
  repeat_last_n: [-1], // penalties see the whole text
  penalize_newline: [true],
  tfs_z: [1],
  vocab_only: [false],
  embedding_only: [false],
  num_keep: "harmless", // nothing is cut
  // how Ollama runs a model
  numa: "harmless",
  num_batch: "harmless",
  num_gpu: "harmless",
  main_gpu: "harmless",
  low_vram: "harmless",
  f16_kv: "harmless",
  logits_all: "harmless",
  use_mmap: "harmless",
  use_mlock: "harmless",
  num_thread: "harmless",
} as const satisfies Fields;

const levels = ["low", "medium", "high"];
const common = {
  model: text,
  stream: flag,
  format: rule<string | Readonly<Record<string, unknown>>>(
    '"json", or a JSON Schema',
    (value) => value === "json" || value === "" || isObject(value),
  ),
  think: rule<boolean | string>(
    "true, false, low, medium or high",
    (value) => typeof value === "boolean" || levels.includes(value as string),
  ),
  options: rule<object>("an object", isObject, objectSchema(optionFields)),
  logprobs: flag,
  top_logprobs: wholeNumber(0, MAX_LOGPROBS),
  keep_alive: keepAlive, // by how the model is lent
  truncate: [false], // what there is no room for is refused
  shift: [false],
} as const satisfies Fields;

/** Every field of POST /api/chat. */
export const chatFields = {
  ...common,
  messages: rule<unknown[]>("a list of messages", Array.isArray, list),
  tools: rule<unknown[]>("a list of tools", Array.isArray, list),
} as const satisfies Fields;

/** Every field of POST /api/generate. */
export const generateFields = {
  ...common,
  prompt: text,
  system: text,
  raw: flag,
  suffix: [""],
  template: [""],
  context: [[]],
  images: imageList,
  width: [0],
  height: [0],
  steps: [0],
} as const satisfies Fields;

export type Options = Values<typeof optionFields>;
type CommonOllamaRequest = Omit<Values<typeof common>, "options"> & { options: Options };
export type OllamaChatRequest = CommonOllamaRequest & Pick<Values<typeof chatFields>, "messages" | "tools">;
export type OllamaGenerateRequest = CommonOllamaRequest &
  Pick<Values<typeof generateFields>, "prompt" | "system" | "raw" | "images">;

/** @throws RequestError naming the field that is wrong */
export function readOllamaChat(json: unknown): OllamaChatRequest {
  return withOptions(readFields(json, chatFields));
}

/** @throws RequestError naming the field that is wrong */
export function readOllamaGenerate(json: unknown): OllamaGenerateRequest {
  const request = readFields(json, generateFields);
  if (request.raw && request.system) throw invalid("system", "none beside raw", request.system);
  if (request.raw && request.images?.length) throw invalid("images", "none beside raw", request.images);
  if (request.raw && request.think !== undefined) throw invalid("think", "nothing beside raw", request.think);
  return withOptions(request);
}

function withOptions<R extends Values<typeof common>>(request: R): Omit<R, "options"> & { options: Options } {
  if (request.model === undefined) throw invalid("model", "the name of a model", undefined);
  if (request.top_logprobs !== undefined && !request.logprobs)
    throw invalid("top_logprobs", "logprobs to be true with it", request.top_logprobs);
  const options = readFields(request.options ?? {}, optionFields, "options.");
  const { mirostat = 0 } = options;
  for (const name of ["mirostat_tau", "mirostat_eta"] as const)
    if (options[name] !== undefined && mirostat === 0)
      throw invalid(`options.${name}`, "mirostat to be 2 with it", options[name]);
  return { ...request, options };
}

/** What is said of a text, in the names of OpenAI's endpoints and vLLM's. */
export function commonRequest({ options, format }: CommonOllamaRequest): CommonRequest {
  const { num_predict: most = -1, seed = -1 } = options;
  return {
    max_tokens: most < 0 ? undefined : most,
    temperature: options.temperature,
    top_k: options.top_k,
    top_p: options.top_p,
    min_p: options.min_p,
    typical_p: options.typical_p,
    repetition_penalty: options.repeat_penalty,
    presence_penalty: options.presence_penalty,
    frequency_penalty: options.frequency_penalty,
    seed: seed === -1 ? undefined : seed,
    stop: options.stop,
    ...(format && { structured_outputs: format === "json" ? { json_object: true } : { json: format } }),
    usage: { includeUsage: true, continuousUsage: false },
  };
}
