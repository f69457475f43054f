import type { LogitsWarper } from "./warper.ts";

/** The likeliest whose probabilities add up to p. Holtzman et al. 2019, arXiv:1904.09751. */
export const topP =
  (mass: number): LogitsWarper =>
  (candidates) => {
    const probabilities = candidates.probabilities();
    const tail = 1 - mass;
    // what is this improbable is in the tail however many there are, and need not be put in order
    const bound = tail / probabilities.length;
    let count = 0;
    let sum = 0;
    for (let i = 0; i < probabilities.length; i++) {
      const p = probabilities[i];
      if (p < bound) sum += p;
      else count++;
    }
    if (count === 0) return; // all are as good as equal, and their sum has lost a bit
    const ordered = new Float64Array(count);
    for (let i = 0, place = 0; i < probabilities.length; i++)
      if (probabilities[i] >= bound) ordered[place++] = probabilities[i];
    ordered.sort();
    let place = 0;
    for (; place < count - 1; place++) {
      sum += ordered[place];
      if (sum > tail) break;
    }
    // the least that is kept; of those as probable as it, the first ones may be in the tail
    const least = ordered[place];
    let equalsInTail = 0;
    while (equalsInTail < place && ordered[place - 1 - equalsInTail] === least) equalsInTail++;
    candidates.keep((i) => probabilities[i] > least || (probabilities[i] === least && equalsInTail-- <= 0));
  };
