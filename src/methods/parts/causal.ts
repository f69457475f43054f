/** What methods of language models have in common. */

import { Generator, generateText } from "../../generate/index.ts";
import type { CausalLM } from "../../models/index.ts";
import { chatFormat, type MixedMessage, type Tokenizer } from "../../tokenizers/index.ts";
import type { PreparedMethod } from "../method.ts";

/** The id of padding: what the tokenizer says, or one that has another meaning; no label is ever on it. */
export function padIdOf(tokenizer: Tokenizer): number {
  const { pad } = tokenizer.special;
  return (pad === undefined ? null : tokenizer.tokenToId(pad)) ?? tokenizer.endOfTextId ?? 0;
}

/**
 * Writes texts with a model as it is now: a prompt is a message where the model talks, and otherwise the beginning of a
 * text.
 * @param write a message in the form that its template takes
 */
export function sampler(
  model: CausalLM,
  tokenizer: Tokenizer,
  { isChat, write = (message) => message }: { isChat: boolean; write?: (message: MixedMessage) => MixedMessage },
): NonNullable<PreparedMethod<never>["sample"]> {
  let generator: Generator | undefined;
  return async (prompt, { maxNewTokens, temperature, seed }) => {
    generator ??= new Generator(model);
    const format = isChat ? chatFormat(tokenizer.chatTemplate, tokenizer) : undefined;
    const beginning = format ? format.render([write({ role: "user", content: prompt })]) : prompt;
    const options = { maxNewTokens, temperature, seed, addSpecialTokens: format?.addSpecialTokens, stop: format?.stop };
    let text = "";
    for await (const piece of generateText(generator, tokenizer, beginning, options)) text += piece.text;
    return text;
  };
}
