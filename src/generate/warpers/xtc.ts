import type { LogitsWarper } from "./warper.ts";

/**
 * Exclude Top Choices (Weidmann 2024, text-generation-webui pull request 6335): with a probability, of all tokens at
 * least as probable as a threshold only the least probable stays, beside those below it.
 */
export const excludeTopChoices =
  (probability: number, threshold: number): LogitsWarper =>
  (candidates, uniform) => {
    if (candidates.ids.length < 2 || uniform() >= probability) return;
    const probabilities = candidates.probabilities();
    let last = -1;
    for (let i = 0; i < probabilities.length; i++)
      if (probabilities[i] >= threshold && (last < 0 || probabilities[i] <= probabilities[last])) last = i;
    candidates.keep((i) => i === last || probabilities[i] < threshold);
  };
