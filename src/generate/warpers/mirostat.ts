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
    const all = candidates.probabilities();
    const largest = largestOf(all);
    candidates.keep((i) => all[i] === largest || -Math.log2(all[i]) <= mu);
    const drawn = candidates.draw(uniform());
    const surprise = -Math.log2(candidates.probabilities()[drawn]);
    mu -= eta * (surprise - tau);
    candidates.keep((i) => i === drawn);
  };
}
