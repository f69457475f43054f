/** Which pairs may be trained on. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { SeenTexts } from "../quality/exact.ts";
import { type DetectedLanguage, languageDetector } from "../quality/language.ts";
import { normalisedText, wordsOf } from "../quality/words.ts";
import type { GeneratedPair } from "./pairs.ts";

/** Limits of what pairs may be. */
export interface PairChecks {
  /** Least characters of an answer. @default 2 */
  minAnswer?: number;
  /** Most characters of an answer. @default 4000 */
  maxAnswer?: number;
  /** Least words of an answer that are in the passage, as a share; numbers must all be there. @default 0.5 */
  minOverlap?: number;
  /** Whether the quote must stand in the passage. @default true */
  needsQuote?: boolean;
}

/** Says why a pair is refused; undefined for one that is good. Remembers questions, to refuse them the second time. */
export type PairChecker = (pair: GeneratedPair, passage: string) => string | undefined;

/** @throws OptionError for wrong limits */
export async function pairChecker(checks: PairChecks = {}): Promise<PairChecker> {
  checkOptions("pairChecker", checks, ["minAnswer", "maxAnswer", "minOverlap", "needsQuote"]);
  const { minAnswer = 2, maxAnswer = 4000, minOverlap = 0.5, needsQuote = true } = checks;
  const { wholeNumber, fraction, positiveInteger } = numberRules;
  requireNumbers(
    "pairChecker",
    { minAnswer, maxAnswer, minOverlap },
    { minAnswer: wholeNumber, maxAnswer: positiveInteger, minOverlap: fraction },
  );
  const detect = await languageDetector();
  const seen = new SeenTexts();
  return (pair, passage) => {
    const { question, answer, quote } = pair;
    if (wordsOf(question).length < 2) return "an empty question";
    if (answer.length < minAnswer) return "a short answer";
    if (answer.length > maxAnswer) return "a long answer";
    if (/\bthe (passage|text|document|author)\b/i.test(question)) return "a question that speaks of the passage";
    const words = ` ${normalisedText(passage)} `;
    if (needsQuote && (quote === "" || !words.includes(normalisedText(quote))))
      return "a quote that is not in the passage";
    if (overlapOf(answer, words) < minOverlap) return "an answer that is not in the passage";
    const number = (answer.match(/\d[\d.,]*\d|\d/g) ?? []).find(
      (each) => !passage.includes(each) && !question.includes(each),
    );
    if (number !== undefined) return "a number that is not in the passage";
    if (!isSameLanguage(detect, passage, `${question} ${answer}`)) return "another language";
    return seen.add(question) === undefined ? undefined : "a question that was there before";
  };
}

/** Share of the words of an answer, those of up to three letters left out, that are in a text. */
function overlapOf(answer: string, words: string): number {
  const content = wordsOf(answer).filter((word) => word.length > 3 || /\p{Script=Han}|\d/u.test(word));
  if (content.length === 0) return 1;
  return content.filter((word) => words.includes(` ${word} `)).length / content.length;
}

function isSameLanguage(detect: (text: string) => DetectedLanguage, passage: string, pair: string): boolean {
  const [theirs, ours] = [detect(passage), detect(pair)];
  return !theirs.isReliable || !ours.isReliable || theirs.language === ours.language;
}
