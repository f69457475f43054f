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

test("what pictures are padded to, and the size that they come out in", () => {
  const picture = { width: 6, height: 4, channels: 3, data: new Uint8Array(72).fill(255) };
  const detr = { image_processor_type: "DetrImageProcessor", size: { max_height: 8, max_width: 8 } };
  const square = new ImageProcessor({ ...detr, pad_size: { height: 9, width: 12 } });
  expect(square.sizeOf(picture)).toEqual({ width: 8, height: 5 });
  const { pixelValues, pixelMask } = square.process([picture]);
  expect(pixelValues.shape).toEqual([1, 3, 9, 12]);
  expect(pixelMask?.shape).toEqual([1, 9, 12]);
  const plain = new ImageProcessor(detr);
  expect(plain.process([picture], { padSize: { width: 16, height: 16 } }).pixelValues.shape).toEqual([1, 3, 16, 16]);
  expect(plain.process([picture], { resizes: false }).pixelValues.shape).toEqual([1, 3, 4, 6]);
  expect(() => square.process([picture], { padSize: { width: 7, height: 9 } })).toThrow("at most 7x9");
  const vit = new ImageProcessor({ image_processor_type: "ViTImageProcessor", size: 4 });
  expect(vit.sizeOf(picture)).toEqual({ width: 4, height: 4 });
  expect(() => vit.process([picture], { padSize: { width: 8, height: 8 } })).toThrow("a processor that pads");
  expect(() => new ImageProcessor({ ...detr, pad_size: { height: 1e6, width: 1e6 } })).toThrow("pad_size");
  expect(() => new ImageProcessor({ ...detr, pad_size: { height: 0, width: 4 } })).toThrow("a size to pad to");
});
