import { DataError } from "../../base/index.ts";

/** Where a text is. */
export interface Progress {
  /** Its tokens so far. */
  ids: readonly number[];
  /** How many of them it began with. */
  startLength: number;
  /** How many there may be. */
  maxLength: number;
  /** What an encoder read, or the prompt. @default none */
  source?: readonly number[];
  /** What other groups of a beam search have picked at this place. @default nothing */
  otherTokens?: readonly number[];
}

/**
 * Changes the logits of the next token, f32 [V], in place. It knows the text by its progress alone, for one processor
 * serves the hypotheses of a beam search in turn.
 */
export type LogitsProcessor = (logits: Float32Array, progress: Progress) => void;

/** Makes it impossible to pick some tokens. */
export function ban(logits: Float32Array, ids: readonly number[]): void {
  for (const id of ids) logits[id] = Number.NEGATIVE_INFINITY;
}

/** Whether a text ends with the first `count` tokens of a sequence. */
export function endsWith(ids: readonly number[], sequence: readonly number[], count: number): boolean {
  const start = ids.length - count;
  for (let i = 0; i < count; i++) if (ids[start + i] !== sequence[i]) return false;
  return true;
}

/** @throws DataError for a token that the model does not have */
export function requireInVocabulary(option: string, id: number, vocabSize: number): void {
  if (id < vocabSize) return;
  throw new DataError({
    where: `generate, ${option}`,
    expected: `token ids from 0 to ${vocabSize - 1}`,
    received: String(id),
    fix: "take the ids from the tokenizer of this model",
  });
}
