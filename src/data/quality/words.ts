/** Words, and characters of scripts that put no spaces between them: one each. */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]|[\p{L}\p{N}\p{M}]+/gu;

/** The words of a text in small letters, without what stands between them. */
export const wordsOf = (text: string): string[] => text.normalize("NFKC").toLowerCase().match(WORD) ?? [];

/** A text as its words alone: texts that differ in case, punctuation, spaces or forms of characters have the same. */
export const normalisedText = (text: string): string => wordsOf(text).join(" ");
