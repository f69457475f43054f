/** Conversations as a file: written by an export, checked by an import. */
import { newId } from "./conversation.mjs";
import { readSettings } from "./settings.mjs";

/** @import { Conversation, Message, Stats, Token, ToolCall } from "./conversation.mjs" */

const FORMAT = "kindling-conversations";
const VERSION = 1;
const roles = ["system", "user", "assistant", "tool"];

/** @param {readonly Conversation[]} conversations */
export const exported = (conversations) => JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);

/** A file is no export, or a damaged one. */
export class ArchiveError extends Error {}

/**
 * The conversations of an export, as new ones: nothing that is there is replaced.
 * @param {string} text
 * @returns {Conversation[]}
 * @throws {ArchiveError} where anything in it is not as it should be; then nothing of it is taken
 */
export function imported(text) {
  /** @type {unknown} */
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ArchiveError("no JSON");
  }
  const file = object(json, "the file");
  if (file.format !== FORMAT) throw new ArchiveError(`format: expected "${FORMAT}"`);
  if (file.version !== VERSION) throw new ArchiveError(`version: expected ${VERSION}`);
  return list(file.conversations, "conversations").map((entry, i) => conversation(entry, `conversations[${i}]`));
}

/** @param {unknown} json @param {string} where @returns {Conversation} */
function conversation(json, where) {
  const source = object(json, where);
  const messages = list(source.messages, `${where}.messages`).map((entry, i) =>
    message(entry, `${where}.messages[${i}]`),
  );
  const known = new Set([""]);
  for (const [i, { id, parent }] of messages.entries()) {
    if (!known.has(parent)) throw new ArchiveError(`${where}.messages[${i}].parent: no earlier message`);
    if (known.has(id)) throw new ArchiveError(`${where}.messages[${i}].id: there twice`);
    known.add(id);
  }
  const selected = Object.entries(object(source.selected ?? {}, `${where}.selected`)).filter(
    ([parent, child]) => known.has(parent) && known.has(String(child)),
  );
  if (source.mode !== "chat" && source.mode !== "text") throw new ArchiveError(`${where}.mode: expected chat or text`);
  return {
    id: newId(),
    title: text(source.title, `${where}.title`),
    mode: source.mode,
    isPinned: source.isPinned === true,
    createdAt: number(source.createdAt, `${where}.createdAt`),
    updatedAt: number(source.updatedAt, `${where}.updatedAt`),
    settings: readSettings(source.settings),
    messages,
    selected: Object.fromEntries(selected.map(([parent, child]) => [parent, String(child)])),
  };
}

/** @param {unknown} json @param {string} where @returns {Message} */
function message(json, where) {
  const source = object(json, where);
  if (!roles.includes(/** @type {string} */ (source.role))) throw new ArchiveError(`${where}.role: none that there is`);
  /** @param {string} name */
  const optionalText = (name) => (source[name] === undefined ? {} : { [name]: text(source[name], `${where}.${name}`) });
  const { images, toolCalls, tokens, stats } = source;
  return {
    id: text(source.id, `${where}.id`),
    parent: text(source.parent, `${where}.parent`),
    role: /** @type {Message["role"]} */ (source.role),
    content: text(source.content, `${where}.content`),
    ...optionalText("reasoning"),
    ...optionalText("toolCallId"),
    ...optionalText("error"),
    ...optionalText("model"),
    ...optionalText("ending"),
    ...(images !== undefined && { images: list(images, `${where}.images`).map((url) => image(url, where)) }),
    ...(toolCalls !== undefined && { toolCalls: list(toolCalls, `${where}.toolCalls`).map((c) => call(c, where)) }),
    ...(tokens !== undefined && { tokens: list(tokens, `${where}.tokens`).map((entry) => token(entry, where)) }),
    ...(stats !== undefined && { stats: statsOf(stats, `${where}.stats`) }),
  };
}

/** @param {unknown} url @param {string} where */
function image(url, where) {
  if (!/^data:image\/(png|jpeg|webp|gif);base64,/.test(text(url, `${where}.images`)))
    throw new ArchiveError(`${where}.images: expected data URLs of images`);
  return /** @type {string} */ (url);
}

/** @param {unknown} json @param {string} where @returns {ToolCall} */
function call(json, where) {
  const { id, name, arguments: written } = object(json, `${where}.toolCalls`);
  return {
    id: text(id, `${where}.toolCalls.id`),
    name: text(name, `${where}.toolCalls.name`),
    arguments: text(written, `${where}.toolCalls.arguments`),
  };
}

/** @param {unknown} json @param {string} where @returns {Token} */
function token(json, where) {
  const { top = [], ...rest } = object(json, `${where}.tokens`);
  /** @param {Record<string, unknown>} entry */
  const pair = (entry) => ({
    text: text(entry.text, `${where}.tokens.text`),
    logprob: number(entry.logprob, `${where}.tokens.logprob`),
  });
  return { ...pair(rest), top: list(top, `${where}.tokens.top`).map((entry) => pair(object(entry, where))) };
}

/** @param {unknown} json @param {string} where @returns {Stats} */
function statsOf(json, where) {
  const source = object(json, where);
  return {
    ...(source.promptTokens !== undefined && { promptTokens: number(source.promptTokens, `${where}.promptTokens`) }),
    completionTokens: number(source.completionTokens, `${where}.completionTokens`),
    firstTokenMs: number(source.firstTokenMs, `${where}.firstTokenMs`),
    totalMs: number(source.totalMs, `${where}.totalMs`),
  };
}

/** @param {unknown} value @param {string} where */
function object(value, where) {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ArchiveError(`${where}: expected an object`);
  return /** @type {Record<string, unknown>} */ (value);
}

/** @param {unknown} value @param {string} where @returns {unknown[]} */
function list(value, where) {
  if (!Array.isArray(value)) throw new ArchiveError(`${where}: expected a list`);
  return value;
}

/** @param {unknown} value @param {string} where */
function text(value, where) {
  if (typeof value !== "string") throw new ArchiveError(`${where}: expected a text`);
  return value;
}

/** @param {unknown} value @param {string} where */
function number(value, where) {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new ArchiveError(`${where}: expected a number`);
  return value;
}
