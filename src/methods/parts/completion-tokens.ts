/** Prompts and completions as tokens. */
import { DataError } from "../../base/index.ts";
import type { PromptCompletion } from "../../data/index.ts";
import { type ChatFormat, encodePrompt, type MixedMessage, type Tokenizer } from "../../tokenizers/index.ts";
import { commonTokens, type LearnedTokens } from "./conversation-tokens.ts";

/** A text in two parts. */
export interface CompletionTokens {
  prompt: Int32Array;
  completion: Int32Array;
}

const asMessages = (turns: readonly MixedMessage[] | string, role: string): readonly MixedMessage[] =>
  typeof turns === "string" ? [{ role, content: turns }] : turns;

/**
 * A prompt with its completion as the chat template writes them; texts without roles are those of a user and of the
 * assistant. All behind the beginning of the answer is the completion, with the token that ends it.
 * @throws DataError for a template that writes the prompt in another form when an answer follows
 */
export async function completionTokens(
  example: PromptCompletion,
  { tokenizer, format }: { tokenizer: Tokenizer; format: ChatFormat },
): Promise<CompletionTokens> {
  const asked = asMessages(example.prompt, "user");
  const answer = asMessages(example.completion, "assistant");
  const before = format.render(asked, { addGenerationPrompt: true });
  const whole = format.render([...asked, ...answer], { addGenerationPrompt: false }).trimEnd();
  if (!whole.startsWith(before))
    throw new DataError({
      where: `chat template, the prompt ${JSON.stringify(String(asked.at(-1)?.content).slice(0, 40))}`,
      expected: "a template that begins with the prompt when an answer follows",
      received: "one that writes it in another way",
      fix: "use a template that keeps the prompt as it is",
    });
  const encode = (text: string) => encodePrompt(tokenizer, text, { addSpecialTokens: format.addSpecialTokens });
  const ids = Int32Array.from(await encode(whole));
  const start = commonTokens(ids, await encode(before));
  return { prompt: ids.slice(0, start), completion: ids.slice(start) };
}

/**
 * Texts of one example within a length. Prompts lose their beginnings, so that the longest completion has room; a
 * completion is cut where it is too long alone. All keep as much of their prompts.
 */
export function fitCompletions(texts: readonly CompletionTokens[], maxLength: number): LearnedTokens[] {
  const longest = Math.max(...texts.map(({ completion }) => completion.length));
  const room = Math.max(1, maxLength - longest);
  return texts.map(({ prompt, completion }) => {
    const kept = prompt.subarray(Math.max(0, prompt.length - room));
    const written = completion.subarray(0, Math.max(0, maxLength - kept.length));
    const ids = new Int32Array(kept.length + written.length);
    ids.set(kept);
    ids.set(written, kept.length);
    return { ids, weights: new Uint8Array(ids.length).fill(1, kept.length) };
  });
}

/** Whether a text has a token that is learned, which something stands before. */
export const isLearnable = ({ weights }: LearnedTokens): boolean => weights.subarray(1).includes(1);
