import { largestAt } from "../largest.ts";
import type { LogitsWarper } from "./warper.ts";

/** The k likeliest, and those as likely as the last of them. Fan et al. 2018, arXiv:1805.04833. */
export const topK =
  (count: number): LogitsWarper =>
  (candidates) => {
    const { scores } = candidates;
    if (count >= scores.length) return;
    const least = largestAt(scores, count);
    candidates.keep((i) => scores[i] >= least);
  };
