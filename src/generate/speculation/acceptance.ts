import { DataError } from "../../base/index.ts";

/** Which tokens may be picked, and how probable each is. */
export interface TokenDistribution {
  /** From the least on, each once. */
  ids: ArrayLike<number>;
  /** Of each of them; they add up to 1. */
  probabilities: ArrayLike<number>;
}

/** Tokens that a cheaper way to write has put forward. */
export interface Proposals {
  ids: readonly number[];
  /** What each was drawn from. @default no draws: each was certain, as a greedy draft's, or those of a prompt lookup */
  distributions?: readonly TokenDistribution[];
}

/**
 * Decides about a proposed token, so that what is picked is distributed as by the target alone: a proposal is accepted
 * with probability p/q, or else a token is drawn from what p is larger by than q. Where the target is certain that
 * accepts its likeliest token, and picks it otherwise. Leviathan et al. 2022, arXiv:2211.17192, algorithm 1; Chen et
 * al. 2023, arXiv:2302.01318.
 * @param target p, of the model itself
 * @param draft q, what the proposal was drawn from; undefined where it was certain
 * @param uniform draws a number from 0 to below 1
 * @returns the token that is picked: the proposal where it is accepted, and only there
 * @throws DataError for a proposal that q does not have
 */
export function acceptToken(
  target: TokenDistribution,
  proposal: number,
  draft: TokenDistribution | undefined,
  uniform: () => number,
): number {
  const p = probabilityOf(target, proposal);
  const q = draft ? probabilityOf(draft, proposal) : 1;
  if (!(q > 0))
    throw new DataError({
      where: "speculative decoding",
      expected: "a proposal that its distribution may give",
      received: `token ${proposal}, of probability ${q}`,
      fix: "give the distribution that it was drawn from, after all limits",
    });
  if (p >= q || uniform() * q < p) return proposal;
  return drawFrom(target.ids, residual(target, draft ?? { ids: [proposal], probabilities: [1] }), uniform());
}

/**
 * Decides about several proposals, one after another, until one is not accepted; where all are, one more token is
 * drawn.
 * @param target the distributions of the model at the place of each proposal, and after the last
 * @returns the tokens that are picked: those accepted, and one more
 * @throws DataError for another number of distributions, or a proposal that its own does not have
 */
export function acceptProposals(
  target: readonly TokenDistribution[],
  { ids, distributions }: Proposals,
  uniform: () => number,
): number[] {
  requirePlaces(target.length, ids);
  const picked: number[] = [];
  for (const [i, proposal] of ids.entries()) {
    picked.push(acceptToken(target[i], proposal, distributions?.[i], uniform));
    if (picked[i] !== proposal) return picked;
  }
  const last = target[ids.length];
  return [...picked, drawFrom(last.ids, last.probabilities, uniform())];
}

/** @throws DataError where the model has not said something for each proposal, and for what follows them */
export function requirePlaces(places: number, proposals: readonly number[]): void {
  if (places === proposals.length + 1) return;
  throw new DataError({
    where: "speculative decoding",
    expected: `what the model says at ${proposals.length + 1} places, of ${proposals.length} proposals and after them`,
    received: String(places),
    fix: "run the last token of the text and all proposals",
  });
}

/** By bisection. */
function probabilityOf({ ids, probabilities }: TokenDistribution, id: number): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle] < id) low = middle + 1;
    else high = middle;
  }
  return ids[low] === id ? probabilities[low] : 0;
}

/** max(0, p - q) of the tokens of p, divided by its sum. */
function residual(p: TokenDistribution, q: TokenDistribution): Float64Array {
  const out = new Float64Array(p.ids.length);
  let sum = 0;
  let place = 0;
  for (let i = 0; i < out.length; i++) {
    while (place < q.ids.length && q.ids[place] < p.ids[i]) place++;
    const other = place < q.ids.length && q.ids[place] === p.ids[i] ? q.probabilities[place] : 0;
    out[i] = Math.max(0, p.probabilities[i] - other);
    sum += out[i];
  }
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
}

function drawFrom(ids: ArrayLike<number>, probabilities: ArrayLike<number>, uniform: number): number {
  let left = uniform;
  let last = 0;
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i];
    if (probabilities[i] > 0) last = i;
    if (left < 0 && probabilities[i] > 0) return ids[i];
  }
  return ids[last]; // rounding can leave a hair
}
