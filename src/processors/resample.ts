import { OptionError, withinLimit } from "../base/index.ts";

/** Zero crossings of the filter on each side, and where it begins to fall, of the lower rate's highest frequency. */
const CROSSINGS = 6;
const ROLLOFF = 0.99;

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/**
 * A sound with another number of samples a second, by a sinc filter under a Hann window, as torchaudio does it:
 * frequencies that the new rate has no room for are taken out first. Smith 2002, "Digital Audio Resampling".
 * @throws OptionError for rates that are not whole numbers above 0, DataError for more samples than a limit
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  for (const rate of [from, to]) {
    if (Number.isInteger(rate) && rate > 0) continue;
    throw new OptionError({
      where: "resample",
      expected: "whole numbers of samples a second above 0",
      received: `${rate}`,
      fix: "round it",
    });
  }
  if (from === to) return samples;
  const common = divisor(from, to);
  const [old, fresh] = [from / common, to / common];
  const cutoff = Math.min(old, fresh) * ROLLOFF;
  const width = Math.ceil((CROSSINGS * old) / cutoff);
  const length = Math.ceil((fresh * samples.length) / old);
  const taps = 2 * width + 3;
  withinLimit("soundSamples", length, "resample", "samples");
  withinLimit(
    "resampleTaps",
    Math.min(fresh, length) * taps,
    "resample",
    "numbers in filters, of rates with so small a common divisor",
  );
  const filters = Array.from({ length: Math.min(fresh, length) }, (_, phase) =>
    filterAt(phase, { old, fresh, cutoff, taps }),
  );
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const { first, weights } = filters[i % fresh];
    const start = Math.floor(i / fresh) * old + first;
    let sum = 0;
    for (let k = Math.max(0, -start), end = Math.min(taps, samples.length - start); k < end; k++)
      sum += samples[start + k] * weights[k];
    out[i] = sum;
  }
  return out;
}

interface Filter {
  /** Where it begins, counted from the old sample at or before the group of new ones. */
  first: number;
  weights: Float32Array;
}

/** The filter for the new samples at one place between the old ones: of all old samples those within its crossings. */
function filterAt(
  phase: number,
  { old, fresh, cutoff, taps }: Record<"old" | "fresh" | "cutoff" | "taps", number>,
): Filter {
  const first = Math.floor((phase * old) / fresh) - (taps - 3) / 2 - 1;
  const weights = Float32Array.from({ length: taps }, (_, k) => {
    const time = Math.max(-CROSSINGS, Math.min(((first + k) / old - phase / fresh) * cutoff, CROSSINGS));
    const angle = time * Math.PI;
    const window = Math.cos(angle / CROSSINGS / 2) ** 2;
    return (angle === 0 ? 1 : Math.sin(angle) / angle) * window * (cutoff / old);
  });
  return { first, weights };
}
