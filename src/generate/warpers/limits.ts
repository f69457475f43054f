import { OptionError } from "../../base/index.ts";

/** Ways to narrow down which tokens may be drawn; transformers calls them logits warpers. */
export interface SamplingLimits {
  /** Scores are divided by it: below 1 the likely become likelier. @default 1 */
  temperature?: number;
  /**
   * Those whose score is less than so many standard deviations below the largest. Tang et al. 2024, arXiv:2411.07641.
   * @default all
   */
  topNSigma?: number;
  /**
   * As many likely tokens as keep this part of the entropy of the 100 likeliest. Potraghloo et al. 2025,
   * arXiv:2509.02510. @default all
   */
  topH?: number;
  /**
   * The k likeliest, and those as likely as the last of them; 0 is all. Fan et al. 2018, arXiv:1805.04833. @default all
   */
  topK?: number;
  /** The likeliest whose probabilities add up to p. Holtzman et al. 2019, arXiv:1904.09751. @default 1 */
  topP?: number;
  /** Those at least p times as probable as the likeliest. Nguyen et al. 2024, arXiv:2407.01082. @default 0 */
  minP?: number;
  /**
   * Those whose surprise is nearest to the expected one, until their probabilities add up to p. Meister et al. 2022,
   * arXiv:2202.00666. @default 1
   */
  typicalP?: number;
  /** Those at least as probable as this. Hewitt et al. 2022, arXiv:2210.15191. @default 0 */
  epsilonCutoff?: number;
  /** As epsilonCutoff, but less where many tokens are about as likely; same paper. @default 0 */
  etaCutoff?: number;
  /**
   * How often the likeliest tokens are left out, so that a text takes less usual ways: of those of at least
   * `xtcThreshold` all but the least probable. Weidmann 2024 (XTC), as in llama.cpp. @default 0, never
   */
  xtcProbability?: number;
  /** With `xtcProbability`: what makes a token one of the likeliest; above 0.5 there would be but one. @default 0.1 */
  xtcThreshold?: number;
  /**
   * 2 draws by mirostat, version 2, which holds the surprise of a text near `mirostatTau`; of the others only
   * temperature goes with it, as in llama.cpp. Basu et al. 2020, arXiv:2007.14966. @default 0, off
   */
  mirostat?: 0 | 2;
  /** With `mirostat`: the surprise of a token, in bits. @default 5 */
  mirostatTau?: number;
  /** With `mirostat`: how fast it is corrected. @default 0.1 */
  mirostatEta?: number;
}

type LimitName = keyof SamplingLimits;

/** What each may be. */
const ranges: Record<LimitName, [expected: string, isFine: (value: number) => boolean]> = {
  temperature: ["temperature of at least 0", (value) => value >= 0 && value < Number.POSITIVE_INFINITY],
  topNSigma: ["topNSigma above 0", (value) => value > 0],
  topH: ["topH above 0 and at most 1", (value) => value > 0 && value <= 1],
  topK: [
    "topK to be a whole number of at least 0, which is all",
    (value) => value >= 0 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY),
  ],
  topP: ["topP above 0 and at most 1", (value) => value > 0 && value <= 1],
  minP: ["minP from 0 to 1", (value) => value >= 0 && value <= 1],
  typicalP: ["typicalP above 0 and at most 1", (value) => value > 0 && value <= 1],
  epsilonCutoff: ["epsilonCutoff from 0 to below 1", (value) => value >= 0 && value < 1],
  etaCutoff: ["etaCutoff from 0 to below 1", (value) => value >= 0 && value < 1],
  xtcProbability: ["xtcProbability from 0 to 1", (value) => value >= 0 && value <= 1],
  xtcThreshold: ["xtcThreshold above 0 and at most 0.5", (value) => value > 0 && value <= 0.5],
  mirostat: ["mirostat to be 0 or 2, as version 1 is not built", (value) => value === 0 || value === 2],
  mirostatTau: ["mirostatTau above 0", (value) => value > 0 && value < Number.POSITIVE_INFINITY],
  mirostatEta: ["mirostatEta above 0 and at most 1", (value) => value > 0 && value <= 1],
};

/** Names of all `SamplingLimits`. */
export const samplingLimitNames = Object.keys(ranges) as readonly LimitName[];

/** What has no effect without another one. */
const needs: readonly (readonly [LimitName, LimitName])[] = [
  ["xtcThreshold", "xtcProbability"],
  ["mirostatTau", "mirostat"],
  ["mirostatEta", "mirostat"],
];

/** What goes with mirostat, which decides by itself how many tokens are left. */
const withMirostat: readonly string[] = ["temperature", "mirostat", "mirostatTau", "mirostatEta"];

const refuse = (expected: string, received: string, fix = "choose a value in the range") =>
  new OptionError({ where: "sampling", expected, received, fix });

/** @throws OptionError for values out of range, and for what does not go together */
export function requireLimits(limits: SamplingLimits): void {
  for (const name of samplingLimitNames) {
    const [expected, isFine] = ranges[name];
    const value: unknown = limits[name];
    if (value !== undefined && !(typeof value === "number" && isFine(value))) throw refuse(expected, String(value));
  }
  for (const [name, other] of needs)
    if (limits[name] !== undefined && !limits[other])
      throw refuse(`${name} with ${other}`, `${name} alone`, `set ${other}, or leave ${name} out`);
  if (!limits.mirostat) return;
  const others = samplingLimitNames.filter((name) => limits[name] !== undefined && !withMirostat.includes(name));
  if (others.length > 0)
    throw refuse("mirostat with no limit but temperature", others.join(", "), "leave the one or the others out");
}
