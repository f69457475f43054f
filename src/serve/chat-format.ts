import { Template } from "@huggingface/jinja";
import { type Tokenizer, withLiterals } from "../tokenizers/index.ts";
import type { ChatMessage } from "./schema.ts";

/** Base models know no roles: a plain transcript is what they continue best. */
const PLAIN_TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";
const PLAIN_STOP = "\nuser:";

/** How a conversation becomes the text that a model continues, and what ends its answer besides its own tokens. */
export interface ChatFormat {
  /** The prompt, for `encodePrompt`: special tokens in the messages are marked as plain text. */
  render(messages: readonly ChatMessage[]): string;
  stop: readonly string[];
  /** Whether the tokenizer adds what the model expects around a text: a template writes that itself. */
  addSpecialTokens: boolean;
}

/** The format of a model's Jinja template. @default one line per message: "role: content" */
export function chatFormat(chatTemplate: string | undefined, tokenizer: Tokenizer): ChatFormat {
  const template = new Template(chatTemplate ?? PLAIN_TEMPLATE);
  const special = specialVariables(tokenizer);
  return {
    render: (messages) => {
      const safe = messages.map((message) => ({ ...message, content: withLiterals(message.content, tokenizer) }));
      return template.render({ ...special, messages: safe, add_generation_prompt: true });
    },
    stop: chatTemplate === undefined ? [PLAIN_STOP] : [],
    addSpecialTokens: chatTemplate === undefined,
  };
}

/** bos_token, eos_token and the others, as templates name them. */
function specialVariables(tokenizer: Tokenizer): Record<string, string> {
  const special = (tokenizer as { special?: Record<string, string> }).special ?? {};
  return Object.fromEntries(Object.entries(special).map(([name, token]) => [`${name}_token`, token]));
}
