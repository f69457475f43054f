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
    const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let candidates = Array.from(logits, (logit, id) => ({ id, weight: Math.exp((logit - largest) / this.temperature) }));
    if (this.topK < candidates.length || this.topP < 1) {
      candidates.sort((a, b) => b.weight - a.weight || a.id - b.id);
      candidates = candidates.slice(0, Math.min(this.topK, candidates.length));
    }
    let total = candidates.reduce((sum, { weight }) => sum + weight, 0);
    if (this.topP < 1) {
      let kept = 0;
      let mass = 0;
      while (kept < candidates.length && mass < this.topP * total) mass += candidates[kept++].weight;
      candidates = candidates.slice(0, kept);
      total = mass;
    }
    let left = this.uniform() * total;
    for (const { id, weight } of candidates) {
      left -= weight;
      if (left < 0) return id;
    }
    return candidates[candidates.length - 1].id; // rounding can leave a hair
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
