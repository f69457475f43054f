import { largestOf } from "../log-probabilities.ts";
import type { LogitsWarper } from "./warper.ts";

/**
 * Those whose score is less than so many standard deviations of all scores below the largest, whatever the
 * temperature. Tang et al. 2024, arXiv:2411.07641.
 */
export const topNSigma =
  (count: number): LogitsWarper =>
  (candidates) => {
    const { scores } = candidates;
    let mean = 0;
    for (let i = 0; i < scores.length; i++) mean += scores[i];
    mean /= scores.length;
    let squares = 0;
    for (let i = 0; i < scores.length; i++) squares += (scores[i] - mean) ** 2;
    const least = largestOf(scores) - count * Math.sqrt(squares / scores.length);
    candidates.keep((i) => !(scores[i] < least));
  };
