/** Conversations as files write them: messages of OpenAI, ShareGPT's turns, dialogues in one text. */
import { isObject } from "../../base/index.ts";
import type { MixedMessage } from "../../tokenizers/index.ts";
import { RecordError } from "../rows/record-error.ts";

/** Names of roles in files of others. */
const roles: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  prompter: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  model: "assistant",
  bot: "assistant",
  assistant: "assistant",
  system: "system",
  developer: "developer",
  tool: "tool",
  function: "tool",
  observation: "tool",
  function_response: "tool",
  ipython: "tool",
};

/**
 * Messages of a list whose elements have `role` and `content`, or `from` and `value`. What else they have, such as
 * tool_calls, stays.
 * @throws RecordError for what is no such list, or an unknown role
 */
export function messagesOf(value: unknown, name: string): MixedMessage[] {
  if (!Array.isArray(value)) throw new RecordError(`${name} that is no list of messages`);
  if (value.length === 0) throw new RecordError(`${name} without a message`);
  return value.map((each, i) => messageOf(each, `message ${i + 1} of ${name}`));
}

function messageOf(value: unknown, name: string): MixedMessage {
  if (!isObject(value)) throw new RecordError(`${name} that is no object`);
  const { role, from, content, value: turn, ...rest } = value;
  const written = role ?? from;
  if (typeof written !== "string") throw new RecordError(`${name} without a role`);
  const known = roles[written.toLowerCase()];
  if (known === undefined) throw new RecordError(`${name} with the role ${JSON.stringify(written)}`);
  const text = content ?? turn ?? null;
  const hasCalls = Array.isArray(rest.tool_calls) && rest.tool_calls.length > 0;
  const isContent = typeof text === "string" || Array.isArray(text) || (text === null && hasCalls);
  if (!isContent) throw new RecordError(`${name} without content`);
  // tables write the fields of other messages as null
  const fields = Object.entries(rest).filter(([, field]) => field !== null && field !== undefined);
  return { role: known, content: text as MixedMessage["content"], ...Object.fromEntries(fields) };
}

/** Whether a value is a list of messages, by its first. */
export const isMessages = (value: unknown): value is readonly object[] =>
  Array.isArray(value) &&
  isObject(value[0]) &&
  ("role" in value[0] || "from" in value[0]) &&
  ("content" in value[0] || "value" in value[0]);

const TURN = /(?:^|\n\n)(Human|Assistant):/;

/** Whether a text is a dialogue as HH-RLHF writes them. Bai et al. 2022, arXiv:2204.05862. */
export const isDialogue = (text: unknown): text is string =>
  typeof text === "string" && /^\s*(Human|Assistant):/.test(text);

/** The messages of a dialogue "\n\nHuman: ...\n\nAssistant: ...". */
export function dialogueMessages(text: string): MixedMessage[] {
  const [, ...parts] = `\n\n${text.trim()}`.split(TURN);
  const messages: MixedMessage[] = [];
  for (let i = 0; i < parts.length; i += 2)
    messages.push({ role: parts[i] === "Human" ? "user" : "assistant", content: parts[i + 1].trim() });
  return messages;
}

/** How many messages two conversations have in common at the beginning. */
export function commonMessages(a: readonly MixedMessage[], b: readonly MixedMessage[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (JSON.stringify(a[i]) !== JSON.stringify(b[i])) return i;
  return length;
}
