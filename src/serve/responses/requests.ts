import {
  type Fields,
  flag,
  invalid,
  isObject,
  isText,
  list,
  object,
  oneOf,
  readFields,
  rule,
  text,
  textOrList,
  type Values,
  wholeNumber,
} from "../fields.ts";
import { metadata } from "../metadata.ts";
import { commonFields, MAX_LOGPROBS } from "../requests.ts";
import type { Service } from "../service.ts";
import { effortVariables, thoughtVariables } from "../thoughts.ts";

const truncations = ["auto", "disabled"] as const;
/** What a prompt is made of. */
const promptFields = {
  model: text,
  input: rule<string | unknown[]>(
    "a text, or a list of items",
    (value) => isText(value) || Array.isArray(value),
    textOrList,
  ),
  instructions: text,
  previous_response_id: text,
  conversation: [],
  tools: rule<unknown[]>("a list of functions", Array.isArray, list),
  tool_choice: rule<unknown>("none, auto, required or a function", (value) => isText(value) || isObject(value), {
    type: ["string", "object"],
  }),
  parallel_tool_calls: flag,
  text: rule<object>("an object with a format", isObject, object),
  reasoning: rule<object>("an object with an effort", isObject, object),
  truncation: oneOf(truncations),
} as const satisfies Fields;

const LOGPROBS = "message.output_text.logprobs";

/** Every field of POST /v1/responses. */
export const responseFields = {
  ...promptFields,
  max_output_tokens: wholeNumber(1),
  temperature: commonFields.temperature,
  top_p: commonFields.top_p,
  top_logprobs: wholeNumber(0, MAX_LOGPROBS),
  include: rule<string[]>(
    `a list with no other text than ${LOGPROBS}`,
    (value) => Array.isArray(value) && value.every((each) => each === LOGPROBS),
    { ...list, items: { const: LOGPROBS } },
  ),
  store: flag,
  background: flag,
  stream: flag,
  stream_options: rule<object>("an object", isObject, object),
  metadata,
  priority: commonFields.priority, // vLLM's
  user: "harmless",
  safety_identifier: "harmless",
  service_tier: "harmless",
  prompt_cache_key: "harmless",
  prompt_cache_options: "harmless",
  prompt_cache_retention: "harmless",
  context_management: [[]],
  moderation: [],
  prompt: [],
} as const satisfies Fields;

/** Every field of POST /v1/responses/input_tokens. */
export const inputTokensFields = { ...promptFields, personality: [] } as const satisfies Fields;

const streamFields = { include_obfuscation: "harmless" } as const satisfies Fields;
const textFields = {
  format: rule<object>("an object with a type", isObject, object),
  verbosity: ["medium"],
} as const satisfies Fields;
const formatFields = {
  type: oneOf(["text", "json_object", "json_schema"]),
  name: text,
  description: text,
  schema: rule<Readonly<Record<string, unknown>>>("a JSON Schema", isObject, object),
  strict: flag, // always: an answer that is cut off is the only one that does not follow it
} as const satisfies Fields;
const reasoningFields = {
  effort: oneOf(["none", "low", "medium", "high"]),
  summary: [],
  generate_summary: [],
  context: ["auto"],
  mode: ["standard"],
} as const satisfies Fields;
const toolFields = {
  type: rule<"function">('"function": tools of other types run at OpenAI alone', (value) => value === "function"),
  name: text,
  description: text,
  parameters: rule<Readonly<Record<string, unknown>>>("the JSON Schema of an object", isObject, object),
  strict: flag,
  allowed_callers: [["direct"]],
  defer_loading: [false],
  output_schema: [],
} as const satisfies Fields;
const choiceFields = {
  type: oneOf(["function", "allowed_tools"]),
  name: text,
  mode: oneOf(["auto", "required"]),
  tools: rule<unknown[]>("a list of tools", Array.isArray, list),
} as const satisfies Fields;

/** A function as requests and responses of this endpoint have it. */
export interface FunctionTool {
  type: "function";
  name: string | undefined;
  description: string | null;
  parameters: Readonly<Record<string, unknown>> | null;
  strict: boolean;
}
export type TextFormat = Values<typeof formatFields> & { type: string };

export type PromptRequest = Omit<Values<typeof promptFields>, "input"> & { input: string | unknown[] };
export type ResponseRequest = PromptRequest & Omit<Values<typeof responseFields>, "input">;

/** @throws RequestError naming the field that is wrong */
export function readResponseRequest(json: unknown): ResponseRequest {
  const request = readFields(json, responseFields);
  readFields(request.stream_options ?? {}, streamFields, "stream_options.");
  if (request.top_logprobs !== undefined && !request.include?.length)
    throw invalid("top_logprobs", `${LOGPROBS} in include with it`, request.top_logprobs);
  if (request.background && request.stream)
    throw invalid("stream", "no stream of a response in the background: ask for it by its id", true);
  if (request.background && request.store === false)
    throw invalid("store", "true for a response in the background, which is asked for later", false);
  return { ...request, input: inputOf(request) };
}

/** @throws RequestError naming the field that is wrong */
export function readInputTokensRequest(json: unknown): PromptRequest {
  const request = readFields(json, inputTokensFields);
  return { ...request, input: inputOf(request) };
}

/** What came before may be all there is. */
function inputOf({ input, previous_response_id: previous }: Values<typeof promptFields>): string | unknown[] {
  const isMissing = input === undefined || (Array.isArray(input) && input.length === 0);
  if (isMissing && previous === undefined) throw invalid("input", promptFields.input.expected, input);
  return input ?? [];
}

/** @throws RequestError naming the field that is wrong */
export function toolsOf({ tools }: PromptRequest): FunctionTool[] {
  return (tools ?? []).map((json, i) => {
    const path = `tools[${i}].`;
    const { type, name, description, parameters, strict } = readFields(json, toolFields, path);
    if (type === undefined) throw invalid(`${path}type`, toolFields.type.expected, undefined);
    return {
      type,
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? true, // as at OpenAI
    };
  });
}

/** Tools in the form of chats. */
export const chatTools = (tools: readonly FunctionTool[]): object[] =>
  tools.map(({ type, ...called }) => ({ type, function: called }));

/** The choice in the form of chats. @throws RequestError naming the field that is wrong */
export function chatToolChoice({ tool_choice: choice }: PromptRequest): unknown {
  if (!isObject(choice)) return choice;
  const { type, name, mode, tools } = readFields(choice, choiceFields, "tool_choice.");
  if (type === undefined) throw invalid("tool_choice.type", choiceFields.type.expected, undefined);
  if (type === "function") return { type, function: { name } };
  const allowed = tools?.map((tool) => (isObject(tool) ? { type: tool.type, function: { name: tool.name } } : tool));
  return { type, allowed_tools: { mode, tools: allowed } };
}

/** @throws RequestError naming the field that is wrong */
export function textFormatOf({ text: json = {} }: PromptRequest): TextFormat {
  const { format } = readFields(json, textFields, "text.");
  if (format === undefined) return { type: "text" };
  const { type, ...rest } = readFields(format, formatFields, "text.format.");
  if (type === undefined) throw invalid("text.format.type", formatFields.type.expected, undefined);
  if (type !== "json_schema") return { type };
  if (rest.name === undefined) throw invalid("text.format.name", "the name of the schema", undefined);
  if (rest.schema === undefined) throw invalid("text.format.schema", formatFields.schema.expected, undefined);
  return { type, ...rest };
}

/** A format in the form of chats. */
export const responseFormat = ({ type, name, schema }: TextFormat): Readonly<Record<string, unknown>> =>
  type === "json_schema" ? { type, json_schema: { name, schema } } : { type };

/** How much to think; undefined where nothing is said. @throws RequestError naming the field that is wrong */
export const effortOf = ({ reasoning: json = {} }: PromptRequest) =>
  readFields(json, reasoningFields, "reasoning.").effort;

/** Variables of the template that an effort sets. @throws RequestError where the model cannot follow it */
export function templateVariables(service: Service, request: PromptRequest): Readonly<Record<string, unknown>> {
  const effort = effortOf(request);
  if (effort === undefined) return {};
  if (effort === "none") return thoughtVariables(service, false, "reasoning.effort");
  return effortVariables(service, effort, "reasoning.effort");
}
