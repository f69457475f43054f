import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { resample } from "../../processors/index.ts";
import type { Augmentation } from "../compose.ts";

/** A change of the samples of one channel. */
export type SoundAugmentation = Augmentation<Float32Array>;

type Range = readonly [number, number];
const finite = { range: "that is finite", isFine: Number.isFinite };
const powerOf = (samples: Float32Array) => samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
/** Factor of amplitudes that changes the power by so many decibels. */
const amplitude = (decibels: number) => 10 ** (decibels / 20);

/**
 * A sound with a noise whose power is so many decibels below it. A noise that is shorter is repeated. Silence stays.
 * @throws DataError for a noise without samples or without power
 */
export function addNoise(samples: Float32Array, noise: Float32Array, snrDecibels: number): Float32Array {
  requireNumbers("addNoise", { snrDecibels }, { snrDecibels: finite });
  const repeated = Float32Array.from(samples, (_, i) => noise[i % noise.length]);
  const [power, noisePower] = [powerOf(samples), powerOf(repeated)];
  if (samples.length === 0 || power === 0) return samples;
  if (!(noisePower > 0))
    throw new DataError({
      where: "addNoise",
      expected: "a noise that is no silence",
      received: `${noise.length} samples of power ${noisePower || 0}`,
      fix: "leave the noise out",
    });
  const scale = Math.sqrt(power / noisePower) / amplitude(snrDecibels);
  return samples.map((x, i) => x + scale * repeated[i]);
}

/** A sound with another loudness, not cut off at 1. */
export function applyGain(samples: Float32Array, decibels: number): Float32Array {
  requireNumbers("applyGain", { decibels }, { decibels: finite });
  const factor = amplitude(decibels);
  return samples.map((x) => x * factor);
}

/** A sound that begins so many samples later, or earlier where the number is negative: of its length, with silence. */
export function shiftSamples(samples: Float32Array, count: number): Float32Array {
  requireNumbers("shiftSamples", { count }, { count: numberRules.integer });
  const out = new Float32Array(samples.length);
  if (Math.abs(count) < samples.length)
    out.set(count < 0 ? samples.subarray(-count) : samples.subarray(0, samples.length - count), Math.max(0, count));
  return out;
}

/**
 * A sound that is faster by a factor, and higher, with fewer samples: read at another rate, as torchaudio's `speed`. Ko
 * et al. 2015, doi:10.21437/Interspeech.2015-711. Factors are taken as hundredths.
 */
export function changeSpeed(samples: Float32Array, factor: number): Float32Array {
  const isFine = (x: number) => Number.isFinite(x) && x >= 0.01;
  requireNumbers("changeSpeed", { factor }, { factor: { range: "of at least 0.01", isFine } });
  return resample(samples, Math.round(factor * 100), 100);
}

/** @throws OptionError unless it is two numbers in order */
function requireRange(where: string, name: string, range: Range): void {
  if (Array.isArray(range) && range.length === 2 && range.every(Number.isFinite) && range[0] <= range[1]) return;
  throw new OptionError({
    where,
    expected: `${name} of two numbers, the smaller one first`,
    received: JSON.stringify(range) ?? "nothing",
    fix: "for example [5, 20]",
  });
}

/** Which noise is added, and how loud. */
export interface RandomNoiseOptions {
  /** Least and most decibels by which the noise is below the sound. @default [10, 30] */
  snrDecibels?: readonly [number, number];
  /** Noises, of which one is taken, from anywhere in it. @default white noise */
  noises?: readonly Float32Array[];
}

/** Adds a noise to sounds. */
export function randomNoise(options: RandomNoiseOptions = {}): SoundAugmentation {
  checkOptions("randomNoise", options, ["snrDecibels", "noises"]);
  const { snrDecibels = [10, 30], noises } = options;
  requireRange("randomNoise", "snrDecibels", snrDecibels);
  if (noises?.length === 0 || noises?.some(({ length }) => length === 0))
    throw new OptionError({
      where: "randomNoise",
      expected: "noises with samples",
      received: noises.length === 0 ? "none" : "one without",
      fix: "leave the option out for white noise",
    });
  return (samples, draws) => {
    const snr = draws.uniform(...snrDecibels);
    if (!noises)
      return addNoise(
        samples,
        Float32Array.from(samples, () => draws.normal()),
        snr,
      );
    const noise = draws.choice(noises);
    const start = draws.integer(noise.length);
    return addNoise(
      samples,
      Float32Array.from(samples, (_, i) => noise[(start + i) % noise.length]),
      snr,
    );
  };
}

/** Makes sounds louder or quieter, by decibels in a range. */
export function randomGain(options: { decibels: readonly [number, number] }): SoundAugmentation {
  checkOptions("randomGain", options, ["decibels"]);
  requireRange("randomGain", "decibels", options.decibels);
  return (samples, draws) => applyGain(samples, draws.uniform(...options.decibels));
}

/** Moves sounds in time, by samples in a range; what moves out is cut off. */
export function randomShift(options: { samples: readonly [number, number] }): SoundAugmentation {
  checkOptions("randomShift", options, ["samples"]);
  requireRange("randomShift", "samples", options.samples);
  return (samples, draws) => shiftSamples(samples, Math.round(draws.uniform(...options.samples)));
}

/** Plays sounds at one of several speeds. @default factors [0.9, 1, 1.1] */
export function randomSpeed(options: { factors?: readonly number[] } = {}): SoundAugmentation {
  checkOptions("randomSpeed", options, ["factors"]);
  const { factors = [0.9, 1, 1.1] } = options;
  if (factors.length === 0 || factors.some((factor) => !(factor >= 0.01 && Number.isFinite(factor))))
    throw new OptionError({
      where: "randomSpeed",
      expected: "factors of at least 0.01",
      received: JSON.stringify(factors),
      fix: "for example [0.9, 1, 1.1]",
    });
  return (samples, draws) => changeSpeed(samples, draws.choice(factors));
}
