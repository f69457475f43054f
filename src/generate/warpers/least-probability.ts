import { largestOf } from "../log-probabilities.ts";
import { entropyOf } from "./candidates.ts";
import type { LogitsWarper } from "./warper.ts";

/** Those at least p times as probable as the likeliest. Nguyen et al. 2024, arXiv:2407.01082. */
export const minP = (p: number): LogitsWarper => atLeast((probabilities) => p * largestOf(probabilities));

/** Those at least as probable as this. Hewitt et al. 2022, arXiv:2210.15191. */
export const epsilonCutoff = (epsilon: number): LogitsWarper => atLeast(() => epsilon);

/** The same, but less where many tokens are about as likely; same paper. */
export const etaCutoff = (eta: number): LogitsWarper =>
  atLeast((probabilities) => Math.min(eta, Math.sqrt(eta) * Math.exp(-entropyOf(probabilities))));

/** Those whose probability is not below a threshold, and the likeliest in any case. */
const atLeast =
  (threshold: (probabilities: Float64Array) => number): LogitsWarper =>
  (candidates) => {
    const probabilities = candidates.probabilities();
    const least = Math.min(threshold(probabilities), largestOf(probabilities));
    candidates.keep((i) => probabilities[i] >= least);
  };
