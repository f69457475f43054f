import { gammaOfMeanOne, randomNumbers, streams } from "./random.ts";

/** When requests come. */
export interface ArrivalOptions {
  /** Requests per second; Infinity for all at once. */
  rate: number;
  /** Shape of the gamma distribution of the gaps: 1 for a Poisson process. */
  burstiness: number;
  seed: number;
}

/**
 * The planned starts, in milliseconds from the first on, without end. They depend on the seed alone, never on answers,
 * and are not stretched to the rate: how far their mean gap is from it is what a Poisson process has.
 */
export function* arrivals({ rate, burstiness, seed }: ArrivalOptions): Generator<number, never, void> {
  const next = randomNumbers(seed, streams.arrivals);
  for (let at = 0; ; at += (1000 / rate) * gammaOfMeanOne(next, burstiness)) yield at;
}
