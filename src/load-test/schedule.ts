import { gammaOfMeanOne, randomNumbers, streams } from "./random.ts";

/** When requests come. */
export interface ArrivalOptions {
  /** Requests per second; Infinity for all at once. */
  rate: number;
  /** Shape of the gamma distribution of the gaps: 1 for a Poisson process. */
  burstiness: number;
  seed: number;
  /** How many there are; Infinity where nobody knows. */
  requests: number;
}

/**
 * The planned starts, in milliseconds from the first on, without end. They depend on the options alone, never on
 * answers. Where it is known how many requests there are, the gaps are stretched so that these take `requests / rate`
 * seconds with every seed, as in vLLM: a hundred gaps of a Poisson process would be off by a tenth.
 */
export function* arrivals({ rate, burstiness, seed, requests }: ArrivalOptions): Generator<number, never, void> {
  const isStretched = Number.isFinite(rate) && Number.isFinite(requests);
  const meanGap = isStretched ? meanOfGaps(seed, burstiness, requests) : 1;
  const next = randomNumbers(seed, streams.arrivals);
  for (let at = 0; ; at += ((1000 / rate) * gammaOfMeanOne(next, burstiness)) / meanGap) yield at;
}

function meanOfGaps(seed: number, burstiness: number, count: number): number {
  const next = randomNumbers(seed, streams.arrivals);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += gammaOfMeanOne(next, burstiness);
  return sum > 0 ? sum / count : 1;
}
