/** Which tokens are of one word, by how a vocabulary marks words. */
import { OptionError } from "../../base/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";

/** What a word begins with in the vocabularies of byte-level BPE and of SentencePiece. */
const MARKS = ["Ġ", "▁"];
/** What is a word by itself, in ASCII. */
const PUNCTUATION = /^[!-/:-@[-`{-~]+$/;

/**
 * Numbers of the words of tokens: those that WordPiece marks as going on ("##ing") have the number of the token before;
 * where the beginnings of words are marked, all others but punctuation do.
 * @throws OptionError for a vocabulary that marks neither
 */
export function wordNumbers(tokenizer: Tokenizer): (ids: readonly number[]) => number[] {
  const { marksSubwords } = tokenizer;
  const mark = MARKS.find((each) => tokenizer.tokenToId(each) !== null);
  if (!marksSubwords && mark === undefined)
    throw new OptionError({
      where: "config, method.wholeWords",
      expected: "a tokenizer that marks where words begin or go on (WordPiece, byte-level BPE, SentencePiece)",
      received: "another one",
      fix: "leave wholeWords out",
    });
  const special = new Set(tokenizer.specialTexts);
  const goesOn = (id: number, before: number | undefined): boolean => {
    const token = tokenizer.idToToken(id) ?? "";
    if (marksSubwords) return token.startsWith("##");
    const earlier = before === undefined ? undefined : (tokenizer.idToToken(before) ?? "");
    if (earlier === undefined || token.startsWith(mark as string) || special.has(token) || special.has(earlier))
      return false;
    return PUNCTUATION.test(token) === PUNCTUATION.test(earlier.replace(mark as string, ""));
  };
  return (ids) => {
    let word = -1;
    return ids.map((id, i) => {
      if (i === 0 || !goesOn(id, ids[i - 1])) word++;
      return word;
    });
  };
}
