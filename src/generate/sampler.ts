import { checkOptions, OptionError } from "../base/index.ts";
import { foldKeyOnHost, uniformOnHost } from "../ops/index.ts";
import { candidatesOf, probabilitiesOf, type SamplingLimits } from "./candidates.ts";

export interface SamplingOptions extends SamplingLimits {
  /** 0 takes the likeliest token; higher is more varied. @default 1 */
  temperature?: number;
  /** A whole number; the same seed gives the same text. @default another each time */
  seed?: number;
}

export const samplingLimitNames = [
  "temperature",
  "topH",
  "topK",
  "topP",
  "minP",
  "typicalP",
  "epsilonCutoff",
  "etaCutoff",
] as const;

/** What each may be. */
const ranges: Record<(typeof samplingLimitNames)[number], [expected: string, isFine: (value: number) => boolean]> = {
  temperature: ["temperature of at least 0", (value) => value >= 0 && value < Number.POSITIVE_INFINITY],
  topH: ["topH above 0 and at most 1", (value) => value > 0 && value <= 1],
  topK: [
    "topK of at least 0, which is all",
    (value) => value >= 0 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY),
  ],
  topP: ["topP above 0 and at most 1", (value) => value > 0 && value <= 1],
  minP: ["minP from 0 to 1", (value) => value >= 0 && value <= 1],
  typicalP: ["typicalP above 0 and at most 1", (value) => value > 0 && value <= 1],
  epsilonCutoff: ["epsilonCutoff from 0 to below 1", (value) => value >= 0 && value < 1],
  etaCutoff: ["etaCutoff from 0 to below 1", (value) => value >= 0 && value < 1],
};

/** A seed that nobody chose. */
export const freshSeed = (): number => Math.floor(Math.random() * 2 ** 32);

/** Picks the next token from logits. */
export class Sampler {
  /** What was given, or drawn: it brings the same text again. */
  readonly seed: number;
  private readonly limits: SamplingLimits;
  private readonly key: readonly [number, number];
  private drawn = 0;

  /** @throws OptionError for unknown options and values out of range */
  constructor(options: SamplingOptions = {}) {
    checkOptions("sampling", options, [...samplingLimitNames, "seed"]);
    const { seed = freshSeed(), ...limits } = options;
    const require = (isFine: boolean, expected: string, received: unknown) => {
      if (!isFine)
        throw new OptionError({
          where: "sampling",
          expected,
          received: String(received),
          fix: "choose a value in the range",
        });
    };
    for (const [name, [expected, isFine]] of Object.entries(ranges)) {
      const value = limits[name as keyof SamplingLimits];
      if (value !== undefined) require(typeof value === "number" && isFine(value), expected, value);
    }
    require(Number.isSafeInteger(seed), "a seed that is a whole number", seed);
    this.limits = limits;
    this.seed = seed;
    const [low, high] = [seed | 0, Math.floor(seed / 2 ** 32) | 0];
    this.key = foldKeyOnHost(foldKeyOnHost([0x73616d70, 0x6c657273], low), high); // "samp", "lers"
  }

  /** Index of the token taken. */
  pick(logits: Float32Array): number {
    if (this.limits.temperature === 0 || this.limits.topK === 1) return indexOfLargest(logits);
    const { ids, scores } = candidatesOf(logits, this.limits);
    const probabilities = probabilitiesOf(scores);
    let left = uniformOnHost(this.key, this.drawn++);
    for (let i = 0; i < ids.length; i++) {
      left -= probabilities[i];
      if (left < 0) return ids[i];
    }
    return ids[
      Math.max(
        0,
        probabilities.findLastIndex((p) => p > 0),
      )
    ]; // rounding can leave a hair
  }
}

/** The first largest, as numpy and PyTorch on CPU. */
export function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
