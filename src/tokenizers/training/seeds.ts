/** The pieces that training of a unigram model begins with. Kudo 2018, arXiv:1804.10959, section 3.2. */
import { byCodePoints, characterCounts, pointsOf } from "./words.ts";

export interface Pieces {
  texts: string[];
  /** Natural logarithms of probabilities. */
  scores: number[];
}

/** Parts of words are looked for up to so many pieces. */
const MAX_SEEDS = 1_000_000;
const END = 0;

/**
 * All characters, by how often they occur, then the parts of words that occur several times and go on in several ways,
 * by frequency times length.
 */
export function seedPieces(words: ReadonlyMap<string, number>, maxPieceLength: number): Pieces {
  const pieces = [...characterCounts(words)].sort(([a, m], [b, n]) => n - m || byCodePoints(b, a));
  for (const part of partsOf([...words.keys()], maxPieceLength)) {
    if (pieces.length >= MAX_SEEDS) break;
    pieces.push(part);
  }
  const total = Math.log(pieces.reduce((sum, [, score]) => sum + score, 0));
  return { texts: pieces.map(([text]) => text), scores: pieces.map(([, score]) => Math.log(score) - total) };
}

/**
 * The inner nodes of the words' suffix tree, read from their suffixes in order: each run of suffixes with a common
 * beginning, that go on in two ways. -> text and frequency times length, the largest first
 */
function partsOf(words: readonly string[], maxLength: number): [string, number][] {
  const points = Int32Array.from(words.flatMap((word) => [...pointsOf(word), END]));
  const longest = maxLength + 1; // one more shows how a part goes on
  const compare = (a: number, b: number): number => {
    for (let i = 0; i < longest; i++) {
      const difference = points[a + i] - points[b + i];
      if (difference !== 0) return difference;
      if (points[a + i] === END) return 0;
    }
    return 0;
  };
  const suffixes = Int32Array.from(points.keys())
    .filter((at) => points[at] !== END)
    .sort(compare);
  const parts: [string, number][] = [];
  const take = (start: number, length: number, count: number) => {
    if (length < 2 || length > maxLength) return;
    parts.push([String.fromCodePoint(...points.subarray(start, start + length)), count * length]);
  };
  // parts that are open: their lengths grow from the bottom of the stack to its top
  const open: { length: number; first: number }[] = [];
  for (let i = 1; i <= suffixes.length; i++) {
    const common = i < suffixes.length ? commonLength(points, suffixes[i - 1], suffixes[i], longest) : 0;
    let first = i - 1;
    while (open.length > 0 && open[open.length - 1].length > common) {
      const closed = open.pop() as { length: number; first: number };
      first = closed.first;
      if (points[suffixes[i - 1] + closed.length - 1] !== END) take(suffixes[i - 1], closed.length, i - first);
    }
    if (common > 0 && (open.length === 0 || open[open.length - 1].length < common))
      open.push({ length: common, first });
  }
  return parts.sort(([a, m], [b, n]) => n - m || byCodePoints(b, a));
}

function commonLength(points: Int32Array, a: number, b: number, longest: number): number {
  let length = 0;
  while (length < longest && points[a + length] === points[b + length]) {
    length++;
    if (points[a + length - 1] === END) break;
  }
  return length;
}
