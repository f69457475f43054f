/** The files that say how a model's inputs are made, and what of them is not followed. */
import { DataError } from "../base/index.ts";
import { type Folder, folderAt, readJson } from "../files/index.ts";

type Json = Record<string, unknown>;

/**
 * How pictures or sounds are prepared: a part of processor_config.json, or else preprocessor_config.json.
 * @throws DataError for a folder with neither
 */
export async function readProcessor(
  folder: Folder,
  part: "image_processor" | "feature_extractor",
): Promise<{ json: Json; path: string }> {
  const whole = folder.file("processor_config.json");
  const nested = (await folder.has(whole.base)) ? (await readJson(whole))[part] : undefined;
  if (nested !== null && typeof nested === "object") return { json: nested as Json, path: `${whole.name}, ${part}` };
  const file = folder.file("preprocessor_config.json");
  return { json: await readJson(file), path: file.name };
}

/**
 * Keys of which other values would change what a processor makes: those that are supported, the first of which is the
 * default.
 */
const supportedByImages = { pad_size: [null], data_format: ["channels_first"] };
/** Those of processors that pad. */
export const supportedByDetectors = { data_format: ["channels_first"] };

/** @throws DataError naming the key, for a value that would change the result and is not supported */
export function requireSupported(
  path: string,
  json: Json,
  supported: Readonly<Record<string, readonly unknown[]>> = supportedByImages,
): void {
  for (const [key, values] of Object.entries(supported)) {
    const value = json[key] ?? values[0];
    if (values.includes(value)) continue;
    const expected = values.map((allowed) => JSON.stringify(allowed)).join(" or ");
    throw new DataError({
      where: `${path}, ${key}`,
      expected,
      received: JSON.stringify(value),
      fix: "this is not supported: prepare the inputs yourself",
    });
  }
}

/**
 * Samples of a window of the Fourier transform and between two, and their number in a second, for which Whisper's
 * models are made.
 */
const supportedBySounds = { sampling_rate: [16000], n_fft: [400], hop_length: [160], padding_value: [0], dither: [0] };

/**
 * Checks that the sounds of a model are prepared as `logMelSpectrogram` does it. A folder that does not say is taken to
 * mean so.
 * @throws DataError naming the key
 */
export async function requireWhisperFeatures(
  place: string | Folder,
  { numMelBins, maxSourcePositions }: { numMelBins: number; maxSourcePositions: number },
): Promise<void> {
  const folder = folderAt(place);
  const names = ["processor_config.json", "preprocessor_config.json"];
  const present = await Promise.all(names.map((name) => folder.has(name)));
  if (!present.includes(true)) return;
  const { json, path } = await readProcessor(folder, "feature_extractor");
  const seconds = maxSourcePositions / 50; // two frames of a hundredth of a second are a position
  requireSupported(path, json, {
    feature_extractor_type: ["WhisperFeatureExtractor"],
    feature_size: [numMelBins],
    chunk_length: [seconds],
    ...supportedBySounds,
  });
}
