import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";
import { type Counter, countOf, ngramsOf, overlapOf, totalOf } from "./counter.ts";
import { asciiPunctuation, splitWords } from "./python-text.ts";
import { type References, referenceLists } from "./references.ts";

/** How chrF is computed; the defaults are sacrebleu's. */
export interface ChrfOptions {
  /** The longest runs of characters. @default 6 */
  characterOrder?: number;
  /** The longest runs of words; 2 is chrF++. @default 0 */
  wordOrder?: number;
  /** How much more recall weighs than precision. @default 2 */
  beta?: number;
  /** @default false */
  lowercase?: boolean;
  /** White space counts among the characters. @default false */
  whitespace?: boolean;
  /** A score of each length and then their mean, as chrF++.py, NLTK and Moses do. @default false */
  epsilonSmoothing?: boolean;
}

const optionNames = ["characterOrder", "wordOrder", "beta", "lowercase", "whitespace", "epsilonSmoothing"];
type Settings = Required<ChrfOptions>;

function settingsOf(where: string, options: ChrfOptions): Settings {
  checkOptions(where, options, optionNames);
  const defaults = { characterOrder: 6, wordOrder: 0, beta: 2, lowercase: false };
  const settings = { ...defaults, whitespace: false, epsilonSmoothing: false, ...options };
  requireNumbers(where, settings as unknown as Record<"characterOrder" | "wordOrder" | "beta", number>, {
    characterOrder: numberRules.positiveInteger,
    wordOrder: numberRules.wholeNumber,
    beta: numberRules.positive,
  });
  return settings;
}

/**
 * The F score of runs of characters (and words) of predictions against references, from 0 to 100; sacrebleu's
 * `corpus_chrf`. Popovic 2015, aclanthology.org/W15-3049; chrF++: Popovic 2017, aclanthology.org/W17-4770.
 * @param references one text or several for each prediction
 * @throws DataError where lengths differ or there are no rows
 */
export function corpusChrf(predictions: ArrayLike<string>, references: References, options: ChrfOptions = {}): number {
  const settings = settingsOf("corpusChrf", options);
  const lists = referenceLists("corpusChrf", predictions, references);
  const rows = lists.map((list, i) => bestCounts(predictions[i], list, settings));
  const sum = rows[0].map((_, i) => addUp(rows.map((row) => row[i])));
  return scoreOf(sum, settings);
}

/** chrF of one text; sacrebleu's `sentence_chrf`. @throws DataError without a reference */
export function sentenceChrf(
  prediction: string,
  references: string | readonly string[],
  options: ChrfOptions = {},
): number {
  const settings = settingsOf("sentenceChrf", options);
  const [list] = referenceLists("sentenceChrf", [prediction], [references]);
  return scoreOf(bestCounts(prediction, list, settings), settings);
}

/** Runs of one length: of the prediction, of the reference, and of both. */
interface RunCounts {
  predicted: number;
  actual: number;
  common: number;
}

const addUp = (counts: readonly RunCounts[]): RunCounts => ({
  predicted: counts.reduce((sum, { predicted }) => sum + predicted, 0),
  actual: counts.reduce((sum, { actual }) => sum + actual, 0),
  common: counts.reduce((sum, { common }) => sum + common, 0),
});

/** The counts against the reference that gives the highest score. */
function bestCounts(prediction: string, references: readonly string[], settings: Settings): RunCounts[] {
  const runs = runsOf(prediction, settings);
  let best: { score: number; counts: RunCounts[] } | undefined;
  for (const reference of references) {
    const others = runsOf(reference, settings);
    const counts = runs.map((run, i) => {
      const actual = totalOf(others[i]);
      // what the reference has no runs of is not held against the prediction
      return { predicted: actual > 0 ? totalOf(run) : 0, actual, common: overlapOf(run, others[i]) };
    });
    const score = scoreOf(counts, settings);
    if (best === undefined || score > best.score) best = { score, counts };
  }
  return best?.counts as RunCounts[];
}

function runsOf(text: string, { characterOrder, wordOrder, lowercase, whitespace }: Settings): Counter[] {
  const cased = lowercase ? text.toLowerCase() : text;
  const characters = [...(whitespace ? cased : splitWords(cased).join(""))];
  const words = wordOrder > 0 ? wordsOf(cased) : [];
  return [
    ...Array.from({ length: characterOrder }, (_, i) => countOf(ngramsOf(characters, i + 1, ""))),
    ...Array.from({ length: wordOrder }, (_, i) => countOf(ngramsOf(words, i + 1, " "))),
  ];
}

/** Words with a mark of punctuation at the end, or else at the beginning, apart. */
function wordsOf(text: string): string[] {
  return splitWords(text).flatMap((word) => {
    const characters = [...word];
    if (characters.length === 1) return [word];
    const last = characters[characters.length - 1];
    if (asciiPunctuation.includes(last)) return [characters.slice(0, -1).join(""), last];
    if (asciiPunctuation.includes(characters[0])) return [characters[0], characters.slice(1).join("")];
    return [word];
  });
}

const EPSILON = 1e-16;

function scoreOf(counts: readonly RunCounts[], { beta, epsilonSmoothing }: Settings): number {
  const factor = beta ** 2;
  let [smoothed, precisions, recalls, orders] = [0, 0, 0, 0];
  for (const { predicted, actual, common } of counts) {
    const precision = predicted > 0 ? common / predicted : EPSILON;
    const recall = actual > 0 ? common / actual : EPSILON;
    const divisor = factor * precision + recall;
    smoothed += divisor > 0 ? ((1 + factor) * precision * recall) / divisor : EPSILON;
    if (predicted === 0 || actual === 0) continue;
    precisions += precision;
    recalls += recall;
    orders++;
  }
  if (epsilonSmoothing) return (100 * smoothed) / counts.length;
  if (precisions + recalls === 0) return 0;
  const [precision, recall] = [precisions / orders, recalls / orders];
  return (100 * (1 + factor) * precision * recall) / (factor * precision + recall);
}
