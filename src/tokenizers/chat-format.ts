import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { withLiterals } from "./prompt.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A part of a message: text, or an image or another medium, of which templates see the type alone. */
export interface ContentPart {
  type: string;
  text?: string;
  [key: string]: unknown;
}

export interface ChatMessage<C extends string | readonly ContentPart[] = string> {
  role: string;
  content: C;
}
/** A message that may have images and texts for its content. */
export type MixedMessage = ChatMessage<string | readonly ContentPart[]>;

/** Base models know no roles: a plain transcript is what they continue best. */
const PLAIN_TEMPLATE =
  "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const PLAIN_STOP = "\nuser:";

export interface RenderOptions {
  /** The answer goes on with the last message in place of beginning a new one. @default false */
  continueFinalMessage?: boolean;
}

/** How a conversation becomes the text that a model continues, and what ends its answer besides its own tokens. */
export interface ChatFormat {
  /** The prompt, for `encodePrompt`: special tokens in the messages are marked as plain text. */
  render(messages: readonly MixedMessage[], options?: RenderOptions): string;
  stop: readonly string[];
  /** Whether the tokenizer adds what the model expects around a text: a template writes that itself. */
  addSpecialTokens: boolean;
}

/** The format of a model's Jinja template. @default one line per message: "role: content" */
export function chatFormat(chatTemplate: string | undefined, tokenizer: Tokenizer): ChatFormat {
  const template = new Template(chatTemplate ?? PLAIN_TEMPLATE);
  const special = specialVariables(tokenizer);
  return {
    render: (messages, { continueFinalMessage = false } = {}) => {
      const safe = messages.map((message) => ({ ...message, content: literal(message.content, tokenizer) }));
      const text = template.render({ ...special, messages: safe, add_generation_prompt: !continueFinalMessage });
      return continueFinalMessage ? upToEndOf(text, lastText(safe[safe.length - 1].content)) : text;
    },
    stop: chatTemplate === undefined ? [PLAIN_STOP] : [],
    addSpecialTokens: chatTemplate === undefined,
  };
}

type Content = MixedMessage["content"];

/** Special tokens in what people wrote are marked as plain text. */
function literal(content: Content, tokenizer: Tokenizer): Content {
  if (typeof content === "string") return withLiterals(content, tokenizer);
  return content.map((part) => (typeof part.text === "string" ? { ...part, text: withLiterals(part.text, tokenizer) } : part));
}

const lastText = (content: Content): string =>
  typeof content === "string" ? content : (content.findLast((part) => typeof part.text === "string")?.text ?? "");

/** Leaves out what a template writes after its last message; templates may trim messages. */
function upToEndOf(text: string, content: string): string {
  for (const form of [content, content.trim()]) {
    const start = text.lastIndexOf(form);
    if (start >= 0) return text.slice(0, start + form.length);
  }
  return text;
}

/** The template beside a model: chat_template.jinja, or the one inside tokenizer_config.json, of several the one named default. */
export async function readChatTemplate(folder: string): Promise<string | undefined> {
  const file = await readFile(join(folder, "chat_template.jinja"), "utf8").catch(() => undefined);
  if (file !== undefined) return file;
  const config = await readFile(join(folder, "tokenizer_config.json"), "utf8").catch(() => "{}");
  const stored: unknown = JSON.parse(config).chat_template;
  const template = Array.isArray(stored) ? stored.find(({ name }) => name === "default")?.template : stored;
  return typeof template === "string" ? template : undefined;
}

/** bos_token, eos_token and the others, as templates name them. */
function specialVariables(tokenizer: Tokenizer): Record<string, string> {
  const special = (tokenizer as { special?: Record<string, string> }).special ?? {};
  return Object.fromEntries(Object.entries(special).map(([name, token]) => [`${name}_token`, token]));
}
