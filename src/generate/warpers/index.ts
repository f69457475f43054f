/** What narrows down the tokens that may be drawn, a small function for each idea. */
import { epsilonCutoff, etaCutoff, minP } from "./least-probability.ts";
import type { SamplingLimits } from "./limits.ts";
import { mirostat } from "./mirostat.ts";
import { temperatureOf } from "./temperature.ts";
import { topH } from "./top-h.ts";
import { topK } from "./top-k.ts";
import { topNSigma } from "./top-n-sigma.ts";
import { topP } from "./top-p.ts";
import { typical } from "./typical.ts";
import type { LogitsWarper } from "./warper.ts";
import { excludeTopChoices } from "./xtc.ts";

export { Candidates } from "./candidates.ts";
export { requireLimits, type SamplingLimits, samplingLimitNames } from "./limits.ts";
export type { LogitsWarper } from "./warper.ts";

/** Those of llama.cpp. */
const DEFAULT_XTC_THRESHOLD = 0.1;
const DEFAULT_TAU = 5;
const DEFAULT_ETA = 0.1;

/** The warpers that some limits ask for, in the order of transformers, and then those that it does not have. */
export function warpersOf(limits: SamplingLimits): LogitsWarper[] {
  const { temperature = 1, topK: count = 0, topP: mass = 1, minP: least = 0, typicalP = 1 } = limits;
  const { epsilonCutoff: epsilon = 0, etaCutoff: eta = 0, xtcProbability = 0 } = limits;
  const list: (LogitsWarper | false)[] = [
    temperature !== 1 && temperatureOf(temperature),
    limits.topNSigma !== undefined && topNSigma(limits.topNSigma),
    limits.topH !== undefined && topH(limits.topH),
    count > 0 && topK(count),
    mass < 1 && topP(mass),
    least > 0 && minP(least),
    typicalP < 1 && typical(typicalP),
    epsilon > 0 && epsilonCutoff(epsilon),
    eta > 0 && etaCutoff(eta),
    xtcProbability > 0 && excludeTopChoices(xtcProbability, limits.xtcThreshold ?? DEFAULT_XTC_THRESHOLD),
    limits.mirostat === 2 && mirostat(limits.mirostatTau ?? DEFAULT_TAU, limits.mirostatEta ?? DEFAULT_ETA),
  ];
  return list.filter((warper) => warper !== false);
}

/**
 * The k of the warper for the k likeliest, where that may as well come first of all: dividing scores by a temperature
 * leaves their order. 0 where it may not.
 */
export const firstTopK = ({ topNSigma: sigma, topH: part, topK: count = 0 }: SamplingLimits): number =>
  sigma === undefined && part === undefined ? count : 0;
