import { checkOptions } from "../base/index.ts";
import { countOf, ngramsOf, overlapOf } from "./counter.ts";
import { lengthsTable } from "./longest-common.ts";
import { type References, referenceLists } from "./references.ts";

/** How texts become words. */
export interface RougeOptions {
  /**
   * "words": runs of the letters a to z and digits, in small letters, as rouge-score without a stemmer; "characters":
   * each character but white space, for Chinese; or a function of your own. @default "words"
   */
  tokenizer?: "words" | "characters" | ((text: string) => readonly string[]);
}

/** How much of a reference a text has, and the other way round. */
export interface RougeScore {
  precision: number;
  recall: number;
  f1: number;
}

/** The scores of ROUGE: runs of one and two words, and longest common subsequences of texts and of their lines. */
export interface RougeScores {
  rouge1: RougeScore;
  rouge2: RougeScore;
  rougeL: RougeScore;
  /** Of each line of the reference against all lines of the text. */
  rougeLsum: RougeScore;
}

type Words = readonly string[];
const tokenizers = {
  words: (text: string): Words => text.toLowerCase().match(/[a-z0-9]+/g) ?? [],
  characters: (text: string): Words => [...text.replace(/\s+/gu, "")],
};

/**
 * ROUGE of one text; of several references the best for each score. The scores of rouge-score. Lin 2004,
 * aclanthology.org/W04-1013. @throws DataError without a reference
 */
export function rouge(
  prediction: string,
  references: string | readonly string[],
  options: RougeOptions = {},
): RougeScores {
  checkOptions("rouge", options, ["tokenizer"]);
  const { tokenizer = "words" } = options;
  const tokenize = typeof tokenizer === "string" ? tokenizers[tokenizer] : tokenizer;
  const [list] = referenceLists("rouge", [prediction], [references]);
  const scores = list.map((reference) => scoresOf(prediction, reference, tokenize));
  const best = (name: keyof RougeScores) =>
    scores.map((score) => score[name]).reduce((one, other) => (other.f1 > one.f1 ? other : one));
  return { rouge1: best("rouge1"), rouge2: best("rouge2"), rougeL: best("rougeL"), rougeLsum: best("rougeLsum") };
}

/** The means of ROUGE over texts. @throws DataError where lengths differ or there are no rows */
export function corpusRouge(
  predictions: ArrayLike<string>,
  references: References,
  options: RougeOptions = {},
): RougeScores {
  const lists = referenceLists("corpusRouge", predictions, references);
  const rows = lists.map((list, i) => rouge(predictions[i], list, options));
  const mean = (name: keyof RougeScores): RougeScore => {
    const of = (part: keyof RougeScore) => rows.reduce((sum, row) => sum + row[name][part], 0) / rows.length;
    return { precision: of("precision"), recall: of("recall"), f1: of("f1") };
  };
  return { rouge1: mean("rouge1"), rouge2: mean("rouge2"), rougeL: mean("rougeL"), rougeLsum: mean("rougeLsum") };
}

function scoresOf(prediction: string, reference: string, tokenize: (text: string) => Words): RougeScores {
  const [words, others] = [tokenize(prediction), tokenize(reference)];
  const linesOf = (text: string) => text.split("\n").filter(Boolean).map(tokenize);
  const common = lengthsTable(others, words)[others.length][words.length];
  return {
    rouge1: runScore(words, others, 1),
    rouge2: runScore(words, others, 2),
    rougeL: scoreOf(common, words.length, others.length),
    rougeLsum: linesScore(linesOf(prediction), linesOf(reference)),
  };
}

function scoreOf(common: number, predicted: number, actual: number): RougeScore {
  const precision = common / Math.max(predicted, 1);
  const recall = common / Math.max(actual, 1);
  return { precision, recall, f1: precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0 };
}

/** Between words in a run: no tokenizer gives it. */
const SEPARATOR = "\u0000";

function runScore(words: Words, others: Words, n: number): RougeScore {
  const [runs, otherRuns] = [ngramsOf(words, n, SEPARATOR), ngramsOf(others, n, SEPARATOR)];
  return scoreOf(overlapOf(countOf(runs), countOf(otherRuns)), runs.length, otherRuns.length);
}

/** Words of a reference's line that some line of the text has in the same order, each counted once. */
function linesScore(lines: readonly Words[], others: readonly Words[]): RougeScore {
  const counts = countOf(lines.flat());
  const otherCounts = countOf(others.flat());
  let hits = 0;
  for (const other of others) {
    const places = new Set(lines.flatMap((line) => commonPlaces(other, line)));
    for (const place of [...places].sort((a, b) => a - b)) {
      const word = other[place];
      const [left, otherLeft] = [counts.get(word) ?? 0, otherCounts.get(word) ?? 0];
      if (left === 0 || otherLeft === 0) continue;
      hits++;
      counts.set(word, left - 1);
      otherCounts.set(word, otherLeft - 1);
    }
  }
  return scoreOf(hits, lines.flat().length, others.flat().length);
}

/** Where in the first list a longest common subsequence is. */
function commonPlaces(words: Words, others: Words): number[] {
  const table = lengthsTable(words, others);
  const places: number[] = [];
  let [i, j] = [words.length, others.length];
  while (i > 0 && j > 0) {
    if (words[i - 1] === others[j - 1]) {
      places.push(i - 1);
      i--;
      j--;
    } else if (table[i][j - 1] > table[i - 1][j]) j--;
    else i--;
  }
  return places;
}
