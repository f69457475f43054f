/**
 * Random numbers from 0 to below 1, the same for the same seed, stream and index: so that what a request is depends on
 * neither the answers nor the others. The generator is sfc32 of PractRand.
 */
export function randomNumbers(seed: number, stream: number, index = 0): () => number {
  let a = seed | 0;
  let b = Math.floor(seed / 2 ** 32) ^ Math.imul(stream + 1, 0x9e3779b9);
  let c = index | 0;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next(); // until the words of the seed are mixed
  return next;
}

/** What a random number decides; each has numbers of its own. */
export const streams = { arrivals: 0, requests: 1, prefix: 2, warmup: 3 } as const;

/** A whole number from `least` to `most`, both among them. */
export const wholeFrom = (next: () => number, least: number, most: number): number =>
  least + Math.floor(next() * (most - least + 1));

/** A normal number by Box and Muller, 1958. */
const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/**
 * A gamma number with mean 1: of shape 1 exponential, below it in bursts, above it more even, of shape infinity always
 * 1. Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
 */
export function gammaOfMeanOne(next: () => number, shape: number): number {
  if (shape === Number.POSITIVE_INFINITY) return 1;
  if (shape === 1) return -Math.log(1 - next());
  // below shape 1 from the next higher shape, as in section 6 of the paper
  const boost = shape < 1 ? next() ** (1 / shape) : 1;
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3;
  for (;;) {
    const x = normal(next);
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return (boost * d * v) / shape;
  }
}
