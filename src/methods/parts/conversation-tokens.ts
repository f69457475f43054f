/** Conversations as tokens, and which of these are learned. */
import { DataError } from "../../base/index.ts";
import type { Conversation } from "../../data/index.ts";
import {
  type ChatFormat,
  chatFormat,
  encodePrompt,
  type MixedMessage,
  type Tokenizer,
} from "../../tokenizers/index.ts";
import { hasGenerationTags, markedTemplate, takeMarks } from "./generation-marks.ts";

/** Tokens of an example, and of each whether it is learned to be written. */
export interface LearnedTokens {
  ids: Int32Array;
  /** 1 for those that are learned. */
  weights: Uint8Array;
}

/** What of a conversation is learned: all answers, the last one alone, or every token. */
export type LearnedPart = "assistant" | "last" | "all";

/** What writes conversations. */
export interface ConversationWriter {
  tokenizer: Tokenizer;
  format: ChatFormat;
  /** The same with marks in place of generation tags, where the template has them. */
  marked?: ChatFormat;
}

/** Writes by a tokenizer's chat template. */
export function conversationWriter(tokenizer: Tokenizer, template = tokenizer.chatTemplate): ConversationWriter {
  const format = chatFormat(template, tokenizer);
  if (template === undefined || !hasGenerationTags(template)) return { tokenizer, format };
  return { tokenizer, format, marked: chatFormat(markedTemplate(template), tokenizer) };
}

/**
 * A conversation as its chat template writes it, with the tokens of the assistant to be learned: what the template says
 * by its generation tags, otherwise what the model writes after each beginning of an answer, with the token that ends
 * it. Messages after the last answer are left out.
 * @throws DataError for a conversation without an answer, or a template without such tags that writes an answer in
 *   another form when messages follow
 */
export async function conversationTokens(
  { messages, tools }: Conversation,
  { tokenizer, format, marked }: ConversationWriter,
  learned: LearnedPart = "assistant",
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
  const { text, spans } = marked
    ? takeMarks(marked.render(talk, { addGenerationPrompt: false, tools }))
    : { text: render(talk.length, false), spans: answerSpans(render, talk, learned) };
  const encode = (part: string) => encodePrompt(tokenizer, part, { addSpecialTokens: format.addSpecialTokens });
  const ids = Int32Array.from(await encode(text));
  const weights = new Uint8Array(ids.length);
  if (learned === "all") return { ids, weights: weights.fill(1) };
  for (const [start, end] of learned === "last" ? spans.slice(-1) : spans) {
    const [from, to] = [await encode(text.slice(0, start)), await encode(text.slice(0, end))];
    weights.fill(1, commonTokens(ids, from), commonTokens(ids, to));
  }
  return { ids, weights };
}

/** Where the answers stand in a text: each from where the model begins to write to the token that ends it. */
function answerSpans(
  render: (count: number, addGenerationPrompt: boolean) => string,
  talk: readonly MixedMessage[],
  learned: LearnedPart,
): [number, number][] {
  const whole = render(talk.length, false);
  return answersOf(talk, learned).map((turn) => {
    const [before, after] = [beforeAnswer(render, talk, turn), render(turn + 1, false).trimEnd()];
    requireBeginning(whole, before, talk[turn]);
    requireBeginning(whole, after, talk[turn]);
    return [before.length, after.length];
  });
}

const answersOf = (talk: readonly MixedMessage[], learned: LearnedPart): number[] => {
  if (learned === "all") return [];
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
export function commonTokens(ids: Int32Array, beginning: readonly number[]): number {
  const different = beginning.findIndex((id, i) => id !== ids[i]);
  return different < 0 ? beginning.length : different;
}
