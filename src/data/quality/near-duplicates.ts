import { MinHasher, type MinHashOptions } from "./minhash.ts";

/** Texts with the same band that one is compared with, the latest first: pages of one form may be thousands. */
const MOST_COMPARED = 32;

/** Texts that are nearly the same. */
export interface NearDuplicates {
  /** For each text the number of the first of its group; its own where it is the first. */
  firstOf: Uint32Array;
  /** Texts that are not the first of their group. */
  duplicates: number;
}

/** Signatures of all texts in one array that grows. */
class Signatures {
  private values = new Uint32Array(1 << 16);
  private readonly width: number;
  /** Whether a text has words. */
  readonly hasWords: boolean[] = [];

  constructor(width: number) {
    this.width = width;
  }

  add(signature: Uint32Array | undefined): void {
    const at = this.hasWords.length * this.width;
    if (at + this.width > this.values.length) {
      const larger = new Uint32Array(2 * this.values.length);
      larger.set(this.values);
      this.values = larger;
    }
    if (signature) this.values.set(signature, at);
    this.hasWords.push(signature !== undefined);
  }

  /** A band of a text as one number of 53 bits. */
  band(text: number, start: number, rows: number): number {
    let [high, low] = [0x9e3779b1, 0x85ebca6b];
    const at = text * this.width + start;
    for (let i = at; i < at + rows; i++) {
      high = Math.imul(high ^ this.values[i], 0x01000193);
      low = Math.imul(low ^ this.values[i], 0xc2b2ae35);
      low ^= low >>> 15;
    }
    return (high >>> 11) * 2 ** 32 + (low >>> 0);
  }

  /** Share of values in which two texts agree: an estimate of their Jaccard similarity. */
  similarity(a: number, b: number): number {
    let equal = 0;
    for (let i = 0; i < this.width; i++)
      if (this.values[a * this.width + i] === this.values[b * this.width + i]) equal++;
    return equal / this.width;
  }
}

/**
 * Groups of texts whose shingles are alike, by MinHash and bands (LSH): texts that share a band and agree in a share of
 * `threshold` of their signatures are of one group, and so are those that are joined by others. Takes 4 bytes for each
 * permutation and text. Lee et al. 2021, arXiv:2107.06499, section 4.2.
 * @throws OptionError for wrong options
 */
export async function findNearDuplicates(
  texts: Iterable<string> | AsyncIterable<string>,
  options: MinHashOptions = {},
): Promise<NearDuplicates> {
  const hasher = new MinHasher(options);
  const { bands, rows, threshold, permutations } = hasher.parameters;
  const signatures = new Signatures(permutations);
  for await (const text of texts) signatures.add(hasher.signature(text));
  const count = signatures.hasWords.length;
  const firstOf = Uint32Array.from({ length: count }, (_, i) => i);
  const rootOf = (text: number): number => {
    let root = text;
    while (firstOf[root] !== root) root = firstOf[root];
    for (let at = text; firstOf[at] !== root; ) [at, firstOf[at]] = [firstOf[at], root];
    return root;
  };
  for (let band = 0; band < bands; band++) {
    const latest = new Map<number, number>();
    const before = new Int32Array(count).fill(-1); // the text with the same band before each
    for (let text = 0; text < count; text++) {
      if (!signatures.hasWords[text]) continue;
      const key = signatures.band(text, band * rows, rows);
      const last = latest.get(key);
      latest.set(key, text);
      if (last === undefined) continue;
      before[text] = last;
      let compared = 0;
      for (let other = last; other >= 0 && compared < MOST_COMPARED; other = before[other], compared++) {
        const [a, b] = [rootOf(text), rootOf(other)];
        if (a === b || signatures.similarity(text, other) < threshold) continue;
        firstOf[Math.max(a, b)] = Math.min(a, b);
      }
    }
  }
  let duplicates = 0;
  for (let text = 0; text < count; text++) {
    firstOf[text] = rootOf(text);
    if (firstOf[text] !== text) duplicates++;
  }
  return { firstOf, duplicates };
}
