/** What a text is like, without a model. */

/** Scripts that are told apart; all else is "other". */
const scripts = [
  ...["Latin", "Han", "Hiragana", "Katakana", "Hangul", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari"],
  ...["Bengali", "Tamil", "Telugu", "Thai", "Armenian", "Georgian", "Ethiopic", "Khmer"],
];
const patterns = scripts.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "gu")] as const);
const LETTERS = /\p{L}/gu;
/** Of long texts the beginning says it. */
const SCRIPT_CHARACTERS = 2000;

/** The script of most letters of a text, such as "Latin"; "none" where there is no letter. */
export function scriptOf(text: string): string {
  const beginning = text.slice(0, SCRIPT_CHARACTERS);
  let rest = beginning.match(LETTERS)?.length ?? 0;
  let best = { name: "none", count: 0 };
  for (const [name, pattern] of patterns) {
    if (rest <= best.count) break; // no other script can have more
    const count = beginning.match(pattern)?.length ?? 0;
    if (count > best.count) best = { name, count };
    rest -= count;
  }
  return rest > best.count ? "other" : best.name;
}

/** Runs of letters, each character of Chinese and Japanese by itself, in lower case. */
const WORD = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|[\p{L}\p{M}]+/gu;

/** The words of a text, by what separates letters. */
export const wordsOf = (text: string): string[] => text.toLowerCase().match(WORD) ?? [];

/** The share of a text's words that are not in a vocabulary; undefined for a text without words. */
export function unknownShare(text: string, vocabulary: ReadonlySet<string>): number | undefined {
  const words = wordsOf(text);
  if (words.length === 0) return undefined;
  return words.filter((word) => !vocabulary.has(word)).length / words.length;
}

/** Characters as people count them, but for those that are joined of several. */
export function characterCount(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
