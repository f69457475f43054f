import { largestAt } from "../largest.ts";
import { entropyOf } from "./candidates.ts";
import type { LogitsWarper } from "./warper.ts";

/** So many of the most typical are put in order at first, then so many times more, until they are enough. */
const FIRST_COUNT = 256;
const GROWTH = 8;

/**
 * Those whose surprise is nearest to the expected one, until their probabilities add up to a mass. Meister et al. 2022,
 * arXiv:2202.00666.
 */
export const typical =
  (mass: number): LogitsWarper =>
  (candidates) => {
    const probabilities = candidates.probabilities();
    const expected = entropyOf(probabilities);
    const nearness = new Float64Array(probabilities.length);
    for (let i = 0; i < nearness.length; i++) nearness[i] = -Math.abs(-Math.log(probabilities[i]) - expected);
    let farthest = Number.NEGATIVE_INFINITY;
    for (let count = FIRST_COUNT; ; count *= GROWTH) {
      const isAll = count >= nearness.length;
      const least = isAll ? Number.NEGATIVE_INFINITY : largestAt(nearness, count);
      const nearest: number[] = [];
      for (let i = 0; i < nearness.length; i++) if (nearness[i] >= least) nearest.push(i);
      const place = placeOfMass(nearest, nearness, probabilities, mass);
      if (place === undefined && !isAll) continue;
      farthest = nearness[nearest[place ?? nearest.length - 1]];
      break;
    }
    candidates.keep((i) => nearness[i] >= farthest);
  };

/** Puts indices in order, the most typical first, and tells at which place the mass is reached. */
function placeOfMass(
  indices: number[],
  nearness: Float64Array,
  probabilities: Float64Array,
  mass: number,
): number | undefined {
  indices.sort((a, b) => nearness[b] - nearness[a] || a - b);
  let sum = 0;
  for (const [place, i] of indices.entries()) {
    sum += probabilities[i];
    if (sum >= mass) return place;
  }
  return undefined;
}
