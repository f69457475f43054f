import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";
import { type BleuTokenizer, bleuTokenizers } from "./bleu-tokenizers.ts";
import { requireChoice } from "./checks.ts";
import { type Counter, countOf, ngramsOf, overlapOf, totalOf } from "./counter.ts";
import { splitWords, stripEndSpace } from "./python-text.ts";
import { type References, referenceLists } from "./references.ts";

/** How BLEU is computed; the defaults are sacrebleu's. */
export interface BleuOptions {
  /** How texts become words; "zh" for Chinese. @default "13a" */
  tokenizer?: BleuTokenizer;
  /** @default false */
  lowercase?: boolean;
  /** What precisions of nothing become. Chen and Cherry 2014, aclanthology.org/W14-3346. @default "exp" */
  smoothing?: "exp" | "floor" | "add-k" | "none";
  /** Of "floor" and "add-k". @default 0.1 and 1 */
  smoothingValue?: number;
  /** The longest runs of words. @default 4 */
  maxOrder?: number;
  /** Leave out lengths that the texts have no runs of. @default false of a corpus, true of a sentence */
  effectiveOrder?: boolean;
}

/** BLEU, and what it is made of. */
export interface BleuScore {
  /** From 0 to 100. */
  score: number;
  /** Of each length of runs, from 0 to 100, after smoothing. */
  precisions: readonly number[];
  /** Runs that a reference has too. */
  counts: readonly number[];
  /** Runs of the predictions. */
  totals: readonly number[];
  brevityPenalty: number;
  /** Words of the predictions. */
  predictionLength: number;
  /** Words of the references that are nearest in length. */
  referenceLength: number;
}

const optionNames = ["tokenizer", "lowercase", "smoothing", "smoothingValue", "maxOrder", "effectiveOrder"];
type Settings = Required<Omit<BleuOptions, "smoothingValue">> & { smoothingValue: number };

function settingsOf(where: string, options: BleuOptions, effectiveOrder: boolean): Settings {
  checkOptions(where, options, optionNames);
  const { smoothing = "exp", tokenizer = "13a", maxOrder = 4 } = options;
  requireChoice(where, "smoothing", smoothing, ["exp", "floor", "add-k", "none"]);
  requireChoice(where, "tokenizer", tokenizer, ["13a", "zh", "char", "none"]);
  const { smoothingValue = smoothing === "floor" ? 0.1 : 1 } = options;
  const rules = { maxOrder: numberRules.positiveInteger, smoothingValue: numberRules.notNegative };
  requireNumbers(where, { maxOrder, smoothingValue }, rules);
  return { lowercase: false, effectiveOrder, ...options, smoothing, tokenizer, maxOrder, smoothingValue };
}

/**
 * BLEU of a corpus: how much of the runs of one to four words of the predictions the references have, with a penalty
 * for short predictions. sacrebleu's `corpus_bleu`. Papineni et al. 2002, aclanthology.org/P02-1040; Post 2018,
 * arXiv:1804.08771.
 * @param references one text or several for each prediction
 * @throws DataError where lengths differ or there are no rows
 *
 * @example
 * corpusBleu(["the whale swam on and on"], ["the whale swam on and on"]).brevityPenalty; // 1
 */
export function corpusBleu(
  predictions: ArrayLike<string>,
  references: References,
  options: BleuOptions = {},
): BleuScore {
  const settings = settingsOf("corpusBleu", options, false);
  const lists = referenceLists("corpusBleu", predictions, references);
  const sum = emptyCounts(settings.maxOrder);
  for (const [i, list] of lists.entries()) addCounts(sum, countsOf(predictions[i], list, settings));
  return scoreOf(sum, settings);
}

/** BLEU of one text; sacrebleu's `sentence_bleu`. @throws DataError without a reference */
export function sentenceBleu(
  prediction: string,
  references: string | readonly string[],
  options: BleuOptions = {},
): BleuScore {
  const settings = settingsOf("sentenceBleu", options, true);
  const [list] = referenceLists("sentenceBleu", [prediction], [references]);
  return scoreOf(countsOf(prediction, list, settings), settings);
}

/** What is summed over a corpus. */
interface BleuCounts {
  predictionLength: number;
  referenceLength: number;
  counts: number[];
  totals: number[];
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0);
const emptyCounts = (order: number): BleuCounts => ({
  predictionLength: 0,
  referenceLength: 0,
  counts: zeros(order),
  totals: zeros(order),
});

function addCounts(sum: BleuCounts, one: BleuCounts): void {
  sum.predictionLength += one.predictionLength;
  sum.referenceLength += one.referenceLength;
  for (let n = 0; n < sum.counts.length; n++) {
    sum.counts[n] += one.counts[n];
    sum.totals[n] += one.totals[n];
  }
}

function countsOf(prediction: string, references: readonly string[], settings: Settings): BleuCounts {
  const { tokenizer, lowercase, maxOrder } = settings;
  const wordsOf = (text: string) =>
    splitWords(bleuTokenizers[tokenizer](stripEndSpace(lowercase ? text.toLowerCase() : text)));
  const words = wordsOf(prediction);
  const others = references.map(wordsOf);
  const result = emptyCounts(maxOrder);
  result.predictionLength = words.length;
  result.referenceLength = nearestLength(words.length, others);
  for (let n = 1; n <= maxOrder; n++) {
    const runs = countOf(ngramsOf(words, n, " "));
    const most: Counter = new Map();
    for (const other of others)
      for (const [run, count] of countOf(ngramsOf(other, n, " "))) most.set(run, Math.max(count, most.get(run) ?? 0));
    result.totals[n - 1] = totalOf(runs);
    result.counts[n - 1] = overlapOf(runs, most);
  }
  return result;
}

/** The length of a reference that is nearest to that of the prediction; of two the shorter. */
function nearestLength(length: number, references: readonly (readonly string[])[]): number {
  const distance = (other: number) => Math.abs(other - length);
  return references
    .map((words) => words.length)
    .reduce((best, other) => {
      const isNearer = distance(other) < distance(best);
      return isNearer || (distance(other) === distance(best) && other < best) ? other : best;
    });
}

/** What stands for the logarithm of 0. */
const LOG_OF_ZERO = -9999999999;

function scoreOf({ counts, totals, predictionLength, referenceLength }: BleuCounts, settings: Settings): BleuScore {
  const { smoothing, smoothingValue, maxOrder, effectiveOrder } = settings;
  const isShort = predictionLength < referenceLength;
  const penalty = predictionLength > 0 ? Math.exp(1 - referenceLength / predictionLength) : 0;
  const brevityPenalty = isShort ? penalty : 1;
  const precisions = zeros(maxOrder);
  const parts = { precisions, counts, totals, brevityPenalty, predictionLength, referenceLength };
  if (counts.every((count) => count === 0)) return { score: 0, ...parts };
  let order = maxOrder;
  let halves = 1;
  for (let n = 0; n < maxOrder; n++) {
    const extra = smoothing === "add-k" && n > 0 ? smoothingValue : 0;
    const [count, total] = [counts[n] + extra, totals[n] + extra];
    if (total === 0) break;
    if (effectiveOrder) order = n + 1;
    if (count > 0) precisions[n] = (100 * count) / total;
    else if (smoothing === "floor") precisions[n] = (100 * smoothingValue) / total;
    else if (smoothing === "exp") {
      halves *= 2;
      precisions[n] = 100 / (halves * total);
    }
  }
  const logs = precisions.slice(0, order).map((value) => (value === 0 ? LOG_OF_ZERO : Math.log(value)));
  const score = brevityPenalty * Math.exp(logs.reduce((sum, value) => sum + value, 0) / order);
  return { score, ...parts };
}
