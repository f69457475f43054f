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
