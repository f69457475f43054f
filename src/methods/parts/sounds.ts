/** The sounds that rows have, their transcripts, and their batches. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import {
  compose,
  drawsOf,
  randomGain,
  randomNoise,
  randomShift,
  randomSpeed,
  type SoundAugmentation,
  specAugment,
} from "../../augment/index.ts";
import { DataError, IGNORED_LABEL, isObject } from "../../base/index.ts";
import { batchesOf, type Rows, type Source } from "../../data/index.ts";
import { readBytes } from "../../files/index.ts";
import { logMelSpectrogram, readWav, resample, toMono } from "../../processors/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";

/** Usual names of the columns. */
export const soundColumns = ["audio", "sound", "wav", "path", "file"] as const;
export const transcriptColumns = ["text", "sentence", "transcription", "transcript", "label"] as const;

/** Samples a second that the models hear. */
export const RATE = 16000;
/** Which part of a sample's random numbers the spectrogram is changed by. */
const SPECTROGRAM_DRAWS = 1;

const options = (text: string) => z.looseObject({}).optional().describe(text);

/** Random changes of sounds. */
export const soundChanges = z
  .strictObject({
    speed: options("Played at one of several speeds: factors."),
    gain: options("Louder or quieter: decibels."),
    shift: options("Moved in time: samples."),
    noise: options("With noise: snrDecibels."),
    spectrogram: options("SpecAugment: timeWarp, frequencyMasks, frequencyWidth, timeMasks, timeWidth, timeShare."),
  })
  .optional()
  .describe("Random changes of sounds, with options as docs/augmentation.md has them; {} for their defaults.");

export type SoundChanges = z.output<typeof soundChanges>;

/** A sound in the samples that models hear, and at which rate it was stored. */
export interface DecodedSound {
  samples: Float32Array;
  storedRate: number;
}

/**
 * Decodes the sound of a row: a path of a WAV file, beside the file of the row; its bytes; or Hugging Face's
 * `{ bytes, path }`. Channels are averaged; another number of samples a second is resampled.
 * @throws DataError for what is no WAV file, or has no samples
 */
export async function decodeSound(value: unknown, file: string): Promise<DecodedSound> {
  const bytes = isObject(value) && !(value instanceof Uint8Array) ? (value.bytes ?? value.path) : value;
  const path = typeof bytes === "string" ? (bytes === file ? bytes : resolve(dirname(file), bytes)) : undefined;
  const wav = path === undefined ? bytes : await readBytes(path, "a WAV file");
  const refuse = (received: string) =>
    new DataError({ where: path ?? file, expected: "a sound in WAV", received, fix: "correct the row" });
  if (!(wav instanceof Uint8Array)) throw refuse(JSON.stringify(value)?.slice(0, 60) ?? "nothing");
  const sound = readWav(wav, path ?? file);
  const samples = resample(toMono(sound), sound.samplingRate, RATE);
  if (samples.length === 0) throw refuse("no samples");
  return { samples, storedRate: sound.samplingRate };
}

/** A sound and what is said in it. */
export interface SpokenRow {
  index: number;
  text: string;
  /** What is learned to be written, with what begins and ends it. */
  labels: readonly number[];
}

/** Sounds and what is said in them. */
export interface SpeechBatch {
  /** [B, mels, frames] */
  inputFeatures: Tensor<"f32">;
  /** i32 [B, T]; -100 does not count. */
  labels: Tensor<"i32">;
}

/** What of a model says how sounds are heard. */
export interface Hearing {
  numMelBins: number;
  /** Of the window that the model hears at once. */
  seconds: number;
}

/** The spectrogram of a sound, [1, mels, frames]. */
export const featuresOf = (samples: Float32Array, { numMelBins, seconds }: Hearing): Tensor<"f32"> =>
  logMelSpectrogram(samples, RATE, { numMelBins, chunkSeconds: seconds });

/** How sounds become batches. */
export interface SpeechBatchOptions {
  rows: Rows;
  column: string;
  hearing: Hearing;
  batchSize: number;
  seed: number;
  /** Tokens of a row of labels: one length is compiled once. */
  width: number;
  isShuffled: boolean;
  /** @default as they are */
  changes?: SoundChanges;
}

/** Batches of sounds, decoded and changed while the step before runs. */
export function speechBatches(spoken: readonly SpokenRow[], setup: SpeechBatchOptions): Source<SpeechBatch> {
  const { rows, column, hearing, batchSize, seed, width, isShuffled, changes } = setup;
  const wave = waveChanges(changes);
  const spectrum = changes?.spectrogram && specAugment(changes.spectrogram);
  const featuresAt = async (index: number, sample: number): Promise<Float32Array> => {
    const { samples } = await decodeSound((await rows.row(index))[column], placeFile(rows, index));
    const draws = drawsOf(seed, sample);
    const features = featuresOf(wave ? wave(samples, draws) : samples, hearing);
    const data = (await features.read()) as Float32Array;
    const [, bands, frames] = features.shape as readonly number[];
    return spectrum ? spectrum({ data, bands, frames }, draws.fold(SPECTROGRAM_DRAWS)).data : data;
  };
  return batchesOf(spoken, {
    batchSize,
    seed,
    isShuffled,
    async collate(chosen, samples) {
      const features = await Promise.all(chosen.map(({ index }, i) => featuresAt(index, samples[i])));
      const data = new Float32Array(features.length * features[0].length);
      for (const [i, each] of features.entries()) data.set(each, i * each.length);
      const labels = new Int32Array(chosen.length * width).fill(IGNORED_LABEL);
      for (const [i, row] of chosen.entries()) labels.set(row.labels, i * width);
      const frames = features[0].length / hearing.numMelBins;
      return {
        inputFeatures: tensor(data, { shape: [chosen.length, hearing.numMelBins, frames] }),
        labels: tensor(labels, { shape: [chosen.length, width] }),
      };
    },
  });
}

/** The file in which a row stands. */
export const placeFile = (rows: Rows, index: number): string => rows.placeOf(index).replace(/:\d+$/, "");

function waveChanges(changes: SoundChanges): SoundAugmentation | undefined {
  const { speed, gain, shift, noise } = changes ?? {};
  const list = [
    speed && randomSpeed(speed),
    gain && randomGain({ decibels: [-6, 6], ...gain }),
    shift && randomShift({ samples: [-RATE / 10, RATE / 10], ...shift }),
    noise && randomNoise(noise),
  ].filter((each) => each !== undefined);
  return list.length > 0 ? compose(list) : undefined;
}
