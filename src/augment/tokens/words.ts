/** Small changes of a list of words or tokens. Wei and Zou 2019, arXiv:1901.11196. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import type { Draws } from "../draws.ts";

/** How often words are changed. */
export interface WordNoise {
  /** Share of the words. @default 0.1 */
  share?: number;
}

function shareOf(where: string, options: WordNoise): number {
  checkOptions(where, options, ["share"]);
  const { share = 0.1 } = options;
  requireNumbers(where, { share }, { share: numberRules.fraction });
  return share;
}

/** A share of a list, but one where that is less. */
const countOf = (share: number, length: number) => (share === 0 ? 0 : Math.max(1, Math.floor(share * length)));

/** Leaves out each word with a probability; where none would be left, one stays. */
export function deleteWords<T>(words: readonly T[], options: WordNoise, draws: Draws): T[] {
  const share = shareOf("deleteWords", options);
  const rest = words.filter(() => !draws.isLikely(share));
  return rest.length > 0 || words.length === 0 ? rest : [draws.choice(words)];
}

/** Exchanges two words, once for each word of a share. */
export function swapWords<T>(words: readonly T[], options: WordNoise, draws: Draws): T[] {
  const share = shareOf("swapWords", options);
  const out = [...words];
  if (words.length < 2) return out;
  for (let i = 0; i < countOf(share, words.length); i++) {
    const [a, b] = draws.sample(words.length, 2);
    [out[a], out[b]] = [out[b], out[a]];
  }
  return out;
}

/**
 * Puts other words in the place of a share of those that a lexicon has: each by one of its synonyms there.
 *
 * @example
 * const lexicon = new Map([["big", ["large"]]]);
 * replaceSynonyms(["a", "big", "whale"], lexicon, {}, drawsOf(0)); // ["a", "large", "whale"]
 */
export function replaceSynonyms(
  words: readonly string[],
  lexicon: ReadonlyMap<string, readonly string[]>,
  options: WordNoise,
  draws: Draws,
): string[] {
  const share = shareOf("replaceSynonyms", options);
  const places = words.flatMap((word, i) => ((lexicon.get(word)?.length ?? 0) > 0 ? [i] : []));
  const picked = new Set(draws.shuffled(places).slice(0, countOf(share, words.length)));
  return words.map((word, i) => (picked.has(i) ? draws.choice(lexicon.get(word) ?? [word]) : word));
}
