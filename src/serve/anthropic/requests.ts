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

const MAX_STOPS = 16;

const share = (least: string, accepts: (value: number) => boolean) =>
  rule<number>(least, (value) => typeof value === "number" && accepts(value), { type: "number" });

/** What a prompt is made of. */
const promptFields = {
  model: text,
  messages: rule<unknown[]>(
    "a list of at least one message",
    (value) => Array.isArray(value) && value.length > 0,
    list,
  ),
  system: rule<string | unknown[]>(
    "a text, or a list of blocks of text",
    (value) => isText(value) || Array.isArray(value),
    textOrList,
  ),
  tools: rule<unknown[]>("a list of tools", Array.isArray, list),
  tool_choice: rule<object>("an object with a type", isObject, object),
  thinking: rule<object>("an object with a type", isObject, object),
  output_config: rule<object>("an object", isObject, object),
  cache_control: "harmless",
  speed: ["standard"],
} as const satisfies Fields;

/** Every field of POST /v1/messages. */
export const messagesFields = {
  ...promptFields,
  max_tokens: wholeNumber(0),
  stop_sequences: rule<string[]>(
    `a list of at most ${MAX_STOPS} texts, none of them empty`,
    (value) => Array.isArray(value) && value.length <= MAX_STOPS && value.every((stop) => isText(stop) && stop !== ""),
    { ...list, items: { type: "string" }, maxItems: MAX_STOPS },
  ),
  temperature: share("a number from 0 to 1", (value) => value >= 0 && value <= 1),
  top_p: share("a number above 0 and at most 1", (value) => value > 0 && value <= 1),
  top_k: wholeNumber(0),
  stream: flag,
  metadata: "harmless",
  service_tier: "harmless",
  inference_geo: "harmless",
  container: [],
  diagnostics: [],
} as const satisfies Fields;

/** Every field of POST /v1/messages/count_tokens. */
export const countFields = promptFields;

const toolFields = {
  type: ["custom"],
  name: text,
  description: text,
  input_schema: rule<object>("the JSON Schema of an object", isObject, object),
  strict: flag,
  cache_control: "harmless",
  eager_input_streaming: "harmless", // input is always streamed as it is written
  allowed_callers: [["direct"]],
  defer_loading: [false],
  input_examples: [[]],
} as const satisfies Fields;

const choiceTypes = ["auto", "any", "tool", "none"] as const;
const choiceFields = {
  type: oneOf(choiceTypes),
  name: text,
  disable_parallel_tool_use: flag,
} as const satisfies Fields;

const thinkingTypes = ["enabled", "adaptive", "disabled"] as const;
const thinkingFields = {
  type: oneOf(thinkingTypes),
  budget_tokens: wholeNumber(1),
  display: ["summarized"], // thoughts are shown
} as const satisfies Fields;

const outputFields = {
  format: rule<object>("an object with type and schema", isObject, object),
  effort: [],
} as const satisfies Fields;
const formatFields = {
  type: rule<"json_schema">('"json_schema"', (value) => value === "json_schema"),
  schema: rule<Readonly<Record<string, unknown>>>("a JSON Schema", isObject, object),
} as const satisfies Fields;

export type PromptRequest = Omit<Values<typeof promptFields>, "messages"> & { messages: unknown[] };
export type MessagesRequest = PromptRequest &
  Values<typeof messagesFields> & { messages: unknown[]; max_tokens: number };

/** @throws RequestError naming the field that is wrong */
export function readMessagesRequest(json: unknown): MessagesRequest {
  const request = readFields(json, messagesFields);
  const { messages, max_tokens: maxTokens } = request;
  if (messages === undefined) throw invalid("messages", messagesFields.messages.expected, undefined);
  if (maxTokens === undefined) throw invalid("max_tokens", messagesFields.max_tokens.expected, undefined);
  return { ...request, messages, max_tokens: maxTokens };
}

/** @throws RequestError naming the field that is wrong */
export function readCountRequest(json: unknown): PromptRequest {
  const request = readFields(json, countFields);
  if (request.messages === undefined) throw invalid("messages", countFields.messages.expected, undefined);
  return { ...request, messages: request.messages };
}

/** Tools in OpenAI's form. @throws RequestError naming the field that is wrong */
export function toolsOf({ tools }: PromptRequest): object[] | undefined {
  return tools?.map((json, i) => {
    const path = `tools[${i}].`;
    const { name, description, input_schema: parameters, strict } = readFields(json, toolFields, path);
    if (name === undefined) throw invalid(`${path}name`, "the name of the tool", undefined);
    if (parameters === undefined) throw invalid(`${path}input_schema`, toolFields.input_schema.expected, undefined);
    return { type: "function", function: { name, description, parameters, strict } };
  });
}

/** OpenAI's tool_choice and parallel_tool_calls. @throws RequestError naming the field that is wrong */
export function toolChoiceOf({ tool_choice: json }: PromptRequest): {
  tool_choice?: unknown;
  parallel_tool_calls?: boolean;
} {
  if (json === undefined) return {};
  const { type, name, disable_parallel_tool_use: isSingle = false } = readFields(json, choiceFields, "tool_choice.");
  if (type === undefined) throw invalid("tool_choice.type", choiceFields.type.expected, undefined);
  if ((type === "tool") !== (name !== undefined))
    throw invalid("tool_choice.name", type === "tool" ? "the name of one of the tools" : `none beside ${type}`, name);
  const choices = { auto: "auto", any: "required", none: "none", tool: { type: "function", function: { name } } };
  return { tool_choice: choices[type], parallel_tool_calls: !isSingle };
}

/** Whether to think, and for how many tokens at most; undefined where nothing is said. @throws RequestError */
export function thinkingOf({ thinking: json }: PromptRequest): { isOn: boolean; budget?: number } | undefined {
  if (json === undefined) return undefined;
  const { type, budget_tokens: budget } = readFields(json, thinkingFields, "thinking.");
  if (type === undefined) throw invalid("thinking.type", thinkingFields.type.expected, undefined);
  if ((type === "enabled") !== (budget !== undefined))
    throw invalid(
      "thinking.budget_tokens",
      type === "enabled" ? "a whole number from 1" : `none beside ${type}`,
      budget,
    );
  return { isOn: type !== "disabled", budget };
}

/** OpenAI's response_format. @throws RequestError naming the field that is wrong */
export function formatOf({ output_config: json = {} }: PromptRequest): Readonly<Record<string, unknown>> | undefined {
  const { format } = readFields(json, outputFields, "output_config.");
  if (format === undefined) return undefined;
  const path = "output_config.format.";
  const { type, schema } = readFields(format, formatFields, path);
  if (type === undefined) throw invalid(`${path}type`, formatFields.type.expected, undefined);
  if (schema === undefined) throw invalid(`${path}schema`, formatFields.schema.expected, undefined);
  return { type, json_schema: { name: "answer", schema } };
}
