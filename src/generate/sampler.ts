import { checkOptions, OptionError } from "../ir/index.ts";
import { hash32 } from "../ops/index.ts";

export interface SamplingOptions {
  /** 0 takes the likeliest token; higher is more varied. @default 1 */
  temperature?: number;
  /** Only the k likeliest tokens may be taken. @default all */
  topK?: number;
  /** Only the likeliest tokens whose probabilities add up to p may be taken. @default 1 */
  topP?: number;
  /** The same seed gives the same text. @default 0 */
  seed?: number;
}

export const samplingOptionNames = ["temperature", "topK", "topP", "seed"] as const;

/** Picks the next token from logits. Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2019, arXiv:1904.09751 (top-p). */
export class Sampler {
  private readonly temperature: number;
  private readonly topK: number;
  private readonly topP: number;
  private readonly seed: number;
  private drawn = 0;

  /** @throws OptionError for unknown options and values out of range */
  constructor(options: SamplingOptions = {}) {
    checkOptions("sampling", options, samplingOptionNames);
    const { temperature = 1, topK = Number.POSITIVE_INFINITY, topP = 1, seed = 0 } = options;
    const require = (isFine: boolean, expected: string, received: number) => {
      if (!isFine) throw new OptionError({ where: "sampling", expected, received: String(received), fix: "choose a value in the range" });
    };
    require(temperature >= 0, "temperature of at least 0", temperature);
    require(topK >= 1, "topK of at least 1", topK);
    require(topP > 0 && topP <= 1, "topP above 0 and at most 1", topP);
    this.temperature = temperature;
    this.topK = topK;
    this.topP = topP;
    this.seed = seed;
  }

  /** Index of the token taken. */
  pick(logits: Float32Array): number {
    if (this.temperature === 0 || this.topK === 1) return indexOfLargest(logits);
    const ids = this.candidates(logits);
    const largest = logits[indexOfLargest(logits)];
    const weights = new Float64Array(ids.length); // plain loops: this runs over the vocabulary for every token
    let total = 0;
    for (let i = 0; i < ids.length; i++) {
      weights[i] = Math.exp((logits[ids[i]] - largest) / this.temperature);
      total += weights[i];
    }
    let count = ids.length;
    if (this.topP < 1) {
      // candidates are in order of likelihood here
      const wanted = this.topP * total;
      total = 0;
      for (count = 0; count < ids.length && total < wanted; count++) total += weights[count];
    }
    let left = this.uniform() * total;
    for (let i = 0; i < count; i++) {
      left -= weights[i];
      if (left < 0) return ids[i];
    }
    return ids[count - 1]; // rounding can leave a hair
  }

  /** Ids that may be taken: the k likeliest, and sorted from the likeliest down when top-p needs it. */
  private candidates(logits: Float32Array): Uint32Array {
    let ids = new Uint32Array(logits.length);
    for (let id = 0; id < ids.length; id++) ids[id] = id;
    if (this.topK < logits.length) {
      const least = logits.slice().sort()[logits.length - this.topK]; // sorting plain numbers is much faster than sorting ids
      const above = ids.filter((id) => logits[id] > least);
      const equal = ids.filter((id) => logits[id] === least).subarray(0, this.topK - above.length);
      ids = Uint32Array.of(...above, ...equal);
    }
    return this.topP < 1 ? ids.sort((a, b) => logits[b] - logits[a] || a - b) : ids;
  }

  /** Counter-based: draw number n depends only on the seed and n. */
  private uniform(): number {
    const n = this.drawn++;
    return hash32((hash32((Math.imul(n, 0x9e3779b9) ^ hash32(this.seed >>> 0)) >>> 0) + this.seed) >>> 0) / 2 ** 32;
  }
}

/** The first largest, as numpy and PyTorch on CPU. */
export function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
