import { randomUUID } from "node:crypto";
import { type Fields, invalid, isObject, isText, oneOf, readFields, rule, text } from "../fields.ts";
import { detailField, type ImageReference, readImageUrl } from "../images/index.ts";

/** A part of a message: its text, or why there is none, or an image. */
export type Part = TextPart | ImagePart;
type TextPart = { type: "input_text" | "output_text"; text: string } | { type: "refusal"; refusal: string };
/** As it was sent: it is read when it is asked about. */
interface ImagePart {
  type: "input_image";
  image_url: string;
  detail: string;
}

const roles = ["user", "assistant", "system", "developer"] as const;
type Role = (typeof roles)[number];

export interface MessageItem {
  type: "message";
  id: string;
  role: Role;
  content: Part[];
  status: string;
}
export interface CallItem {
  type: "function_call";
  id: string;
  call_id: string;
  name: string;
  arguments: string;
  status: string;
}
interface CallOutputItem {
  type: "function_call_output";
  id: string;
  call_id: string;
  output: string | Part[];
  status: string;
}
export interface ReasoningItem {
  type: "reasoning";
  id: string;
  summary: unknown[];
  content: { type: "reasoning_text"; text: string }[];
  status?: string;
}
/** What a conversation is made of. */
export type Item = MessageItem | CallItem | CallOutputItem | ReasoningItem;

/** Parts of texts, or one text. */
const contents = rule<string | unknown[]>(
  "a text, or a list of parts of text",
  (value) => isText(value) || Array.isArray(value),
);
const list = rule<unknown[]>("a list", Array.isArray);
const itemFields = {
  message: {
    type: text,
    id: text,
    role: oneOf(roles),
    content: contents,
    status: "harmless",
    phase: "harmless",
  },
  function_call: {
    type: text,
    id: text,
    call_id: text,
    name: text,
    arguments: text,
    status: "harmless",
    parsed_arguments: "harmless", // which OpenAI's client adds to what it gives its user
    caller: [{ type: "direct" }],
    namespace: [],
  },
  function_call_output: {
    type: text,
    id: text,
    call_id: text,
    output: contents,
    status: "harmless",
    caller: [{ type: "direct" }],
  },
  reasoning: { type: text, id: text, summary: list, content: list, encrypted_content: [], status: "harmless" },
  item_reference: { type: text, id: text },
} as const satisfies Record<string, Fields>;
type ItemType = keyof typeof itemFields;
const itemTypes = Object.keys(itemFields) as ItemType[];

const partFields = {
  input_image: {
    type: text,
    image_url: text,
    detail: detailField(),
    file_id: [],
    prompt_cache_breakpoint: "harmless",
  },
  input_text: { type: text, text, prompt_cache_breakpoint: "harmless" },
  output_text: { type: text, text, annotations: "harmless", logprobs: "harmless", parsed: "harmless" },
  refusal: { type: text, refusal: text },
  reasoning_text: { type: text, text },
  summary_text: { type: text, text },
} as const satisfies Record<string, Fields>;
type PartType = keyof typeof partFields;

/** A new name of an item: "msg_..." and the like. */
export const freshId = (prefix: string): string => `${prefix}_${randomUUID().replaceAll("-", "")}`;

/** Finds an item of a stored response by its id. */
export type FindItem = (id: string) => Item | undefined;

/**
 * Items of a request, with the names that they get here.
 * @throws RequestError naming the item and the field that are wrong
 */
export function readItems(input: string | readonly unknown[], find: FindItem): Item[] {
  if (isText(input)) return [messageOf("user", [{ type: "input_text", text: input }])];
  return input.map((json, i) => itemOf(json, `input[${i}].`, find));
}

const messageOf = (role: Role, content: Part[], id = freshId("msg")): MessageItem => ({
  type: "message",
  id,
  role,
  content,
  status: "completed",
});

/** A message needs no type. */
function itemOf(json: unknown, path: string, find: FindItem): Item {
  if (!isObject(json)) throw invalid(path.slice(0, -1), "an object", json);
  const type = (json.type ?? ("id" in json && !("role" in json) ? "item_reference" : "message")) as ItemType;
  if (!itemTypes.includes(type)) throw invalid(`${path}type`, `one of ${itemTypes.join(", ")}`, type);
  if (type === "function_call") return callOf(json, path);
  if (type === "function_call_output") return callOutputOf(json, path);
  if (type === "reasoning") return reasoningOf(json, path);
  if (type === "item_reference") return referencedItem(json, path, find);
  const { id, role, content } = readFields(json, itemFields.message, path);
  const { expected } = itemFields.message.role;
  return messageOf(required(role, `${path}role`, expected), partsOf(content, `${path}content`, role), id);
}

function required<T>(value: T | undefined, param: string, expected: string): T {
  if (value === undefined) throw invalid(param, expected, undefined);
  return value;
}

/** An assistant's parts are those of answers, all others those of requests. */
function partsOf(content: string | readonly unknown[] | undefined, path: string, role?: Role): Part[] {
  const type = role === "assistant" ? "output_text" : "input_text";
  const value = required(content, path, contents.expected);
  if (isText(value)) return [{ type, text: value }];
  const images = role === "user" ? (["input_image"] as const) : [];
  return value.map((part, i): Part => {
    const kind = partType(part, `${path}[${i}].`, role === "assistant" ? [type, "refusal"] : [type, ...images]);
    if (kind === "input_image") return imageOf(part, `${path}[${i}].`);
    const shown = partText(part, kind, `${path}[${i}].`);
    return kind === "refusal" ? { type: kind, refusal: shown } : { type, text: shown };
  });
}

function partType<T extends PartType>(part: unknown, path: string, types: readonly T[]): T {
  if (!isObject(part)) throw invalid(path.slice(0, -1), "an object", part);
  if (types.includes(part.type as T)) return part.type as T;
  throw invalid(`${path}type`, `${types.join(" or ")}: this model takes no other parts here`, part.type);
}

function imageOf(part: unknown, path: string): ImagePart {
  const { image_url: url } = readFields(part, partFields.input_image, path);
  const address = required(url, `${path}image_url`, "the address of an image");
  readImageUrl(address, `${path}image_url`); // what is wrong with it is told by its place in this request
  return { type: "input_image", image_url: address, detail: "auto" };
}

function partText(part: unknown, type: Exclude<PartType, "input_image">, path: string): string {
  const values: { text?: string; refusal?: string } = readFields(part, partFields[type], path);
  const name = type === "refusal" ? "refusal" : "text";
  return required(values[name], path + name, "a text");
}

function callOf(json: unknown, path: string): CallItem {
  const { id = freshId("fc"), call_id: callId, name, ...rest } = readFields(json, itemFields.function_call, path);
  return {
    type: "function_call",
    id,
    call_id: required(callId, `${path}call_id`, "the id of the call"),
    name: required(name, `${path}name`, "the name of the function"),
    arguments: required(rest.arguments, `${path}arguments`, "the arguments, as JSON in a text"),
    status: "completed",
  };
}

function callOutputOf(json: unknown, path: string): CallOutputItem {
  const { id, call_id: callId, output } = readFields(json, itemFields.function_call_output, path);
  const value = required(output, `${path}output`, contents.expected);
  return {
    type: "function_call_output",
    id: id ?? freshId("fco"),
    call_id: required(callId, `${path}call_id`, "the id of the call that this answers"),
    output: isText(value) ? value : partsOf(value, `${path}output`),
    status: "completed",
  };
}

function reasoningOf(json: unknown, path: string): ReasoningItem {
  const { id = freshId("rs"), summary = [], content = [] } = readFields(json, itemFields.reasoning, path);
  const textsOf = (parts: readonly unknown[], name: string, type: "summary_text" | "reasoning_text") =>
    parts.map((part, i) => partText(part, partType(part, `${path}${name}[${i}].`, [type]), `${path}${name}[${i}].`));
  const summaries = textsOf(summary, "summary", "summary_text");
  const thoughts = textsOf(content, "content", "reasoning_text");
  return {
    type: "reasoning",
    id,
    summary: summaries.map((each) => ({ type: "summary_text", text: each })),
    content: (thoughts.length > 0 ? thoughts : summaries).map((each) => ({ type: "reasoning_text", text: each })),
  };
}

function referencedItem(json: unknown, path: string, find: FindItem): Item {
  const id = required(readFields(json, itemFields.item_reference, path).id, `${path}id`, "the id of an item");
  return required(find(id), `${path}id`, `an item of a response that is stored, which ${JSON.stringify(id)} is not`);
}

/**
 * Calls and their results go together.
 * @throws RequestError naming a call that has no result, or a result that has no call
 */
export function checkCalls(items: readonly Item[]): void {
  const open = new Set<string>();
  for (const item of items) {
    if (item.type === "function_call") open.add(item.call_id);
    else if (item.type === "function_call_output" && !open.delete(item.call_id))
      throw invalid(
        "input",
        `a function_call further up for each function_call_output; ${item.call_id} has none`,
        items,
      );
  }
  const [missing] = open;
  if (missing !== undefined)
    throw invalid("input", `a function_call_output for each function_call; ${missing} has none`, items);
}

type ContentPart = ImageReference | { type: "text"; text: string };

/** A message in the form of chats. */
interface ChatMessage {
  role: Role | "tool";
  /** Images stand among the texts of users. */
  content: string | ContentPart[];
  reasoning_content?: string;
  tool_calls?: object[];
  tool_call_id?: string;
}

/**
 * Items as messages of a chat. Thoughts, texts and calls of an assistant that follow one another are one message, as
 * they were when it was written. Instructions and a system message at the begin are one, since many templates know no
 * other place for it.
 */
export function chatMessages(instructions: string | undefined, items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  for (const item of items) {
    const last = messages.at(-1);
    const next = messageFor(item);
    const isHead = messages.length === 1 && last?.role === "system" && isSystem(next.role) && item === items[0];
    if (last && isHead) last.content = `${last.content}\n\n${next.content}`;
    else if (last && isContinued(last, next)) continueMessage(last, next);
    else messages.push(next);
  }
  return messages;
}

const isSystem = (role: string) => role === "system" || role === "developer";

/** A second text after a finished one is another message. */
function isContinued(last: ChatMessage, next: ChatMessage): boolean {
  if (last.role !== "assistant" || next.role !== "assistant") return false;
  return last.content === "" || next.content === "" || last.tool_calls !== undefined;
}

function continueMessage(last: ChatMessage, next: ChatMessage): void {
  last.content = `${last.content}${next.content}`; // texts: images are the user's
  if (next.reasoning_content !== undefined)
    last.reasoning_content = [last.reasoning_content, next.reasoning_content].filter(Boolean).join("\n");
  if (next.tool_calls) last.tool_calls = [...(last.tool_calls ?? []), ...next.tool_calls];
}

function messageFor(item: Item): ChatMessage {
  if (item.type === "message") return { role: item.role, content: contentOf(item.content) };
  if (item.type === "function_call_output") {
    const { output } = item;
    return { role: "tool", content: isText(output) ? output : textOf(output), tool_call_id: item.call_id };
  }
  if (item.type === "reasoning")
    return { role: "assistant", content: "", reasoning_content: item.content.map((part) => part.text).join("\n") };
  const called = { name: item.name, arguments: item.arguments };
  return { role: "assistant", content: "", tool_calls: [{ id: item.call_id, type: "function", function: called }] };
}

/** Texts are joined by line breaks, as those of chats. */
const textOf = (parts: readonly Part[]): string => parts.map(shownText).join("\n");

function shownText(part: Part): string {
  if (part.type === "refusal") return part.refusal;
  return part.type === "input_image" ? "" : part.text;
}

function contentOf(parts: readonly Part[]): string | ContentPart[] {
  if (parts.every(({ type }) => type !== "input_image")) return textOf(parts);
  return parts.map((part) =>
    part.type === "input_image" ? readImageUrl(part.image_url, "input") : { type: "text", text: shownText(part) },
  );
}
