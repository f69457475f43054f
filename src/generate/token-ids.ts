import { DataError } from "../base/index.ts";

/** @throws DataError for an id that is no token of the vocabulary */
export function requireTokenIds(ids: readonly number[], vocabSize: number): void {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong === undefined) return;
  throw new DataError({
    where: "generate",
    expected: `token ids from 0 to ${vocabSize - 1}`,
    received: String(wrong),
    fix: "encode the text with this model's tokenizer",
  });
}

/** @throws DataError for a prompt without tokens, or with an id that is no token of the vocabulary */
export function requirePrompt(prompt: readonly number[], vocabSize: number): void {
  if (prompt.length === 0)
    throw new DataError({
      where: "generate",
      expected: "a prompt of at least one token",
      received: "none",
      fix: "start with some text or the end-of-text token",
    });
  requireTokenIds(prompt, vocabSize);
}
