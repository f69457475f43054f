/**
 * A conversation as a tree: each message follows another, and what was edited or asked again stands beside what was
 * there. Nothing here touches the page.
 */

/** @typedef {"system" | "user" | "assistant" | "tool"} Role */
/** @typedef {{ id: string, name: string, arguments: string }} ToolCall */
/** @typedef {{ text: string, logprob: number }} Alternative */
/** @typedef {Alternative & { top: Alternative[] }} Token */
/** @typedef {"stop" | "length" | "tool_calls" | "stopped" | "error"} Ending */
/**
 * @typedef {object} Stats
 * @property {number} [promptTokens]
 * @property {number} completionTokens
 * @property {number} firstTokenMs
 * @property {number} totalMs
 */
/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string} parent The message that it follows; "" at the beginning.
 * @property {Role} role
 * @property {string} content
 * @property {string} [reasoning]
 * @property {ToolCall[]} [toolCalls]
 * @property {string} [toolCallId] Which call a tool's message answers.
 * @property {string[]} [images] As data URLs.
 * @property {Token[]} [tokens] How probable they were.
 * @property {Stats} [stats]
 * @property {Ending} [ending] Of an answer.
 * @property {string} [error] Why there is no more of it.
 * @property {string} [model]
 */
/** @typedef {"chat" | "text"} Mode */
/** @typedef {import("./settings.mjs").Settings} Settings */
/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {Mode} mode
 * @property {boolean} isPinned
 * @property {number} createdAt
 * @property {number} updatedAt
 * @property {Settings} settings
 * @property {Message[]} messages In the order in which they came.
 * @property {Record<string, string>} selected Which of the messages that follow one is shown.
 */

const TITLE_LENGTH = 60;

/** @param {Mode} mode @param {Settings} settings @returns {Conversation} */
export function newConversation(mode, settings) {
  const now = Date.now();
  return {
    id: newId(),
    title: "",
    mode,
    isPinned: false,
    createdAt: now,
    updatedAt: now,
    settings: structuredClone(settings),
    messages: [],
    selected: {},
  };
}

/** Random; crypto.randomUUID is only there on secure origins. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("");

/** The messages that follow one. @param {Conversation} conversation @param {string} parent */
export const following = (conversation, parent) => conversation.messages.filter((message) => message.parent === parent);

/** What is shown: from the beginning to an end of the tree. @param {Conversation} conversation @returns {Message[]} */
export function shownPath(conversation) {
  /** @type {Map<string, Message[]>} */
  const children = new Map();
  for (const message of conversation.messages) {
    const siblings = children.get(message.parent);
    if (siblings) siblings.push(message);
    else children.set(message.parent, [message]);
  }
  /** @type {Message[]} */
  const path = [];
  for (let parent = ""; ; ) {
    const choices = children.get(parent);
    if (!choices) return path;
    const next = choices.find(({ id }) => id === conversation.selected[parent]) ?? choices[choices.length - 1];
    path.push(next);
    parent = next.id;
  }
}

/** The messages up to one, which is included. @param {Conversation} conversation @param {string} id */
export function pathTo(conversation, id) {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  /** @type {Message[]} */
  const path = [];
  for (let message = byId.get(id); message; message = byId.get(message.parent)) path.unshift(message);
  return path;
}

/**
 * Adds a message and shows it.
 * @param {Conversation} conversation
 * @param {Omit<Message, "id">} parts
 * @returns {Message}
 */
export function addMessage(conversation, parts) {
  const message = { ...parts, id: newId() };
  conversation.messages.push(message);
  conversation.selected[message.parent] = message.id;
  if (conversation.title === "" && message.role === "user") conversation.title = titleOf(message);
  return message;
}

/** @param {Message} message */
function titleOf({ content, images }) {
  const line = content.trim().split("\n")[0].trim();
  if (line === "") return images?.length ? "🖼" : "";
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).trimEnd()}…` : line;
}

/** Removes a message and all that follow it. @param {Conversation} conversation @param {string} id */
export function removeMessage(conversation, id) {
  const removed = new Set([id]);
  // a message comes after the one that it follows
  for (const message of conversation.messages) if (removed.has(message.parent)) removed.add(message.id);
  conversation.messages = conversation.messages.filter((message) => !removed.has(message.id));
  for (const [parent, child] of Object.entries(conversation.selected))
    if (removed.has(parent) || removed.has(child)) delete conversation.selected[parent];
}

/**
 * Shows the neighbour of a message among those that follow the same.
 * @param {Conversation} conversation
 * @param {Message} message
 * @param {-1 | 1} step
 */
export function showNeighbour(conversation, message, step) {
  const siblings = following(conversation, message.parent);
  const next = siblings[siblings.indexOf(message) + step];
  if (next) conversation.selected[message.parent] = next.id;
  return next;
}

/**
 * The calls of the last answer of a path that have no result yet.
 * @param {readonly Message[]} path
 * @returns {ToolCall[]}
 */
export function openCalls(path) {
  const at = path.findLastIndex(({ role }) => role === "assistant");
  const answered = new Set(path.slice(at + 1).map(({ toolCallId }) => toolCallId));
  return (path[at]?.toolCalls ?? []).filter(({ id }) => !answered.has(id));
}

/**
 * Messages as OpenAI's API takes them.
 * @param {readonly Message[]} path
 * @param {string} system
 * @returns {object[]}
 */
export function requestMessages(path, system) {
  const messages = path.map(({ role, content, images, toolCalls, toolCallId }) => ({
    role,
    content: images?.length
      ? [
          ...(content === "" ? [] : [{ type: "text", text: content }]),
          ...images.map((url) => ({ type: "image_url", image_url: { url } })),
        ]
      : content,
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
    ...(toolCalls?.length && {
      tool_calls: toolCalls.map(({ id, name, arguments: json }) => ({
        id,
        type: "function",
        function: { name, arguments: json },
      })),
    }),
  }));
  return system.trim() === "" ? messages : [{ role: "system", content: system }, ...messages];
}
