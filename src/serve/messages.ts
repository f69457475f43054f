import type { MixedMessage } from "../tokenizers/index.ts";
import {
  type Fields,
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
} from "./fields.ts";

const roles = ["system", "developer", "user", "assistant", "tool", "function"] as const;

/**
 * Every field of a message, those included that clients send back with an assistant's message because an answer had
 * them.
 */
export const messageFields = {
  role: oneOf(roles),
  content: rule<string | unknown[]>(
    "a text, or a list of parts of text",
    (value) => isText(value) || Array.isArray(value),
    textOrList,
  ),
  name: text,
  tool_calls: rule<unknown[]>("a list of calls", Array.isArray, list),
  tool_call_id: text,
  function_call: rule<Readonly<Record<string, unknown>>>(
    "an object with the name and the arguments of a function",
    isObject,
    object,
  ),
  reasoning_content: text, // DeepSeek's and vLLM's: earlier thoughts, which some templates show
  refusal: text,
  annotations: "harmless",
  parsed: "harmless", // by OpenAI's clients, of answers of a schema
  audio: [],
} as const satisfies Fields;

const textPart = {
  type: rule<"text">('"text"', (value) => value === "text"),
  text,
  prompt_cache_breakpoint: "harmless",
} as const satisfies Fields;
const refusalPart = { type: text, refusal: text } as const satisfies Fields;
const callFields = {
  id: text,
  type: rule<"function">('"function"', (value) => value === "function"),
  function: rule<object>("an object", isObject),
  index: "harmless", // of a streamed call
} as const satisfies Fields;
const functionFields = {
  name: text,
  arguments: text,
  parsed_arguments: "harmless", // by OpenAI's clients
} as const satisfies Fields;

/**
 * Messages of a request as `normalizeMessages` takes them: contents as texts.
 * @param knowsDevelopers whether the template knows the role "developer"; it is OpenAI's newer name of "system"
 * @throws RequestError naming the message and the field that are wrong
 */
export function templateMessages(messages: readonly unknown[], knowsDevelopers: boolean): MixedMessage[] {
  return messages.map((json, i) => {
    const path = `messages[${i}].`;
    const {
      role,
      content,
      refusal,
      tool_calls: calls,
      function_call: call,
      ...rest
    } = readFields(json, messageFields, path);
    if (role === undefined) throw invalid(`${path}role`, messageFields.role.expected, undefined);
    const mayBeEmpty = role === "assistant" && isObject(json);
    if (content === undefined && !mayBeEmpty)
      throw invalid(`${path}content`, messageFields.content.expected, isObject(json) ? json.content : undefined);
    if (role === "tool" && rest.tool_call_id === undefined)
      throw invalid(`${path}tool_call_id`, "the id of the call that this answers", undefined);
    const allCalls = [
      ...(calls ?? []).map((entry, j) => toolCall(entry, `${path}tool_calls[${j}].`)),
      ...(call ? [calledFunction(call, `${path}function_call.`)] : []),
    ];
    return {
      role: role === "developer" && !knowsDevelopers ? "system" : role,
      content: content === undefined ? (refusal ?? "") : textOf(content, `${path}content`),
      ...rest,
      ...(allCalls.length > 0 && { tool_calls: allCalls }),
    };
  });
}

/** Parts are joined by line breaks, as vLLM and llama.cpp do. */
function textOf(content: string | readonly unknown[], path: string): string {
  if (typeof content === "string") return content;
  return content.map((part, i) => partText(part, `${path}[${i}]`)).join("\n");
}

function partText(part: unknown, path: string): string {
  const isRefusal = isObject(part) && part.type === "refusal";
  if (isObject(part) && !isRefusal && part.type !== "text")
    throw invalid(`${path}.type`, '"text": this model takes no other parts', part.type);
  const value = isRefusal
    ? readFields(part, refusalPart, `${path}.`).refusal
    : readFields(part, textPart, `${path}.`).text;
  if (value === undefined) throw invalid(`${path}.text`, "a text", undefined);
  return value;
}

function toolCall(json: unknown, path: string): object {
  const { id, function: called } = readFields(json, callFields, path);
  return { ...(id !== undefined && { id }), ...calledFunction(called, `${path}function.`) };
}

/** Clients send the arguments as JSON; which form a template takes `normalizeMessages` knows. */
function calledFunction(json: unknown, path: string): object {
  const { name, arguments: written = "{}" } = readFields(json, functionFields, path);
  if (name === undefined) throw invalid(`${path}name`, "the name of a function", undefined);
  return { type: "function", function: { name, arguments: written } };
}
