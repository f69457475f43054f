import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "./schema.ts";

/** Base models know no roles: a plain transcript is what they continue best. */
const PLAIN_TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";
const PLAIN_STOP = "\nuser:";

/** How a conversation becomes the text that a model continues, and what ends its answer besides its own tokens. */
export interface ChatFormat {
  render(messages: readonly ChatMessage[]): string;
  stop: readonly string[];
}

/** The format of a model's Jinja template. @default one line per message: "role: content" */
export function chatFormat(chatTemplate?: string): ChatFormat {
  const template = new Template(chatTemplate ?? PLAIN_TEMPLATE);
  return { render: (messages) => template.render({ messages, add_generation_prompt: true }), stop: chatTemplate === undefined ? [PLAIN_STOP] : [] };
}
