import { type Fields, flag, invalid, isObject, isText, oneOf, readFields, rule, text } from "../fields.ts";
import { type ImageReference, readBase64, readImageUrl } from "../images/index.ts";

const roles = ["user", "assistant", "system"] as const;
type Role = (typeof roles)[number];
const messageFields = {
  role: rule<Role>(`one of ${roles.join(", ")}`, (value) => roles.includes(value as Role)),
  content: rule<string | unknown[]>(
    "a text, or a list of at least one block",
    (value) => isText(value) || (Array.isArray(value) && value.length > 0),
  ),
} as const satisfies Fields;

const type = rule<string>("a text", isText);
const blockFields = {
  text: { type, text, cache_control: "harmless", citations: [[]] },
  image: { type, source: rule<object>("an object with a type", isObject), cache_control: "harmless" },
  thinking: { type, thinking: text, signature: "harmless" },
  tool_use: {
    type,
    id: text,
    name: text,
    input: rule<object>("an object", isObject),
    cache_control: "harmless",
    caller: [{ type: "direct" }],
    toolset_name: [],
  },
  tool_result: {
    type,
    tool_use_id: text,
    content: rule<string | unknown[]>(
      "a text, or a list of blocks of text",
      (value) => isText(value) || Array.isArray(value),
    ),
    is_error: flag,
    cache_control: "harmless",
    toolset_name: [],
  },
} as const satisfies Record<string, Fields>;
const sourceTypes = ["base64", "url"] as const;
const sourceFields = {
  type: oneOf(sourceTypes),
  media_type: oneOf(["image/jpeg", "image/png", "image/gif", "image/webp"]),
  data: text,
  url: text,
} as const satisfies Fields;
type BlockType = keyof typeof blockFields;
/** What messages of a role may have in them. */
const blockTypes: Record<Role, readonly BlockType[]> = {
  user: ["text", "image", "tool_result"],
  assistant: ["text", "thinking", "tool_use"],
  system: ["text"],
};

interface TextPart {
  type: "text";
  text: string;
}
const textPart = (value: string): TextPart => ({ type: "text", text: value });

/** A message in OpenAI's form. */
interface ChatMessage {
  role: Role | "tool";
  content: (TextPart | ImageReference)[];
  tool_call_id?: string;
  tool_calls?: object[];
  reasoning_content?: string;
}

/**
 * Messages in OpenAI's form. Those of one role that follow one another are one, as Anthropic has it.
 * @throws RequestError naming the message and the field that are wrong
 */
export function chatMessages(
  system: string | readonly unknown[] | undefined,
  messages: readonly unknown[],
): ChatMessage[] {
  const head: ChatMessage[] = [];
  if (system !== undefined && system.length > 0)
    head.push({ role: "system", content: textsOf(system, "system").map(textPart) });
  const calls = new Set<string>();
  const all = [...head, ...messages.flatMap((json, i) => messagesOf(json, `messages[${i}].`, calls))];
  if (all.at(-1)?.role === "assistant") {
    const expected = "the last message to be of the user: this server does not go on with an answer that is begun";
    throw invalid(`messages[${messages.length - 1}].role`, expected, "assistant");
  }
  return all.reduce<ChatMessage[]>(joined, []);
}

function joined(messages: ChatMessage[], next: ChatMessage): ChatMessage[] {
  const last = messages.at(-1);
  if (!last || last.role !== next.role || next.role === "tool") return [...messages, next];
  const calls = [...(last.tool_calls ?? []), ...(next.tool_calls ?? [])];
  const thoughts = [last.reasoning_content, next.reasoning_content].filter((each) => each !== undefined).join("\n");
  messages[messages.length - 1] = {
    ...last,
    content: [...last.content, ...next.content],
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(thoughts !== "" && { reasoning_content: thoughts }),
  };
  return messages;
}

/** Results of tools are messages of their own. @param calls ids of the calls so far */
function messagesOf(json: unknown, path: string, calls: Set<string>): ChatMessage[] {
  const { role, content } = readFields(json, messageFields, path);
  if (role === undefined) throw invalid(`${path}role`, messageFields.role.expected, undefined);
  if (content === undefined) throw invalid(`${path}content`, messageFields.content.expected, undefined);
  if (isText(content)) return [{ role, content: [textPart(content)] }];
  return content.map((block, i): ChatMessage => {
    const place = `${path}content[${i}].`;
    const kind = blockType(block, place, blockTypes[role]);
    if (kind === "tool_use") return { role, content: [], tool_calls: [callOf(block, place, calls)] };
    if (kind === "tool_result") return resultOf(block, place, calls);
    if (kind === "text") return { role, content: [textPart(textOf(block, place))] };
    if (kind === "image") return { role, content: [imageOf(block, place)] };
    const { thinking } = readFields(block, blockFields.thinking, place);
    if (thinking === undefined) throw invalid(`${place}thinking`, "a text", undefined);
    return { role, content: [], reasoning_content: thinking };
  });
}

function blockType(block: unknown, path: string, types: readonly BlockType[]): BlockType {
  if (!isObject(block)) throw invalid(path.slice(0, -1), "an object", block);
  if (types.includes(block.type as BlockType)) return block.type as BlockType;
  throw invalid(`${path}type`, `${types.join(" or ")}: this model takes no other blocks here`, block.type);
}

function textOf(block: unknown, path: string): string {
  const value = readFields(block, blockFields.text, path).text;
  if (value === undefined) throw invalid(`${path}text`, "a text", undefined);
  return value;
}

function imageOf(block: unknown, path: string): ImageReference {
  const { source } = readFields(block, blockFields.image, path);
  if (source === undefined) throw invalid(`${path}source`, blockFields.image.source.expected, undefined);
  const place = `${path}source.`;
  const { type: kind, media_type: mediaType, data, url } = readFields(source, sourceFields, place);
  if (kind === undefined) throw invalid(`${place}type`, sourceFields.type.expected, undefined);
  const other = kind === "url" ? (data ?? mediaType) : url;
  if (other !== undefined) throw invalid(kind === "url" ? `${place}data` : `${place}url`, `none beside ${kind}`, other);
  if (kind === "url") {
    if (url !== undefined && !/^https?:/i.test(url))
      throw invalid(`${place}url`, "an address with https: or http:", url);
    return readImageUrl(url, `${place}url`);
  }
  if (mediaType === undefined) throw invalid(`${place}media_type`, sourceFields.media_type.expected, undefined);
  return readBase64(data, { path: `${place}data` });
}

function textsOf(content: string | readonly unknown[], path: string): string[] {
  if (isText(content)) return [content];
  return content.map((block, i) => {
    blockType(block, `${path}[${i}].`, ["text"]);
    return textOf(block, `${path}[${i}].`);
  });
}

function callOf(block: unknown, path: string, calls: Set<string>): object {
  const { id, name, input } = readFields(block, blockFields.tool_use, path);
  if (id === undefined) throw invalid(`${path}id`, "the id of the call", undefined);
  if (name === undefined) throw invalid(`${path}name`, "the name of the tool", undefined);
  if (input === undefined) throw invalid(`${path}input`, "an object", undefined);
  calls.add(id);
  return { id, type: "function", function: { name, arguments: JSON.stringify(input) } };
}

/** Templates know no results that are errors: they are told as text. */
function resultOf(block: unknown, path: string, calls: ReadonlySet<string>): ChatMessage {
  const { tool_use_id: id, content = "", is_error: isError } = readFields(block, blockFields.tool_result, path);
  if (id === undefined || !calls.has(id))
    throw invalid(`${path}tool_use_id`, "the id of a tool_use block further up", id);
  const texts = textsOf(content, `${path}content`);
  return { role: "tool", content: [...(isError ? ["Error:"] : []), ...texts].map(textPart), tool_call_id: id };
}
