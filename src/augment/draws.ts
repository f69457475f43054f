import { numberRules, requireNumbers } from "../base/index.ts";
import { foldKeyOnHost, uniformOnHost } from "../ops/index.ts";

/** What the keys of augmentation begin with, so that they are not those of weights or dropout of the same seed. */
const ROOT: readonly [number, number] = [0x61756767, 0x6d656e74]; // "augg", "ment"

/**
 * Random numbers on the host, one after another, as a pure function of a key: the same key gives the same numbers in
 * whichever order samples are prepared, by whichever worker, and after a run was resumed.
 */
export class Draws {
  private readonly key: readonly [number, number];
  private count = 0;

  /** Two 32-bit integers. `drawsOf` makes them of a seed. */
  constructor(key: readonly [number, number]) {
    this.key = key;
  }

  /** The numbers of part `index`, from their beginning: unrelated to these, and to those of other parts. */
  fold(index: number): Draws {
    return new Draws(foldKeyOnHost(this.key, index));
  }

  /** In [low, high). @default [0, 1) */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * uniformOnHost(this.key, this.count++);
  }

  /** One of 0 .. limit - 1. */
  integer(limit: number): number {
    return Math.min(limit - 1, Math.floor(this.uniform() * limit));
  }

  /** True with a probability. */
  isLikely(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** One of a list. */
  choice<T>(list: readonly T[]): T {
    return list[this.integer(list.length)];
  }

  /** Standard normal, by Box and Muller 1958. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform())); // 1 - u is never 0
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A list in another order, each order as likely as the others (Fisher and Yates). */
  shuffled<T>(list: Iterable<T>): T[] {
    const items = [...list];
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }

  /** So many different numbers of 0 .. limit - 1, in no order. */
  sample(limit: number, count: number): number[] {
    return this.shuffled(Array.from({ length: limit }, (_, i) => i)).slice(0, count);
  }

  /**
   * Of the beta distribution with both parameters `alpha`, in [0, 1]: a quotient of gamma variates, compared by their
   * logarithms, for those of a small alpha are too small for a number.
   */
  beta(alpha: number): number {
    const [a, b] = [this.logGamma(alpha), this.logGamma(alpha)];
    return 1 / (1 + Math.exp(b - a));
  }

  /** The logarithm of a gamma variate of scale 1. Marsaglia and Tsang 2000, doi:10.1145/358407.358414. */
  private logGamma(shape: number): number {
    if (shape < 1) return this.logGamma(shape + 1) + Math.log(1 - this.uniform()) / shape;
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v <= 0) continue;
      if (Math.log(1 - this.uniform()) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return Math.log(d * v);
    }
  }
}

/**
 * The random numbers of a sample: of a seed and of one or more numbers that say which sample it is, such as what
 * `batchesOf` hands to `collate`, or epoch and row.
 * @throws OptionError for numbers that are not integers
 *
 * @example
 * const first = drawsOf(7, 0, 12).uniform();
 * drawsOf(7, 0, 12).uniform() - first; // 0
 */
export function drawsOf(seed: number, ...sample: readonly number[]): Draws {
  for (const number of [seed, ...sample]) requireNumbers("drawsOf", { number }, { number: numberRules.integer });
  // numbers of more than 32 bits count in two parts, so that a long run does not come back to its beginning
  const parts = [seed, ...sample].flatMap((number) => [number | 0, Math.floor(number / 2 ** 32) | 0]);
  return new Draws(parts.reduce<readonly [number, number]>((key, part) => foldKeyOnHost(key, part), ROOT));
}
