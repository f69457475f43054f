/** Rules that tell running text from what else pages have. Rae et al. 2021 (Gopher), arXiv:2112.11446, appendix A.1. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";

/** Limits of Gopher's rules, for English by default; Infinity or 0 turns one off. */
export interface GopherOptions {
  /** @default 50 */
  minWords?: number;
  /** @default 100,000 */
  maxWords?: number;
  /** Mean length of words, in characters. @default 3 */
  minWordLength?: number;
  /** @default 10 */
  maxWordLength?: number;
  /** Most "#" and "..." for each word. @default 0.1 */
  maxSymbolRatio?: number;
  /** Most lines that begin with a bullet, as a share. @default 0.9 */
  maxBulletLines?: number;
  /** Most lines that end with an ellipsis, as a share. @default 0.3 */
  maxEllipsisLines?: number;
  /** Least words with a letter, as a share. @default 0.8 */
  minLetterWords?: number;
  /** How many of the stop words there must be. @default 2 */
  minStopWords?: number;
  /** @default the, be, to, of, and, that, have, with */
  stopWords?: readonly string[];
  /** Whether the rules of repetition hold too, with the limits of table A1. @default true */
  checksRepetition?: boolean;
}

const defaults = {
  minWords: 50,
  maxWords: 100_000,
  minWordLength: 3,
  maxWordLength: 10,
  maxSymbolRatio: 0.1,
  maxBulletLines: 0.9,
  maxEllipsisLines: 0.3,
  minLetterWords: 0.8,
  minStopWords: 2,
};
const STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"];
/** Most characters in the commonest sequence of so many words, as a share. */
const topSequences: readonly [words: number, share: number][] = [
  [2, 0.2],
  [3, 0.18],
  [4, 0.16],
];
/** Most characters in sequences of so many words that come more than once, as a share. */
const repeatedSequences: readonly [words: number, share: number][] = [
  [5, 0.15],
  [6, 0.14],
  [7, 0.13],
  [8, 0.12],
  [9, 0.11],
  [10, 0.1],
];

/**
 * Why Gopher's rules would leave a text out, each as a few words with the number; an empty list for a good text.
 * @throws OptionError for wrong options
 */
export function gopherFaults(text: string, options: GopherOptions = {}): string[] {
  checkOptions("gopherFaults", options, [...Object.keys(defaults), "stopWords", "checksRepetition"]);
  const { stopWords = STOP_WORDS, checksRepetition = true, ...numbers } = options;
  const limits = { ...defaults, ...numbers };
  const rule = { range: "of at least 0", isFine: (value: number) => value >= 0 };
  requireNumbers("gopherFaults", limits, Object.fromEntries(Object.keys(defaults).map((name) => [name, rule])));
  requireNumbers("gopherFaults", { words: limits.maxWords }, { words: numberRules.limit });
  const words = text.match(/\S+/gu) ?? [];
  const faults: string[] = [];
  const check = (isFine: boolean, name: string, value: number) => {
    if (!isFine) faults.push(`${name} ${Number(value.toFixed(3))}`);
  };
  check(words.length >= limits.minWords, "too few words:", words.length);
  check(words.length <= limits.maxWords, "too many words:", words.length);
  if (words.length === 0) return faults;
  const share = (count: number) => count / words.length;
  const meanLength = share(words.reduce((sum, word) => sum + Array.from(word).length, 0));
  check(meanLength >= limits.minWordLength, "short words: a mean of", meanLength);
  check(meanLength <= limits.maxWordLength, "long words: a mean of", meanLength);
  const symbols = share(text.match(/#|\.\.\.|…/g)?.length ?? 0);
  check(symbols <= limits.maxSymbolRatio, "symbols for each word:", symbols);
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const lineShare = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length / lines.length;
  const bullets = lineShare(/^\s*[•‣▪◦●*-]\s/u);
  check(bullets <= limits.maxBulletLines, "lines with a bullet:", bullets);
  const ellipses = lineShare(/(\.\.\.|…)\s*$/);
  check(ellipses <= limits.maxEllipsisLines, "lines with an ellipsis:", ellipses);
  const letters = share(words.filter((word) => /\p{L}/u.test(word)).length);
  check(letters >= limits.minLetterWords, "words with a letter:", letters);
  const plain = new Set(words.map((word) => word.toLowerCase().replace(/^\P{L}+|\P{L}+$/gu, "")));
  const stops = stopWords.filter((word) => plain.has(word)).length;
  check(stops >= limits.minStopWords, "stop words:", stops);
  return checksRepetition ? [...faults, ...repetitionFaults(text, words)] : faults;
}

/** Repetition by table A1 of the paper. */
function repetitionFaults(text: string, words: readonly string[]): string[] {
  const faults: string[] = [];
  const check = (name: string, value: number, most: number) => {
    if (value > most) faults.push(`${name} ${Number(value.toFixed(3))}`);
  };
  for (const [name, parts] of [
    ["lines", text.split(/\n+/)],
    ["paragraphs", text.split(/\n{2,}/)],
  ] as const) {
    const { count, characters } = repeated(parts.map((part) => part.trim()).filter((part) => part !== ""));
    check(`repeated ${name}:`, count, 0.3);
    check(`characters in repeated ${name}:`, characters, 0.2);
  }
  const total = words.reduce((sum, word) => sum + word.length, 0);
  for (const [size, most] of topSequences)
    check(`characters in the commonest ${size} words:`, topShare(words, size) / total, most);
  for (const [size, most] of repeatedSequences)
    check(`characters in repeated ${size} words:`, repeatedShare(words, size) / total, most);
  return faults;
}

/** Share of parts, and of their characters, that repeat an earlier one. */
function repeated(parts: readonly string[]): { count: number; characters: number } {
  const seen = new Set<string>();
  let [count, characters, all] = [0, 0, 0];
  for (const part of parts) {
    all += part.length;
    if (seen.has(part)) {
      count++;
      characters += part.length;
    }
    seen.add(part);
  }
  return parts.length === 0
    ? { count: 0, characters: 0 }
    : { count: count / parts.length, characters: characters / all };
}

/** Characters of the sequence of `size` words that has most of them over all its places. */
function topShare(words: readonly string[], size: number): number {
  const counts = new Map<string, number>();
  for (let i = 0; i + size <= words.length; i++) {
    const sequence = words.slice(i, i + size).join(" ");
    counts.set(sequence, (counts.get(sequence) ?? 0) + 1);
  }
  let most = 0;
  // without the spaces between the words
  for (const [sequence, count] of counts) if (count > 1) most = Math.max(most, count * (sequence.length - size + 1));
  return most;
}

/** Characters of words in sequences that come more than once; those in several are counted once. */
function repeatedShare(words: readonly string[], size: number): number {
  const counts = new Map<string, number>();
  const sequenceAt = (i: number) => words.slice(i, i + size).join(" ");
  for (let i = 0; i + size <= words.length; i++) counts.set(sequenceAt(i), (counts.get(sequenceAt(i)) ?? 0) + 1);
  let [characters, next] = [0, 0];
  for (let i = 0; i + size <= words.length; i++) {
    if ((counts.get(sequenceAt(i)) as number) < 2) continue;
    for (next = Math.max(next, i); next < i + size; next++) characters += words[next].length;
  }
  return characters;
}
