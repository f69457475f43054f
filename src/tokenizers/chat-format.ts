import { DataError, OptionError } from "../base/index.ts";
import { MessageText } from "./message-text.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A part of a message: text, or an image or another medium, of which templates see the type alone. */
export interface ContentPart {
  type: string;
  text?: string;
  [key: string]: unknown;
}

export interface ChatMessage<C extends string | readonly ContentPart[] | null = string> {
  role: string;
  content: C;
  /** What templates know besides: tool_calls, tool_call_id, name, reasoning_content. */
  [key: string]: unknown;
}
/** A message that may have images and texts for its content, or none where it calls tools. */
export type MixedMessage = ChatMessage<string | readonly ContentPart[] | null>;

/** Base models know no roles: a plain transcript is what they continue best. */
const PLAIN_TEMPLATE =
  "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const PLAIN_STOP = "\nuser:";
/** A tokenizer of characters may lack the letters of the roles: then there are the messages alone, one in each line. */
const BARE_TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}";
const BARE_STOP = "\n";

export interface RenderOptions {
  /** The answer goes on with the last message in place of beginning a new one. @default false */
  continueFinalMessage?: boolean;
  /** Whether the template begins the answer. @default true, unless continueFinalMessage */
  addGenerationPrompt?: boolean;
  /** Functions that the model may call, as JSON Schema in OpenAI's form. @default none */
  tools?: readonly object[];
  /** Texts that the answer is to be found in. @default none */
  documents?: readonly object[];
  /** Other variables of the template, such as enable_thinking: values of JSON. */
  variables?: Readonly<Record<string, unknown>>;
  /** What templates take for today. @default now */
  now?: Date;
}

/** How a conversation becomes the text that a model continues, and what ends its answer besides its own tokens. */
export interface ChatFormat {
  /**
   * The prompt, for `encodePrompt`: special tokens in the messages, tools, documents and variables, or put together
   * from them, are marked as plain text.
   * @throws OptionError for no messages, TemplateError where the template refuses them
   */
  render(messages: readonly MixedMessage[], options?: RenderOptions): string;
  stop: readonly string[];
  /** Whether the tokenizer adds what the model expects around a text: a template writes that itself. */
  addSpecialTokens: boolean;
}

/**
 * The format of a model's Jinja template, rendered as transformers does.
 * @default one line per message: "role: content", or the content alone where the tokenizer has no tokens for the
 *   letters of the roles
 */
export function chatFormat(chatTemplate: string | undefined, tokenizer: Tokenizer): ChatFormat {
  const namesRoles = chatTemplate !== undefined || tokenizer.missingCharacters("user: assistant:").length === 0;
  const [plainTemplate, plainStop] = namesRoles ? [PLAIN_TEMPLATE, PLAIN_STOP] : [BARE_TEMPLATE, BARE_STOP];
  const { Template } = tokenizer;
  const template = new Template(chatTemplate ?? plainTemplate);
  const toolUse =
    chatTemplate !== undefined && chatTemplate === tokenizer.chatTemplate
      ? tokenizer.chatTemplates.get("tool_use")
      : undefined;
  const toolTemplate = toolUse === undefined ? template : new Template(toolUse);
  const outside = new MessageText(tokenizer.specialTexts);
  return {
    render: (messages, options = {}) => {
      const {
        continueFinalMessage = false,
        addGenerationPrompt = !continueFinalMessage,
        tools,
        documents,
        variables,
        now,
      } = options;
      if (chatTemplate === undefined) requireDefault(tokenizer);
      if (messages.length === 0)
        throw new OptionError({ where: "chat", expected: "at least one message", received: "none", fix: "add one" });
      if (continueFinalMessage && addGenerationPrompt) {
        const expected = "continueFinalMessage or addGenerationPrompt";
        throw new OptionError({ where: "chat", expected, received: "both", fix: "leave one out" });
      }
      const safe = outside.tagged(messages.map(withReasoning)) as MixedMessage[];
      const text = (tools ? toolTemplate : template).render(
        {
          ...tokenizer.namedTokens,
          tools: tools ? outside.tagged(tools) : null,
          documents: documents ? outside.tagged(documents) : null,
          ...(outside.tagged(variables) as typeof variables),
          messages: continueFinalMessage ? [...safe.slice(0, -1), tagged(safe[safe.length - 1])] : safe,
          add_generation_prompt: addGenerationPrompt,
        },
        { now },
      );
      return outside.prompt(continueFinalMessage ? upToTag(text, safe[safe.length - 1]) : text);
    },
    stop: chatTemplate === undefined ? [plainStop] : [],
    addSpecialTokens: chatTemplate === undefined,
  };
}

/** @throws DataError where there are templates, of which none was given */
function requireDefault({ chatTemplates }: Tokenizer): void {
  if (chatTemplates.size === 0) return;
  const names = [...chatTemplates.keys()];
  throw new DataError({
    where: "chat template",
    expected: `one of those that the tokenizer has: ${names.join(", ")}`,
    received: "none",
    fix: `give one as the chatTemplate, as tokenizer.chatTemplates.get(${JSON.stringify(names[0])})`,
  });
}

const reasoningKeys = ["reasoning_content", "thinking", "reasoning"];

/** Fields of null are left out, and what a model thought stands under the names that templates look for. */
function withReasoning(message: MixedMessage): MixedMessage {
  const fields = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null)) as MixedMessage;
  const key = reasoningKeys.find((name) => fields[name] !== undefined);
  return key === undefined ? fields : { ...fields, reasoning_content: fields[key], thinking: fields[key] };
}

/**
 * Stands behind the last message where an answer goes on with it; templates may trim messages, and write on after them.
 */
const TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

function tagged(message: MixedMessage): MixedMessage {
  const { content } = message;
  if (typeof content === "string") return { ...message, content: content + TAG };
  const at = content?.findLastIndex(({ text }) => typeof text === "string") ?? -1;
  if (!content || at < 0)
    throw new OptionError({
      where: "chat",
      expected: "a last message with text",
      received: "none",
      fix: "add text to go on with",
    });
  return { ...message, content: content.map((part, i) => (i === at ? { ...part, text: part.text + TAG } : part)) };
}

/** The text up to the end of the last message. @throws DataError where the template does not show it */
function upToTag(text: string, { content }: MixedMessage): string {
  const at = text.lastIndexOf(TAG.trim());
  const last = typeof content === "string" ? content : content?.findLast((part) => typeof part.text === "string")?.text;
  if (at < 0 || !text.includes(String(last).trim())) {
    throw new DataError({
      where: "chat template",
      expected: "the last message in its text",
      received: "none",
      fix: "this template cannot go on with a message",
    });
  }
  const before = text.slice(0, at);
  return text.slice(at, at + TAG.length) === TAG ? before : before.trimEnd();
}
