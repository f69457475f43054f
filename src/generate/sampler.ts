import { checkOptions, OptionError } from "../base/index.ts";
import { foldKeyOnHost, uniformOnHost } from "../ops/index.ts";
import type { TokenDistribution } from "./speculation/index.ts";
import {
  Candidates,
  firstTopK,
  type LogitsWarper,
  requireLimits,
  type SamplingLimits,
  samplingLimitNames,
  warpersOf,
} from "./warpers/index.ts";

export interface SamplingOptions extends SamplingLimits {
  /** 0 takes the likeliest token; higher is more varied. @default 1 */
  temperature?: number;
  /** A whole number; the same seed gives the same text. @default another each time */
  seed?: number;
  /** What narrows down the tokens further, after the limits. @default nothing */
  warpers?: readonly LogitsWarper[];
}

/** A seed that nobody chose. */
export const freshSeed = (): number => Math.floor(Math.random() * 2 ** 32);

/** Of all texts, whose tokens are picked one after another: it grows to 20 bytes for each token of a vocabulary. */
const candidates = new Candidates();

/** Picks the next token from logits, for one text. */
export class Sampler {
  /** What was given, or drawn: it brings the same text again. */
  readonly seed: number;
  private readonly warpers: readonly LogitsWarper[];
  private readonly isGreedy: boolean;
  private readonly topK: number;
  private readonly key: readonly [number, number];
  /** Draws a number from 0 to below 1. */
  readonly uniform = (): number => uniformOnHost(this.key, this.drawn++);
  private drawn = 0;

  /** @throws OptionError for unknown options and values out of range */
  constructor(options: SamplingOptions = {}) {
    checkOptions("sampling", options, [...samplingLimitNames, "seed", "warpers"]);
    const { seed = freshSeed(), warpers = [], ...limits } = options;
    requireLimits(limits);
    const isWhole = Number.isSafeInteger(seed);
    if (!isWhole) throw refusal("a seed that is a whole number", String(seed), "choose a value in the range");
    if (!(Array.isArray(warpers) && warpers.every((warper) => typeof warper === "function")))
      throw refusal("warpers to be a list of functions", typeof warpers, "give functions of Candidates");
    this.warpers = [...warpersOf(limits), ...warpers];
    this.isGreedy = limits.temperature === 0 || (limits.topK === 1 && warpers.length === 0);
    this.topK = firstTopK(limits);
    this.seed = seed;
    const [low, high] = [seed | 0, Math.floor(seed / 2 ** 32) | 0];
    this.key = foldKeyOnHost(foldKeyOnHost([0x73616d70, 0x6c657273], low), high); // "samp", "lers"
  }

  /** Index of the token taken. logits: f32 [V] */
  pick(logits: Float32Array): number {
    if (this.isGreedy) return indexOfLargest(logits);
    const { ids } = this.narrowed(logits);
    return ids[candidates.draw(this.uniform())];
  }

  /** What `pick` draws from. Without draws the likeliest token is certain. */
  distribution(logits: Float32Array): TokenDistribution {
    if (this.isGreedy) return { ids: [indexOfLargest(logits)], probabilities: [1] };
    const { ids } = this.narrowed(logits);
    return { ids: ids.slice(), probabilities: candidates.probabilities().slice() };
  }

  private narrowed(logits: Float32Array): Candidates {
    candidates.take(logits, this.topK);
    for (const warp of this.warpers) warp(candidates, this.uniform);
    return candidates;
  }
}

const refusal = (expected: string, received: string, fix: string) =>
  new OptionError({ where: "sampling", expected, received, fix });

/** The first largest, as numpy and PyTorch on CPU. */
export function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
