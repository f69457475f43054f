/** Pixel values and log-mel features as transformers makes them. */
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../base/index.ts";
import { readJson, readSafetensors } from "../files/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { ImageProcessor, loadImage, logMelSpectrogram, melFilters, type RawImage, readWav, toMono } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
const { tensors: pixels } = await readSafetensors(golden("images/pixels.safetensors"));
const picture = (name: string): RawImage => {
  const { shape, data } = pixels.get(name) as unknown as { shape: number[]; data: Uint8Array };
  return { height: shape[0], width: shape[1], channels: shape[2], data };
};
const numbers = (tensors: ReadonlyMap<string, { data: unknown }>, name: string) =>
  (tensors.get(name) as { data: Float32Array }).data;
const processors = readdirSync(golden("images"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

describe.each(processors)("%s", (name) => {
  test("gives the pixel values of transformers, to the bit", async () => {
    const processor = await ImageProcessor.open(golden(`images/${name}`));
    const { tensors } = await readSafetensors(golden(`images/${name}/expected.safetensors`));
    const batch = tensors.get("pixel_values");
    if (batch) {
      const { pixelValues, pixelMask } = processor.process([picture("tall"), picture("wide")]);
      expect(pixelValues.shape).toEqual([...batch.shape]);
      expect(await pixelValues.read()).toEqual(batch.data);
      const mask = tensors.get("pixel_mask");
      if (mask) expect([...(await (pixelMask as Tensor<"bool">).read())]).toEqual([...mask.data].map(Number));
      return;
    }
    for (const [key, { shape, data }] of tensors) {
      const { pixelValues } = processor.process([picture(key)]);
      expect([key, pixelValues.shape]).toEqual([key, [1, ...shape]]);
      expect([key, await pixelValues.read()]).toEqual([key, data]);
    }
  });
});

test("pictures in files have Pillow's pixels", async () => {
  for (const name of ["wide", "tall", "gray", "alpha"]) {
    const loaded = await loadImage(golden(`images/${name}.png`));
    const expected = picture(name);
    expect([name, loaded.width, loaded.height]).toEqual([name, expected.width, expected.height]);
    const first = (image: RawImage) =>
      Array.from({ length: image.width * image.height }, (_, i) => image.data[i * image.channels]);
    expect([name, first(loaded)]).toEqual([name, first(expected)]);
  }
  await expect(loadImage(golden("README.md"))).rejects.toThrow(/expected a picture/);
});

test("what a processor cannot be is an error", () => {
  expect(() => new ImageProcessor({ image_processor_type: "CLIPImageProcesor" })).toThrow(
    /did you mean "CLIPImageProcessor"/,
  );
  expect(() => new ImageProcessor({ image_processor_type: "ViTImageProcessor", resample: 9 })).toThrow(
    /filter from 0 to 5/,
  );
  const processor = new ImageProcessor({
    image_processor_type: "CLIPImageProcessor",
    do_center_crop: false,
    size: { shortest_edge: 8 },
  });
  expect(() => processor.process([picture("tall"), picture("wide")])).toThrow(/one size/);
});

describe("patches of Qwen2-VL", () => {
  test.each(["tall", "wide"])("%s", async (name) => {
    const processor = await ImageProcessor.open(golden("pipelines/models/qwen2-vl"));
    const { tensors } = await readSafetensors(golden("pipelines/qwen2-vl-pixels.safetensors"));
    const { pixelValues, imageGridThw } = processor.process([await loadImage(golden(`images/${name}.png`))]);
    expect([...((await imageGridThw?.read()) ?? [])]).toEqual(
      [...(tensors.get(`${name}.image_grid_thw`)?.data ?? [])].map(Number),
    );
    expectClose("pixels", await pixelValues.read(), numbers(tensors, `${name}.pixel_values`), 1e-6);
  });

  test("areas have bounds, and so have ratios of sides", () => {
    const sizeOf = (width: number, height: number, json: object = {}) => {
      const processor = new ImageProcessor({
        image_processor_type: "Qwen2VLImageProcessor",
        patch_size: 4,
        min_pixels: 256,
        max_pixels: 1024,
        ...json,
      });
      const { imageGridThw, pixelValues } = processor.process([
        { width, height, channels: 3, data: new Uint8Array(width * height * 3) },
      ]);
      return Promise.all([imageGridThw?.read(), pixelValues.shape]).then(([grid, shape]) => [[...(grid ?? [])], shape]);
    };
    return Promise.all([
      expect(sizeOf(16, 16)).resolves.toEqual([
        [1, 4, 4],
        [16, 96],
      ]),
      expect(sizeOf(1, 1)).resolves.toEqual([
        [1, 4, 4],
        [16, 96],
      ]),
      expect(sizeOf(500, 100)).resolves.toEqual([
        [1, 2, 16],
        [32, 96],
      ]),
      expect(async () => sizeOf(201, 1)).rejects.toThrow(/ratio of at most 200/),
      expect(async () => sizeOf(9, 9, { merge_size: 0 })).rejects.toThrow(/merge_size: expected a positive integer/),
    ]);
  });
});

describe("sound", () => {
  const wav = async (name: string) => readWav(await readFile(golden(`audio/${name}.wav`)), name);
  test("WAV files of several kinds", async () => {
    const { tensors } = await readSafetensors(golden("audio/samples.safetensors"));
    for (const name of ["stereo-24", "stereo-f32"]) {
      const { channels, samplingRate } = await wav(name);
      expect([name, samplingRate, channels.flatMap((channel) => [...channel])]).toEqual([
        name,
        8000,
        [...numbers(tensors, name)],
      ]);
    }
    const mono = await wav("mono-16");
    expect([...mono.channels[0].subarray(0, 400)]).toEqual([...numbers(tensors, "mono-16-start")]);
  });

  test.each([80, 128])("log-mel features, %i bands", async (bands) => {
    const sound = await wav("mono-16");
    const { tensors } = await readSafetensors(golden(`audio/log-mel-${bands}.safetensors`));
    const { tensors: filters } = await readSafetensors(golden(`audio/mel-filters-${bands}.safetensors`));
    expectClose(
      "filters",
      melFilters(bands, 400, 16000).flatMap((row) => [...row]),
      numbers(filters, "mel_filters"),
      1e-7,
    );
    const spectrogram = await logMelSpectrogram(toMono(sound), sound.samplingRate, { numMelBins: bands }).read();
    const columns = (from: number, count: number) =>
      Array.from({ length: bands * count }, (_, i) => spectrogram[Math.floor(i / count) * 3000 + from + (i % count)]);
    // transformers computes in f32, which is off by up to 7e-5 in quiet bands
    expectClose("first frames", columns(0, 140), numbers(tensors, "first_frames"), 1e-4);
    expectClose("last frames", columns(2996, 4), numbers(tensors, "last_frames"), 1e-4);
    expect((await readJson(golden("audio/expected.json"))).madeBy).toBeDefined();
  });

  test("damaged WAV files are errors of ours", async () => {
    const bytes = await readFile(golden("audio/stereo-24.wav"));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { maxLength: 4 }),
        fc.nat(bytes.length),
        (changes, cut) => {
          const damaged = Uint8Array.from(bytes.subarray(0, cut));
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          try {
            readWav(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
    );
    expect(() => logMelSpectrogram(new Float32Array(9), 8000)).toThrow(/16000 samples/);
  });
});
