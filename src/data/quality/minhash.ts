/** MinHash signatures, and the bands by which near duplicates meet. Broder 1997; Indyk and Motwani 1998. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { wordsOf } from "./words.ts";

/** How near duplicates are looked for. */
export interface MinHashOptions {
  /** Texts whose shingles have a Jaccard similarity of at least this are near duplicates. @default 0.7 */
  threshold?: number;
  /** Values of a signature. @default 128 */
  permutations?: number;
  /** Bands and the values in each. @default those that err least at the threshold, as datasketch chooses them */
  bands?: number;
  rows?: number;
  /** Words of a shingle. @default 5 */
  shingleWords?: number;
  /** Of the permutations. @default 1 */
  seed?: number;
}

/** All numbers of `MinHashOptions`. */
export type MinHashParameters = Readonly<Required<MinHashOptions>>;

/**
 * The options with what follows from them.
 * @throws OptionError for values that cannot be, or bands that need more values than there are
 */
export function minHashParameters(options: MinHashOptions = {}): MinHashParameters {
  const where = "MinHash";
  checkOptions(where, options, ["threshold", "permutations", "bands", "rows", "shingleWords", "seed"]);
  const { threshold = 0.7, permutations = 128, shingleWords = 5, seed = 1 } = options;
  const { positiveInteger, integer, innerShare } = numberRules;
  requireNumbers(
    where,
    { threshold, permutations, shingleWords, seed },
    { threshold: innerShare, permutations: positiveInteger, shingleWords: positiveInteger, seed: integer },
  );
  const best =
    options.bands === undefined || options.rows === undefined ? bestBands(threshold, permutations) : undefined;
  const { bands = best?.bands as number, rows = best?.rows as number } = options;
  requireNumbers(where, { bands, rows }, { bands: positiveInteger, rows: positiveInteger });
  if (bands * rows > permutations)
    throw new OptionError({
      where,
      expected: `bands times rows of at most ${permutations} permutations`,
      received: `${bands} times ${rows}`,
      fix: "take fewer of them, or more permutations",
    });
  return { threshold, permutations, bands, rows, shingleWords, seed };
}

/** Steps of the integrals below. */
const STEPS = 1000;

/**
 * Bands and rows whose chance to join texts below the threshold, and to miss those above it, is the least together. A
 * band of r rows is the same for a similarity s with chance s^r. Leskovec et al., "Mining of Massive Datasets", 3.4.
 */
function bestBands(threshold: number, permutations: number): { bands: number; rows: number } {
  let best = { bands: 1, rows: 1, error: Number.POSITIVE_INFINITY };
  const integral = (from: number, to: number, value: (s: number) => number): number => {
    let sum = 0;
    const step = (to - from) / STEPS;
    for (let i = 0; i < STEPS; i++) sum += value(from + (i + 0.5) * step);
    return sum * step;
  };
  for (let bands = 1; bands <= permutations; bands++) {
    for (let rows = 1; rows * bands <= permutations; rows++) {
      const missed = (s: number) => (1 - s ** rows) ** bands;
      const error = (integral(0, threshold, (s) => 1 - missed(s)) + integral(threshold, 1, missed)) / 2;
      if (error < best.error) best = { bands, rows, error };
    }
  }
  return { bands: best.bands, rows: best.rows };
}

/** Every bit of a number in every bit of the result: the last steps of MurmurHash3. */
function mixed(x: number): number {
  const once = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return (twice ^ (twice >>> 16)) >>> 0;
}

function hashOfWord(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

/** Hashes of the shingles of a text, each once; a text with fewer words than a shingle is one. */
export function shingleHashes(text: string, shingleWords: number): Uint32Array {
  const hashes = wordsOf(text).map(hashOfWord);
  const shingles = new Set<number>();
  const last = Math.max(0, hashes.length - shingleWords);
  for (let start = 0; start <= last && hashes.length > 0; start++) {
    let hash = 0;
    const end = Math.min(hashes.length, start + shingleWords);
    for (let i = start; i < end; i++) hash = mixed(Math.imul(hash, 31) + hashes[i]);
    shingles.add(hash);
  }
  return Uint32Array.from(shingles);
}

/** Makes signatures of texts. */
export class MinHasher {
  readonly parameters: MinHashParameters;
  private readonly factors: Uint32Array;
  private readonly shifts: Uint32Array;

  constructor(options: MinHashOptions = {}) {
    this.parameters = minHashParameters(options);
    const { permutations, seed } = this.parameters;
    this.factors = Uint32Array.from({ length: permutations }, (_, i) => mixed(Math.imul(seed, 0x9e3779b1) + 2 * i) | 1);
    this.shifts = Uint32Array.from({ length: permutations }, (_, i) => mixed(Math.imul(seed, 0x9e3779b1) + 2 * i + 1));
  }

  /**
   * The least value of each permutation over the shingles of a text; undefined for a text without words. Two texts
   * agree in a share of the values that is their Jaccard similarity, on average.
   */
  signature(text: string): Uint32Array | undefined {
    const shingles = shingleHashes(text, this.parameters.shingleWords);
    if (shingles.length === 0) return undefined;
    const { factors, shifts } = this;
    const least = new Uint32Array(factors.length).fill(0xffffffff);
    for (let i = 0; i < factors.length; i++) {
      const [factor, shift] = [factors[i], shifts[i]];
      let smallest = 0xffffffff;
      for (let j = 0; j < shingles.length; j++) {
        // a product alone keeps the order of neighbours: its low bits decide little, so the high ones are mixed in
        const product = Math.imul(shingles[j] ^ shift, factor);
        const value = (product ^ (product >>> 15)) >>> 0;
        if (value < smallest) smallest = value;
      }
      least[i] = smallest;
    }
    return least;
  }
}
