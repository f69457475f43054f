/**
 * A unigram language model of pieces, learned: from many pieces, again and again, how often each is expected in the
 * words (EM), then those go that the text loses least without. Kudo 2018, arXiv:1804.10959. Order and numbers are those
 * of Hugging Face tokenizers' UnigramTrainer.
 */
import { OptionError } from "../../base/index.ts";
import { PieceTrie } from "./lattice.ts";
import { type Pieces, seedPieces } from "./seeds.ts";
import { byCodePoints, pointsOf } from "./words.ts";

export interface UnigramOptions {
  /** Pieces in all. */
  vocabSize: number;
  /** These come first. */
  specialTokens: readonly string[];
  /** Stands for what no piece covers; added in front if it is not among the special tokens. @default none */
  unkToken?: string;
  /** Characters that have a piece whether they are seen or not. */
  initialAlphabet?: readonly string[];
  /** Part of the pieces that a round keeps. @default 0.75 */
  shrinkingFactor?: number;
  /** Steps of EM in a round. @default 2 */
  subIterations?: number;
  /** In characters. @default 16 */
  maxPieceLength?: number;
}

export interface LearnedPieces extends Pieces {
  /** Place of unkToken; null without one. */
  unkId: number | null;
}

/** Pieces expected less often go. */
const LEAST_EXPECTED = 0.5;
/** Between the scores of characters that the model lost. */
const STEP = 0.0001;

interface Word {
  points: number[];
  count: number;
}

/** @param words how often each word occurs @throws OptionError when there are more characters than pieces */
export function learnPieces(words: ReadonlyMap<string, number>, options: UnigramOptions): LearnedPieces {
  const { vocabSize, shrinkingFactor = 0.75, subIterations = 2, maxPieceLength = 16 } = options;
  const required = requiredCharacters(words, options);
  const sentences = [...words].map(([text, count]) => ({ points: pointsOf(text), count }));
  const seeds = seedPieces(words, maxPieceLength);
  let model: Pieces = { texts: ["<UNK>", ...seeds.texts], scores: [Number.NaN, ...seeds.scores] };
  const wanted = Math.floor((vocabSize * 11) / 10); // a few more: characters take the place of some
  for (;;) {
    for (let i = 0; i < subIterations; i++) model = maximize(model, expect(model, sentences));
    if (model.texts.length <= wanted) break;
    const size = model.texts.length;
    model = prune(model, sentences, Math.max(wanted, Math.floor(size * shrinkingFactor)));
    if (model.texts.length === size) break;
  }
  return finalize(model, required, options);
}

function requiredCharacters(
  words: ReadonlyMap<string, number>,
  { vocabSize, initialAlphabet = [] }: UnigramOptions,
): string[] {
  const required = new Set<string>(initialAlphabet);
  for (const word of words.keys()) for (const character of word) required.add(character);
  if (required.size <= vocabSize) return [...required].sort(byCodePoints);
  throw new OptionError({
    where: "tokenizer training",
    expected: `vocabSize of at least the ${required.size} characters of the text`,
    received: String(vocabSize),
    fix: "raise it, or normalize the text",
  });
}

const trieOf = ({ texts, scores }: Pieces): PieceTrie => new PieceTrie(texts.map(pointsOf), scores);

/** How often each piece is expected in the words. */
function expect(model: Pieces, words: readonly Word[]): Float64Array {
  const trie = trieOf(model);
  const expected = new Float64Array(model.texts.length);
  for (const { points, count } of words) trie.latticeOf(points).addExpected(count, expected);
  return expected;
}

/** Scores that fit the expected counts, by a prior that favours few pieces: hence digamma in place of the logarithm. */
function maximize({ texts }: Pieces, expected: Float64Array): Pieces {
  const kept: number[] = [];
  for (let id = 1; id < texts.length; id++) if (expected[id] >= LEAST_EXPECTED) kept.push(id);
  const total = digamma(kept.reduce((sum, id) => sum + expected[id], 0));
  return {
    texts: [texts[0], ...kept.map((id) => texts[id])],
    scores: [Number.NaN, ...kept.map((id) => digamma(expected[id]) - total)],
  };
}

function digamma(value: number): number {
  let x = value;
  let result = 0;
  for (; x < 7; x++) result -= 1 / x;
  x -= 0.5;
  const xx = 1 / x;
  const xx2 = xx * xx;
  const xx4 = xx2 * xx2;
  return result + Math.log(x) + (1 / 24) * xx2 - (7 / 960) * xx4 + (31 / 8064) * xx4 * xx2 - (127 / 30720) * xx4 * xx4;
}

/** Leaves out the pieces without which the words' likelihood falls least. */
function prune(model: Pieces, words: readonly Word[], size: number): Pieces {
  const { texts, scores } = model;
  const trie = trieOf(model);
  const frequencies = new Float64Array(texts.length);
  let all = 0;
  for (const { points, count } of words) {
    all += count;
    for (const id of trie.latticeOf(points).best()) frequencies[id] += count;
  }
  const total = frequencies.reduce((a, b) => a + b, 0);
  const logTotal = Math.log(total);
  const kept = [0];
  const candidates: { id: number; loss: number }[] = [];
  for (let id = 1; id < texts.length; id++) {
    const other = alternativeTo(trie, texts[id]);
    if (frequencies[id] === 0 && other !== "needed") continue;
    if (other === "needed" || other === "useless") kept.push(id);
    else {
      const logTotalWithout = Math.log(total + frequencies[id] * (texts.length - 1));
      const without = other.reduce(
        (sum, part) => sum + Math.log(frequencies[part] + frequencies[id]) - logTotalWithout,
        0,
      );
      candidates.push({ id, loss: (frequencies[id] / all) * (Math.log(frequencies[id]) - logTotal - without) });
    }
  }
  candidates.sort((a, b) => b.loss - a.loss);
  for (const { id } of candidates) {
    if (kept.length >= size) break;
    kept.push(id);
  }
  return { texts: kept.map((id) => texts[id]), scores: kept.map((id) => scores[id]) };
}

/**
 * How a piece's own text is written without it: "needed" if there is no other way, "useless" if another way is better.
 */
function alternativeTo(trie: PieceTrie, text: string): number[] | "needed" | "useless" {
  const [best, second] = trie.latticeOf(pointsOf(text)).bestTwo();
  if (!second) return "needed";
  return best.length >= 2 ? "useless" : second;
}

/** The special tokens, then all characters of the text and the best pieces of the model, by their scores. */
function finalize(
  model: Pieces,
  required: readonly string[],
  { vocabSize, specialTokens, unkToken }: UnigramOptions,
): LearnedPieces {
  const scoreOf = new Map(model.texts.map((text, id) => [text, model.scores[id]]));
  scoreOf.delete(model.texts[0]);
  const least = model.scores.slice(1).reduce((low, score) => Math.min(low, score), Number.POSITIVE_INFINITY);
  let lost = 0;
  const pieces = new Map(required.map((character) => [character, scoreOf.get(character) ?? least + lost++ * STEP]));
  const isAdded = unkToken !== undefined && !specialTokens.includes(unkToken);
  const room = vocabSize - specialTokens.length - (isAdded ? 1 : 0);
  if (pieces.size !== room) {
    for (const [text, score] of scoreOf) {
      if (pieces.has(text)) continue;
      pieces.set(text, score);
      if (pieces.size === room) break;
    }
  }
  const first = [...(isAdded ? [unkToken] : []), ...specialTokens];
  const ordered = [...pieces].sort(([, a], [, b]) => b - a);
  return {
    texts: [...first, ...ordered.map(([text]) => text)],
    scores: [...first.map(() => 0), ...ordered.map(([, score]) => score)],
    unkId: unkToken === undefined ? null : first.indexOf(unkToken),
  };
}
