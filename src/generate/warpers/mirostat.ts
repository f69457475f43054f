import { largestOf } from "../log-probabilities.ts";
import type { LogitsWarper } from "./warper.ts";

/**
 * Version 2: draws among tokens whose surprise is at most mu bits, and moves mu so that the surprise of what is drawn
 * comes near tau. Basu et al. 2020, arXiv:2007.14966; version 2 is that of the authors' repository. It keeps the token
 * that it draws alone, and serves one text.
 */
export function mirostat(tau: number, eta: number): LogitsWarper {
  let mu = 2 * tau;
  return (candidates, uniform) => {
    const probabilities = candidates.probabilities();
    const least = Math.min(2 ** -mu, largestOf(probabilities));
    let mass = 0;
    for (let i = 0; i < probabilities.length; i++) if (probabilities[i] >= least) mass += probabilities[i];
    let left = uniform() * mass;
    let drawn = 0;
    for (let i = 0; i < probabilities.length; i++) {
      if (probabilities[i] < least) continue;
      drawn = i; // the last one where rounding leaves a hair
      left -= probabilities[i];
      if (left < 0) break;
    }
    mu -= eta * (-Math.log2(probabilities[drawn] / mass) - tau);
    candidates.keep((i) => i === drawn);
  };
}
