/**
 * Every key that the processors of transformers know is followed, refused, or listed here with the reason why nothing
 * follows from it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import golden from "../../golden/processors.json" with { type: "json" };
import { writeJson } from "../files/index.ts";
import { imageProcessorClasses } from "./image-settings.ts";
import { ImageProcessor, requireWhisperFeatures } from "./index.ts";

/** Keys that change no pixel here. */
const withoutEffect: readonly string[] = [
  ...["device", "disable_grouping", "return_tensors", "input_data_format"], // how transformers runs it
  "image_seq_length", // the model says how many places a picture takes
  ...["do_reduce_labels", "do_convert_annotations", "format"], // of labels
];
const refused = ["data_format"];
const readBesides = [
  "default_to_square",
  "min_pixels",
  "max_pixels",
  "patch_size",
  "merge_size",
  "temporal_patch_size",
];

test.each(Object.keys(imageProcessorClasses))("%s", (name) => {
  const { keys } = golden.classes[name as keyof typeof golden.classes] as { keys: Record<string, unknown> };
  const { settings } = new ImageProcessor({ image_processor_type: name });
  const unspoken = Object.keys(keys).filter(
    (key) => !(key in settings) && ![...withoutEffect, ...refused, ...readBesides].includes(key),
  );
  expect(unspoken).toEqual([]);
  const stated = Object.entries(keys).filter(([key, value]) => key in settings && value !== null);
  const ours = Object.fromEntries(stated.map(([key]) => [key, settings[key as keyof typeof settings]]));
  expect(ours).toEqual(Object.fromEntries(stated));
  const padSize = settings.do_pad ? {} : { pad_size: { height: 9, width: 9 } };
  for (const [key, value] of Object.entries({ ...padSize, data_format: "channels_last" }))
    expect(() => new ImageProcessor({ image_processor_type: name, [key]: value })).toThrow(
      new RegExp(`${key}: expected`),
    );
});

test("older names and forms", () => {
  const settingsOf = (json: object) => new ImageProcessor(json as Record<string, unknown>).settings;
  expect(
    settingsOf({ feature_extractor_type: "DetrFeatureExtractor", size: 600, pad_and_return_pixel_mask: false }),
  ).toMatchObject({
    size: { shortest_edge: 600, longest_edge: 1333 },
    do_pad: false,
  });
  expect(
    settingsOf({ image_processor_type: "ViTImageProcessorFast", image_mean: 0.5, size: 32, default_to_square: false }),
  ).toMatchObject({
    image_mean: [0.5, 0.5, 0.5],
    size: { shortest_edge: 32 },
  });
  expect(() => settingsOf({ image_processor_type: "ViTImageProcessor", image_std: [0.5, 0, 0.5] })).toThrow(
    /image_std: expected three numbers other than 0/,
  );
  expect(() => settingsOf({ image_processor_type: "ViTImageProcessor", rescale_factor: "x" })).toThrow(
    /rescale_factor: expected a number/,
  );
});

test("the image part of processor_config.json comes before preprocessor_config.json", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeJson(join(folder, "preprocessor_config.json"), { image_processor_type: "ViTImageProcessor", size: 16 });
  await writeJson(join(folder, "processor_config.json"), { processor_class: "X" });
  expect((await ImageProcessor.open(folder)).settings.size).toEqual({ height: 16, width: 16 });
  await writeJson(join(folder, "processor_config.json"), {
    image_processor: { image_processor_type: "ViTImageProcessor", size: 32 },
  });
  expect((await ImageProcessor.open(folder)).settings.size).toEqual({ height: 32, width: 32 });
  await rm(folder, { recursive: true });
});

test("sounds are prepared as Whisper's are, or refused by name", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = { numMelBins: 80, maxSourcePositions: 1500 };
  const check = async (json: object) => {
    await writeJson(join(folder, "preprocessor_config.json"), json as Record<string, unknown>);
    return requireWhisperFeatures(folder, model);
  };
  const { keys } = golden.classes.WhisperFeatureExtractor;
  expect(Object.keys(keys).sort()).toEqual([
    ...["chunk_length", "dither", "feature_size", "hop_length", "n_fft", "padding_value"],
    "return_attention_mask", // the model reads none
    "sampling_rate",
  ]);
  await requireWhisperFeatures(folder, model);
  await check(keys);
  await check({ feature_extractor_type: "WhisperFeatureExtractor" });
  for (const [key, value] of Object.entries({
    feature_size: 128,
    chunk_length: 15,
    sampling_rate: 8000,
    hop_length: 80,
    n_fft: 512,
    dither: 0.1,
    padding_value: 1,
  }))
    await expect(check({ ...keys, [key]: value })).rejects.toThrow(new RegExp(`${key}: expected`));
  await rm(folder, { recursive: true });
});
