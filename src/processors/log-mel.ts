import { OptionError } from "../base/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";

/** Settings of a log-mel spectrogram. */
export interface LogMelOptions {
  /** Bands. @default 80 */
  numMelBins?: number;
  /** Samples a second, which the sound must have. @default 16000 */
  samplingRate?: number;
  /** Samples of a window, and between two. @default 400 and 160 */
  fftSize?: number;
  hopLength?: number;
  /** Seconds that the sound is cut or padded to. @default 30 */
  chunkSeconds?: number;
}

/** Mel by frequency in Hz: linear up to 1000, then logarithmic. Slaney 1998, Auditory Toolbox. */
const BREAK_HZ = 1000;
const BREAK_MEL = 15;
const melOf = (hz: number) =>
  hz < BREAK_HZ ? (3 * hz) / 200 : BREAK_MEL + (27 * Math.log(hz / BREAK_HZ)) / Math.log(6.4);
const hzOf = (mel: number) =>
  mel < BREAK_MEL ? (200 * mel) / 3 : BREAK_HZ * Math.exp((Math.log(6.4) / 27) * (mel - BREAK_MEL));

/** Triangles over the frequencies of a Fourier transform, each of the same area: [bands, fftSize / 2 + 1]. */
export function melFilters(bands: number, fftSize: number, samplingRate: number): Float64Array[] {
  const highest = melOf(samplingRate / 2);
  const corners = Array.from({ length: bands + 2 }, (_, i) => hzOf((highest * i) / (bands + 1)));
  return Array.from({ length: bands }, (_, m) => {
    const [low, center, high] = corners.slice(m, m + 3);
    return Float64Array.from({ length: fftSize / 2 + 1 }, (__, k) => {
      const hz = (k * samplingRate) / fftSize;
      return (Math.max(0, Math.min((hz - low) / (center - low), (high - hz) / (high - center))) * 2) / (high - low);
    });
  });
}

/**
 * Power of each frequency in windows of a real signal: a plain Fourier transform by tables, since 400 is no power of
 * two.
 */
class PowerSpectrum {
  private readonly size: number;
  private readonly window: Float64Array;
  private readonly cosines: Float64Array;
  private readonly sines: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.window = Float64Array.from({ length: size }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
    this.cosines = Float64Array.from({ length: size }, (_, n) => Math.cos((2 * Math.PI * n) / size));
    this.sines = Float64Array.from({ length: size }, (_, n) => Math.sin((2 * Math.PI * n) / size));
  }

  /** -> size / 2 + 1 powers */
  at(signal: Float64Array, start: number, out: Float64Array): void {
    const { size, window, cosines, sines } = this;
    const half = size >> 1;
    // x[n] and x[size - n] go together: cosines of their sum, sines of their difference
    const sums = new Float64Array(half + 1);
    const differences = new Float64Array(half + 1);
    for (let n = 0; n <= half; n++) {
      const a = signal[start + n] * window[n];
      const b = n === 0 || n === half ? 0 : signal[start + size - n] * window[size - n];
      sums[n] = a + b;
      differences[n] = a - b;
    }
    for (let k = 0; k <= half; k++) {
      let [real, imaginary] = [0, 0];
      for (let n = 0, phase = 0; n <= half; n++) {
        real += sums[n] * cosines[phase];
        imaginary += differences[n] * sines[phase];
        phase += k;
        if (phase >= size) phase -= size;
      }
      out[k] = real * real + imaginary * imaginary;
    }
  }
}

/** Least power that counts, and how far below the loudest place the quietest lies, in powers of ten. */
const FLOOR = 1e-10;
const RANGE = 8;

/**
 * The picture of a sound that Whisper reads: f32 [1, bands, frames], 100 frames a second, 30 seconds long. Radford et
 * al. 2022, arXiv:2212.04356, section 2.2.
 * @throws OptionError for a sound of another sampling rate
 */
export function logMelSpectrogram(
  samples: Float32Array,
  samplingRate: number,
  options: LogMelOptions = {},
): Tensor<"f32"> {
  const { numMelBins = 80, samplingRate: wanted = 16000, fftSize = 400, hopLength = 160, chunkSeconds = 30 } = options;
  if (samplingRate !== wanted) {
    throw new OptionError({
      where: "logMelSpectrogram",
      expected: `${wanted} samples a second`,
      received: `${samplingRate}`,
      fix: "resample the sound first",
    });
  }
  const length = Math.round(chunkSeconds * wanted);
  const edge = fftSize >> 1;
  const padded = new Float64Array(length + 2 * edge);
  const sample = (i: number) => (i < samples.length ? samples[i] : 0);
  for (let i = 0; i < padded.length; i++) {
    // reflected at both ends, the end itself not repeated
    const at = i - edge;
    padded[i] = sample(at < 0 ? -at : at < length ? at : 2 * (length - 1) - at);
  }
  const frames = Math.floor(length / hopLength);
  const filters = melFilters(numMelBins, fftSize, wanted);
  const spectrum = new PowerSpectrum(fftSize);
  const power = new Float64Array(edge + 1);
  const logs = new Float64Array(numMelBins * frames).fill(Math.log10(FLOOR));
  // beyond the sound and the window that still sees it there is silence
  const last = Math.min(frames, Math.ceil((Math.min(samples.length, length) + edge) / hopLength) + 1);
  const isReflected = samples.length > length - edge;
  for (let t = 0; t < (isReflected ? frames : last); t++) {
    spectrum.at(padded, t * hopLength, power);
    for (let m = 0; m < numMelBins; m++) {
      let sum = 0;
      for (let k = 0; k <= edge; k++) sum += filters[m][k] * power[k];
      logs[m * frames + t] = Math.log10(Math.max(sum, FLOOR));
    }
  }
  let loudest = Number.NEGATIVE_INFINITY;
  for (const value of logs) loudest = Math.max(loudest, value);
  const out = Float32Array.from(logs, (value) => (Math.max(value, loudest - RANGE) + 4) / 4);
  return tensor(out, { shape: [1, numMelBins, frames] });
}
