import type { TemplateTraits } from "../generate/index.ts";
import type { ContentPart, MixedMessage } from "../tokenizers/index.ts";
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
import { ImageReference, readImagePart } from "./images/index.ts";

const roles = ["system", "developer", "user", "assistant", "tool", "function"] as const;

/**
 * Every field of a message, those included that clients send back with an assistant's message because an answer had
 * them.
 */
export const messageFields = {
  role: oneOf(roles),
  content: rule<string | unknown[]>(
    "a text, or a list of parts",
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

/** Messages, and the images in them, in their order. */
export interface ReadMessages {
  /** Contents are texts; with images they are lists of texts and places of images, which is all that templates see. */
  messages: MixedMessage[];
  images: ImageReference[];
}

/**
 * Messages of a request as `normalizeMessages` takes them.
 * @param traits.knowsDevelopers whether the template knows the role "developer"; it is OpenAI's newer name of "system"
 * @throws RequestError naming the message and the field that are wrong
 */
export function templateMessages(
  list: readonly unknown[],
  { knowsDevelopers }: Pick<TemplateTraits, "knowsDevelopers">,
): ReadMessages {
  const images: ImageReference[] = [];
  const messages = list.map((json, i): MixedMessage => {
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
      content: contentOf(content ?? refusal ?? "", { path: `${path}content`, role, images }),
      ...rest,
      ...(allCalls.length > 0 && { tool_calls: allCalls }),
    };
  });
  return { messages, images };
}

interface ContentPlace {
  path: string;
  role: (typeof roles)[number];
  /** Gets those of the content. */
  images: ImageReference[];
}

/** Texts without images are joined by line breaks, as vLLM and llama.cpp do. */
function contentOf(content: string | readonly unknown[], { path, role, images }: ContentPlace): string | ContentPart[] {
  const before = images.length;
  if (isText(content)) return content;
  const parts = content.map((part, i): ContentPart => {
    const image = imageOf(part, `${path}[${i}]`);
    if (!image) return { type: "text", text: partText(part, `${path}[${i}]`) };
    if (role !== "user") throw invalid(`${path}[${i}].type`, `"text": images are the user's`, "image_url");
    images.push(image);
    return { type: "image" };
  });
  if (images.length > before) return parts;
  return parts.map(({ text: value }) => value).join("\n");
}

function imageOf(part: unknown, path: string): ImageReference | undefined {
  if (part instanceof ImageReference) return part;
  return isObject(part) && part.type === "image_url" ? readImagePart(part, path) : undefined;
}

function partText(part: unknown, path: string): string {
  const isRefusal = isObject(part) && part.type === "refusal";
  if (isObject(part) && !isRefusal && part.type !== "text")
    throw invalid(`${path}.type`, '"text" or "image_url": this server takes no other parts', part.type);
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
