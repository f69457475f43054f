/** Words as tokens, one after another, so that it is known which tokens are of which word. */
import type { Tokenizer } from "../../tokenizers/index.ts";

/** Words as a model reads them. */
export interface EncodedWords {
  ids: Int32Array;
  /** The number of the word that each token is of; -1 for what the model expects around them. */
  words: Int32Array;
  /** Whether words at the end are left out. */
  isCut: boolean;
}

/** Writing systems that have no spaces between words. */
const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;

/**
 * Encodes words each by itself, as transformers does with `is_split_into_words`, and puts around them what the
 * tokenizer puts around a text. Where a space is part of tokens, words have one in front unless they or the word before
 * are of a writing without spaces. A word that leaves no token, such as a sign that is normalised away, has none.
 */
export async function wordEncoder(
  tokenizer: Tokenizer,
  maxLength: number,
): Promise<(words: readonly string[]) => Promise<EncodedWords>> {
  const around = await tokenizer.encodeText("a");
  const isSpecial = around.specialTokensMask.map((value) => value === 1);
  const [first, last] = [isSpecial.indexOf(false), isSpecial.lastIndexOf(false)];
  const [before, after] = [around.ids.slice(0, first), around.ids.slice(last + 1)];
  const idsOf = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const hasSpaces = String(await idsOf("a")) !== String(await idsOf(" a"));
  const known = new Map<string, readonly number[]>();
  const room = maxLength - before.length - after.length;
  return async (words) => {
    const [ids, places]: [number[], number[]] = [[], []];
    for (const [i, word] of words.entries()) {
      const isApart = hasSpaces && i > 0 && !UNSPACED.test(word) && !UNSPACED.test(words[i - 1]);
      const text = isApart ? ` ${word}` : word;
      const tokens = known.get(text) ?? (await idsOf(text));
      known.set(text, tokens);
      ids.push(...tokens);
      places.push(...tokens.map(() => i));
      if (ids.length > room) break;
    }
    const outside = (special: readonly number[]) => special.map(() => -1);
    return {
      ids: Int32Array.from([...before, ...ids.slice(0, room), ...after]),
      words: Int32Array.from([...outside(before), ...places.slice(0, room), ...outside(after)]),
      isCut: ids.length > room,
    };
  };
}
