import { merged } from "../../base/index.ts";
import type { FinishReason } from "../finish-reason.ts";
import type { Sequence } from "./sequence.ts";

/** A token of one of several texts that are written together. */
export interface RowToken {
  /** Place of the text in the list that was handed in, from 0. */
  row: number;
  /** Id of the token in the vocabulary. */
  id: number;
}

/** Texts whose readers were dropped in the middle. */
const dropped = new FinalizationRegistry<Sequence>((sequence) => sequence.abandon());

/** The tokens of a sequence, which ends when nobody asks any more. */
export function tokensOf(sequence: Sequence): AsyncGenerator<number, FinishReason, void> {
  const tokens = writtenTokens(sequence);
  dropped.register(tokens, sequence);
  return tokens;
}

async function* writtenTokens(sequence: Sequence): AsyncGenerator<number, FinishReason, void> {
  try {
    for (;;) {
      const event = await sequence.next();
      if ("reason" in event) return event.reason;
      yield event.id;
    }
  } finally {
    sequence.abandon();
  }
}

/** The tokens of several texts as they come, and at the end why each ended. */
export async function* rowTokensOf(
  texts: readonly AsyncGenerator<number, FinishReason, void>[],
): AsyncGenerator<RowToken, FinishReason[], void> {
  const tokens = merged(texts);
  try {
    for (;;) {
      const next = await tokens.next();
      if (next.done) return next.value;
      yield { row: next.value.index, id: next.value.value };
    }
  } finally {
    await tokens.return([]);
  }
}
