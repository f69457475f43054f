import { checkOptions, numberRules, OptionError, requireNumbers, ShapeError } from "../../base/index.ts";
import type { Augmentation } from "../compose.ts";
import type { Draws } from "../draws.ts";

/** Bands of frequency over time. */
export interface Spectrogram {
  /** [bands, frames], row-major, as Whisper's inputFeatures. */
  data: Float32Array;
  bands: number;
  frames: number;
}

/** What of a spectrogram is warped and masked. The defaults are the paper's policy LD, for LibriSpeech. */
export interface SpecAugmentOptions {
  /** Frames by which a point in time is moved at most, W; 0 for none. @default 80 */
  timeWarp?: number;
  /** Masks of bands. @default 2 */
  frequencyMasks?: number;
  /** Bands of a mask at most, F. @default 27 */
  frequencyWidth?: number;
  /** Masks of frames. @default 2 */
  timeMasks?: number;
  /** Frames of a mask at most, T. @default 100 */
  timeWidth?: number;
  /** Share of all frames that a mask of frames has at most, p. @default 1 */
  timeShare?: number;
  /** What masked places have: a number, or the mean of the spectrogram. @default 0 */
  value?: number | "mean";
}

const optionNames: readonly (keyof SpecAugmentOptions)[] = [
  ...(["timeWarp", "frequencyMasks", "frequencyWidth", "timeMasks", "timeWidth", "timeShare", "value"] as const),
];

/**
 * Warps a spectrogram in time and masks bands and frames. Park et al. 2019, arXiv:1904.08779, section 2; frames between
 * frames are read by linear interpolation.
 * @throws OptionError for unknown options or numbers out of range
 *
 * @example
 * const sound = { data: new Float32Array(12).fill(1), bands: 3, frames: 4 };
 * specAugment({ frequencyMasks: 0, timeMasks: 0 })(sound, drawsOf(0)).data.length; // 12
 */
export function specAugment(options: SpecAugmentOptions = {}): Augmentation<Spectrogram> {
  checkOptions("specAugment", options, optionNames);
  const { timeWarp = 80, frequencyMasks = 2, frequencyWidth = 27, timeMasks = 2, timeWidth = 100 } = options;
  const { timeShare = 1, value = 0 } = options;
  const { wholeNumber, fraction } = numberRules;
  requireNumbers(
    "specAugment",
    { timeWarp, frequencyMasks, frequencyWidth, timeMasks, timeWidth, timeShare },
    {
      ...({ timeWarp: wholeNumber, frequencyMasks: wholeNumber, frequencyWidth: wholeNumber } as const),
      ...({ timeMasks: wholeNumber, timeWidth: wholeNumber, timeShare: fraction } as const),
    },
  );
  if (value !== "mean" && !Number.isFinite(value))
    throw new OptionError({
      where: "specAugment",
      expected: 'a value that is a number or "mean"',
      received: JSON.stringify(value) ?? "nothing",
      fix: "leave it out for 0",
    });
  return (sound, draws) => {
    requireSpectrogram(sound);
    const { bands, frames } = sound;
    const [warp, time, frequency] = [0, 1, 2].map((part) => draws.fold(part));
    const data = warpTime(sound, timeWarp, warp);
    const masked = value === "mean" ? data.reduce((a, b) => a + b, 0) / data.length : value;
    for (let i = 0; i < frequencyMasks; i++) {
      const [first, width] = drawSpan(bands, frequencyWidth, frequency);
      data.fill(masked, first * frames, (first + width) * frames);
    }
    for (let i = 0; i < timeMasks; i++) {
      const [first, width] = drawSpan(frames, Math.min(timeWidth, Math.floor(timeShare * frames)), time);
      for (let band = 0; band < bands; band++) data.fill(masked, band * frames + first, band * frames + first + width);
    }
    return { data, bands, frames };
  };
}

/** @throws ShapeError for numbers that are not bands times frames */
function requireSpectrogram({ data, bands, frames }: Spectrogram): void {
  if (bands > 0 && frames > 0 && data.length === bands * frames) return;
  throw new ShapeError({
    where: "specAugment",
    expected: `${bands} bands of ${frames} frames`,
    received: `${data.length} numbers`,
    fix: "give the sizes of [bands, frames]",
  });
}

/** A first place and a width up to `widest`, inside of `size`. */
function drawSpan(size: number, widest: number, draws: Draws): [first: number, width: number] {
  const width = draws.integer(Math.min(widest, size) + 1);
  return [draws.integer(size - width + 1), width];
}

/** A copy in which a point in time has moved; what is before and behind it is stretched. */
function warpTime({ data, frames }: Spectrogram, most: number, draws: Draws): Float32Array {
  const out = data.slice();
  if (most === 0 || frames - most <= most + 1) return out; // too short to have a point so far from both ends
  const from = most + 1 + draws.integer(frames - 2 * most - 1);
  const to = Math.min(Math.max(from + draws.integer(2 * most + 1) - most, 1), frames - 2);
  const last = frames - 1;
  for (let frame = 0; frame < frames; frame++) {
    const place = frame <= to ? (frame * from) / to : from + ((frame - to) * (last - from)) / (last - to);
    const left = Math.min(Math.floor(place), last - 1);
    const share = place - left;
    for (let at = 0; at < data.length; at += frames)
      out[at + frame] = data[at + left] * (1 - share) + data[at + left + 1] * share;
  }
  return out;
}
