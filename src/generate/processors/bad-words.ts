import { endsWith, type LogitsProcessor } from "./processor.ts";

/** Sequences that are never completed; a token that ends the text is none, as in transformers. */
export function badWords(words: readonly (readonly number[])[], ends: readonly number[]): LogitsProcessor {
  const banned = words.filter((word) => !(word.length === 1 && ends.includes(word[0])));
  return (logits, { ids }) => {
    for (const word of banned) {
      const last = word.length - 1;
      if (endsWith(ids, word, last)) logits[word[last]] = Number.NEGATIVE_INFINITY;
    }
  };
}
