/** The form in which a model takes pictures: by its processor, or by the settings of a config. */
import { join } from "node:path";
import { z } from "zod";
import { normalizeImage } from "../../augment/index.ts";
import { OptionError } from "../../base/index.ts";
import { exists, type Folder, isFile, readJson, writeJson } from "../../files/index.ts";
import type { PretrainedModel } from "../../models/index.ts";
import { ImageProcessor, type ProcessedImages, type RawImage, resizeImage } from "../../processors/index.ts";
import { tensor } from "../../tensor/index.ts";
import type { Objective } from "../../train/index.ts";

const sizes = z.union([z.int().min(1), z.tuple([z.int().min(1), z.int().min(1)])]);
const numbers = z.union([z.number(), z.array(z.number()).min(1).max(3)]);

/** How pictures are brought into the form of the model, where its folder does not say it. */
export const imageSettings = z
  .strictObject({
    size: sizes.optional().describe("Pixels of a side, or height and width. Default: the model's image_size."),
    mean: numbers.default(0.5).describe("Of each channel, of values from 0 to 1: becomes 0."),
    std: numbers.default(0.5).describe("Of each channel: becomes 1."),
  })
  .optional()
  .describe("The form of pictures. Default: the model's preprocessor_config.json.");

export type ImageSettings = z.output<typeof imageSettings>;

/** Brings pictures into the form of a model. */
export interface PictureForm {
  /** 1 or 3. */
  channels: number;
  /** Transparent pixels lie on white; otherwise they lose their transparency. */
  composes: boolean;
  /** The size that pictures are resized to; undefined where it depends on the picture. */
  size?: { width: number; height: number };
  process(images: readonly RawImage[]): ProcessedImages;
  /** Writes preprocessor_config.json beside a model; one that the model's folder has goes along by itself. */
  save(folder: string): Promise<void>;
}

/** What of a model says how pictures are. */
interface PictureConfig {
  numChannels?: number;
  imageSize?: number | readonly number[];
  vision?: PictureConfig;
}

/**
 * The form in which a model takes pictures.
 * @throws OptionError where neither the config nor the model says the size
 */
export async function pictureForm(model: PretrainedModel, settings: ImageSettings): Promise<PictureForm> {
  const config = model.config as PictureConfig;
  const { numChannels: channels = 3, imageSize } = config.vision ?? config;
  if (settings === undefined && model.source !== undefined && !isFile(model.source)) {
    if (await hasProcessor(model.source)) return formOf(await ImageProcessor.open(model.source));
  }
  const { size = imageSize, mean = 0.5, std = 0.5 } = settings ?? {};
  if (size === undefined)
    throw new OptionError({
      where: "config, method.image",
      expected: "the size of pictures, as the model does not say it",
      received: "none",
      fix: "name it: image: { size: 28 }",
    });
  const [height, width] = typeof size === "number" ? [size, size] : [...size];
  const json = {
    image_processor_type: "ViTImageProcessor",
    size: { height, width },
    resample: 2,
    do_convert_rgb: true,
    image_mean: threeOf("mean", mean),
    image_std: threeOf("std", std),
  };
  const save = (folder: string) => writeImageSettings(folder, json);
  if (channels === 1) return { ...greyForm({ width, height }, json.image_mean[0], json.image_std[0]), save };
  return { ...formOf(new ImageProcessor(json, "config, method.image")), save };
}

/** Writes how pictures are prepared beside a model, in place of what came along with it. */
export async function writeImageSettings(folder: string, json: object): Promise<void> {
  await writeJson(join(folder, "preprocessor_config.json"), json);
  const path = join(folder, "processor_config.json"); // whose part for pictures would count before the other file
  if (!(await exists(path))) return;
  const { image_processor: _, ...rest } = await readJson(path);
  await writeJson(path, rest);
}

/** An objective that saves beside the model how pictures are prepared. */
export const withForm = <B>(objective: Objective<B>, form: Pick<PictureForm, "save">): Objective<B> => ({
  ...objective,
  async save(folder) {
    await objective.save(folder);
    await form.save(folder);
  },
});

/** Whether a folder says how pictures are prepared. */
export const hasProcessor = async (folder: Folder): Promise<boolean> =>
  (await folder.has("preprocessor_config.json")) || (await folder.has("processor_config.json"));

/** A setting for each of three channels. @throws OptionError for another number of them */
export function threeOf(name: string, value: number | readonly number[]): number[] {
  const list = typeof value === "number" ? [value] : value;
  if (list.length === 3 || list.length === 1) return [0, 1, 2].map((i) => list[i] ?? list[0]);
  throw new OptionError({
    where: `config, method.image.${name}`,
    expected: "a number, or one for each of three channels",
    received: JSON.stringify(value),
    fix: "give one or three",
  });
}

/** A processor as a form. */
function formOf(processor: ImageProcessor): PictureForm {
  const { size, crop_size: crop, do_center_crop: isCropped, do_resize: isResized } = processor.settings;
  const stated = isCropped && crop ? crop : isResized && "height" in size ? size : undefined;
  return {
    channels: 3,
    composes: processor.settings.do_convert_rgb === true,
    ...(stated && { size: { width: stated.width, height: stated.height } }),
    process: (images) => processor.process(images),
    save: async () => {},
  };
}

/** Grey pictures of one size, [B, 1, H, W]. */
function greyForm(size: { width: number; height: number }, mean: number, deviation: number): Omit<PictureForm, "save"> {
  const options = { mean: [mean], standardDeviation: [deviation] };
  const count = size.width * size.height;
  return {
    channels: 1,
    composes: true,
    size,
    process(images) {
      const values = new Float32Array(images.length * count);
      for (const [i, image] of images.entries()) {
        const isFine = image.width === size.width && image.height === size.height;
        values.set(normalizeImage(isFine ? image : resizeImage(image, size, "bilinear"), options), i * count);
      }
      return { pixelValues: tensor(values, { shape: [images.length, 1, size.height, size.width] }) };
    },
  };
}
