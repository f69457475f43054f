import { checkOptions } from "../base/index.ts";
import { requireChoice } from "./checks.ts";
import { countOf, overlapOf } from "./counter.ts";
import { longestRun } from "./longest-common.ts";
import { asciiPunctuation, splitWords } from "./python-text.ts";
import { type References, referenceLists } from "./references.ts";

/** How answers are compared. */
export interface AnswerOptions {
  /**
   * "en": without case, punctuation and articles, word by word, as SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250);
   * "zh": without case, punctuation and white space, character by character, by the longest common run, as CMRC (Cui et
   * al. 2019, arXiv:1810.07366). @default "en"
   */
  language?: "en" | "zh";
}

/** The marks that CMRC 2018 leaves out. */
const chinesePunctuation = new Set("-:_*^/\\~`+=，。：？！“”；’《》…·、「」（）－～『』");
const isHan = (character: string) => character >= "\u4e00" && character <= "\u9fa5";

/** An answer in small letters, without punctuation, articles and superfluous white space. */
export function normalizeAnswer(text: string): string {
  const plain = [...text.toLowerCase()].filter((character) => !asciiPunctuation.includes(character)).join("");
  return splitWords(plain.replace(/(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu, " ")).join(" ");
}

/** Chinese characters alone, and what is between them at white space. */
function chineseWords(text: string): string[] {
  let spaced = "";
  for (const character of text.toLowerCase())
    if (!chinesePunctuation.has(character)) spaced += isHan(character) ? ` ${character} ` : character;
  return splitWords(spaced);
}

const chinesePlain = (text: string) =>
  splitWords([...text.toLowerCase()].filter((character) => !chinesePunctuation.has(character)).join("")).join("");

const languages = {
  en: {
    isSame: (a: string, b: string) => normalizeAnswer(a) === normalizeAnswer(b),
    f1(a: string, b: string): number {
      const [words, others] = [splitWords(normalizeAnswer(a)), splitWords(normalizeAnswer(b))];
      // an answer that is to be empty is right when it is empty
      if (words.length === 0 || others.length === 0) return Number(words.length === others.length);
      return f1Of(overlapOf(countOf(words), countOf(others)), words.length, others.length);
    },
  },
  zh: {
    isSame: (a: string, b: string) => chinesePlain(a) === chinesePlain(b),
    f1(a: string, b: string): number {
      const [words, others] = [chineseWords(a), chineseWords(b)];
      if (words.length === 0 || others.length === 0) return Number(words.length === others.length);
      return f1Of(longestRun(words, others), words.length, others.length);
    },
  },
};

const f1Of = (common: number, predicted: number, actual: number) => (2 * common) / (predicted + actual);

/** The mean over answers of the best score against a reference. */
function meanOfBest(
  where: string,
  predictions: ArrayLike<string>,
  references: References,
  options: AnswerOptions,
  score: (language: "en" | "zh", prediction: string, reference: string) => number,
): number {
  checkOptions(where, options, ["language"]);
  const { language = "en" } = options;
  requireChoice(where, "language", language, ["en", "zh"]);
  const lists = referenceLists(where, predictions, references);
  const best = lists.map((list, i) => Math.max(...list.map((reference) => score(language, predictions[i], reference))));
  return best.reduce((sum, value) => sum + value, 0) / best.length;
}

/**
 * The share of answers that are one of their references. @throws DataError where lengths differ or there are no rows
 */
export function exactMatch(
  predictions: ArrayLike<string>,
  references: References,
  options: AnswerOptions = {},
): number {
  return meanOfBest("exactMatch", predictions, references, options, (language, prediction, reference) =>
    Number(languages[language].isSame(prediction, reference)),
  );
}

/**
 * The mean F1 of the words that an answer has in common with the reference that is nearest to it. @throws DataError
 * where lengths differ or there are no rows
 *
 * @example
 * tokenF1(["the white whale"], [["White Whale!", "Moby Dick"]]); // 1
 * tokenF1(["北京大学"], ["北京大学校"], { language: "zh" }) * 9; // 8
 */
export function tokenF1(predictions: ArrayLike<string>, references: References, options: AnswerOptions = {}): number {
  return meanOfBest("tokenF1", predictions, references, options, (language, prediction, reference) =>
    languages[language].f1(prediction, reference),
  );
}
