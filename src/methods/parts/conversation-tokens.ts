/** Conversations as tokens, and which of these are learned. */
import { DataError } from "../../base/index.ts";
import type { Conversation } from "../../data/index.ts";
import { type ChatFormat, encodePrompt, type MixedMessage, type Tokenizer } from "../../tokenizers/index.ts";

/** Tokens of an example, and of each whether it is learned to be written. */
export interface LearnedTokens {
  ids: Int32Array;
  /** 1 for those that are learned. */
  weights: Uint8Array;
}

/** What of a conversation is learned: all answers, the last one alone, or every token. */
export type LearnedPart = "assistant" | "last" | "all";

/**
 * A conversation as its chat template writes it, with the tokens of the assistant to be learned: what the model writes
 * after each beginning of an answer, with the token that ends it. Messages after the last answer are left out.
 * @throws DataError for a conversation without an answer, or a template that writes an answer in another form when
 *   messages follow
 */
export async function conversationTokens(
  { messages, tools }: Conversation,
  { tokenizer, format, learned = "assistant" }: { tokenizer: Tokenizer; format: ChatFormat; learned?: LearnedPart },
): Promise<LearnedTokens> {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last < 0)
    throw new DataError({
      where: "conversation",
      expected: "a message of the assistant",
      received: `the roles ${messages.map(({ role }) => role).join(", ") || "of no messages"}`,
      fix: "leave it out, or name the columns",
    });
  const talk = messages.slice(0, last + 1);
  const render = (count: number, addGenerationPrompt: boolean) =>
    format.render(talk.slice(0, count), { addGenerationPrompt, tools });
  const whole = render(talk.length, false);
  const encode = (text: string) => encodePrompt(tokenizer, text, { addSpecialTokens: format.addSpecialTokens });
  const ids = Int32Array.from(await encode(whole));
  const weights = new Uint8Array(ids.length);
  if (learned === "all") return { ids, weights: weights.fill(1) };
  for (const turn of answersOf(talk, learned)) {
    const [before, after] = [beforeAnswer(render, talk, turn), render(turn + 1, false).trimEnd()];
    requireBeginning(whole, before, talk[turn]);
    requireBeginning(whole, after, talk[turn]);
    const [start, end] = [commonTokens(ids, await encode(before)), commonTokens(ids, await encode(after))];
    weights.fill(1, start, end);
  }
  return { ids, weights };
}

const answersOf = (talk: readonly MixedMessage[], learned: LearnedPart): number[] => {
  const turns = talk.flatMap(({ role }, i) => (role === "assistant" ? [i] : []));
  return learned === "last" ? turns.slice(-1) : turns;
};

/** The text up to where the model begins to write. A talk may begin with the assistant. */
function beforeAnswer(
  render: (count: number, addGenerationPrompt: boolean) => string,
  talk: readonly MixedMessage[],
  turn: number,
): string {
  if (turn > 0) return render(turn, true);
  const { content } = talk[0];
  const whole = render(1, false);
  const at = typeof content === "string" ? whole.indexOf(content) : -1;
  return whole.slice(0, Math.max(0, at));
}

/** Templates that change earlier messages, such as leaving out their thoughts, cannot be learned in all turns. */
function requireBeginning(whole: string, beginning: string, message: MixedMessage): void {
  if (whole.startsWith(beginning)) return;
  throw new DataError({
    where: `chat template, the answer ${JSON.stringify(String(message.content).slice(0, 40))}`,
    expected: "a template that writes a message in the same way when others follow",
    received: "one that writes it in another way",
    fix: "learn the last answer alone: method: { name: sft, learned: last }",
  });
}

/** How many tokens two texts begin with together: a token across the end of the shorter one belongs to what follows. */
function commonTokens(ids: Int32Array, beginning: readonly number[]): number {
  const different = beginning.findIndex((id, i) => id !== ids[i]);
  return different < 0 ? beginning.length : different;
}
