/** The cleaning of C4. Raffel et al. 2019, arXiv:1910.10683, section 2.2. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";

/** Limits of C4's rules. */
export interface C4Options {
  /** Words that a line must have to stay. @default 5 */
  minWords?: number;
  /** Sentences that a page must have. @default 3 */
  minSentences?: number;
  /** Words for which a page is left out. @default none */
  blockedWords?: readonly string[];
}

/** The lines of a page that stay, or why the page is left out. */
export type C4Result = { text: string; reason?: undefined } | { text?: undefined; reason: string };

const END = /[.!?。！？…]["'”’」]?$|["”」]$/u;
const POLICY = /terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies/i;

/**
 * A page as C4 keeps it: lines that end as sentences do and have enough words, without those of scripts and policies;
 * nothing of a page with "lorem ipsum" or a curly bracket. Marks of citations, [1], are taken out.
 * @throws OptionError for wrong options
 */
export function cleanC4(page: string, options: C4Options = {}): C4Result {
  checkOptions("cleanC4", options, ["minWords", "minSentences", "blockedWords"]);
  const { minWords = 5, minSentences = 3, blockedWords = [] } = options;
  const { wholeNumber } = numberRules;
  requireNumbers("cleanC4", { minWords, minSentences }, { minWords: wholeNumber, minSentences: wholeNumber });
  if (/lorem ipsum/i.test(page)) return { reason: "lorem ipsum" };
  if (page.includes("{")) return { reason: "a curly bracket, as in code" };
  const words = new Set(page.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  const blocked = blockedWords.find((word) => words.has(word.toLowerCase()));
  if (blocked !== undefined) return { reason: "a blocked word" };
  const lines = page
    .split(/\r?\n/)
    .map((line) => line.replace(/\[(\d*|edit|citation needed)\]/g, "").trim())
    .filter((line) => END.test(line) && !/\.\.\.$|…$/.test(line))
    .filter((line) => wordCount(line) >= minWords && !/javascript/i.test(line) && !POLICY.test(line));
  const sentences = lines.reduce(
    (sum, line) => sum + (line.match(/[.!?。！？]+(?=\s|["'”’」]|$|\p{Script=Han})/gu)?.length ?? 0),
    0,
  );
  if (sentences < minSentences) return { reason: `${sentences} sentences` };
  return { text: lines.join("\n") };
}

/** Words between spaces; characters of scripts without spaces are words of their own. */
const wordCount = (line: string) => line.match(/\p{Script=Han}|[^\s\p{Script=Han}]+/gu)?.length ?? 0;
