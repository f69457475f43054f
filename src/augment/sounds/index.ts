/** Augmentation of sounds and their spectrograms. */
export { type MaskSpansOptions, maskSpans } from "./mask-spans.ts";
export { type SpecAugmentOptions, type Spectrogram, specAugment } from "./spectrogram.ts";
export {
  addNoise,
  applyGain,
  changeSpeed,
  type RandomNoiseOptions,
  randomGain,
  randomNoise,
  randomShift,
  randomSpeed,
  type SoundAugmentation,
  shiftSamples,
} from "./waves.ts";
