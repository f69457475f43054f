import { largestAt } from "../largest.ts";
import { entropyOf, order } from "./candidates.ts";
import type { LogitsWarper } from "./warper.ts";

/** It looks at no more tokens than these. */
const TOP_H_TOKENS = 100;

/** As many likely tokens as keep this part of the entropy. Potraghloo et al. 2025, arXiv:2509.02510. */
export const topH =
  (part: number): LogitsWarper =>
  (candidates) => {
    const { scores } = candidates;
    const least = largestAt(scores, Math.min(TOP_H_TOKENS, scores.length));
    const likely: number[] = [];
    for (let i = 0; i < scores.length; i++) if (scores[i] >= least) likely.push(i);
    const head = order(scores, Uint32Array.from(likely)).reverse().subarray(0, TOP_H_TOKENS);
    const largest = scores[head[0]];
    const weights = Float64Array.from(head, (i) => (scores[i] === largest ? 1 : Math.exp(scores[i] - largest)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const probabilities = weights.map((weight) => weight / total);
    const limit = entropyOf(probabilities) * part;
    const kept = new Set<number>([head[0]]);
    let sum = 0;
    head.forEach((i, place) => {
      const p = probabilities[place];
      sum -= p > 0 ? p * Math.log(p) : 0;
      if (sum <= limit) kept.add(i);
    });
    candidates.keep((i) => kept.has(i));
  };
