/** The form in which detectors take pictures: resized by their edges, and padded to one size for a batch. */
import { z } from "zod";
import { OptionError } from "../../base/index.ts";
import { isFile } from "../../files/index.ts";
import type { PretrainedModel } from "../../models/index.ts";
import { ImageProcessor, type ProcessedImages, type RawImage } from "../../processors/index.ts";
import { hasProcessor, threeOf, writeImageSettings } from "./picture-form.ts";

type Size = { width: number; height: number };
const pixels = z.int().min(1);
const numbers = z.union([z.number(), z.array(z.number()).min(1).max(3)]);

/** Mean and standard deviation of ImageNet's channels, with which DETR's and YOLOS's pictures are normalised. */
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

/** How pictures are brought into the form of the model, where its folder does not say it. */
export const detectionImageSettings = z
  .strictObject({
    size: pixels
      .optional()
      .describe("Pictures are fitted into a square of so many pixels and padded to it: one shape, compiled once."),
    shortestEdge: pixels.optional().describe("Otherwise the shorter edge of each picture. DETR: 800."),
    longestEdge: pixels.optional().describe("What the longer edge may not exceed then. DETR: 1333."),
    mean: numbers.default(MEAN).describe("Of each channel, of values from 0 to 1: becomes 0. Default: ImageNet's."),
    std: numbers.default(DEVIATION).describe("Of each channel: becomes 1. Default: ImageNet's."),
  })
  .optional()
  .describe("The form of pictures. Default: the model's preprocessor_config.json, or else DETR's.");

/** Brings pictures into the form of a detector. */
export interface DetectionForm {
  channels: number;
  composes: boolean;
  /** Whether all batches have one size. */
  isFixed: boolean;
  /** What all batches are padded to, where that is one size. */
  padSize?: Size;
  process(images: readonly RawImage[], options: FormOptions): ProcessedPictures;
  /** Writes preprocessor_config.json beside a model; one that the model's folder has goes along by itself. */
  save(folder: string): Promise<void>;
}

/** What of the form is otherwise in training. */
export interface FormOptions {
  /** Whether pictures have their size already, by augmentation. @default false */
  isResized?: boolean;
}

/** Pictures as inputs, and where in them each one is. */
export interface ProcessedPictures extends Pick<ProcessedImages, "pixelValues" | "pixelMask"> {
  /** The part of the padded picture that each one covers, from 0 to 1. */
  covered: readonly Size[];
}

/** How batches are padded. */
export interface DetectionFormOptions {
  /** Both sides of a padded batch are multiples of it. */
  padMultiple: number;
}

/**
 * The form in which a detector takes pictures.
 * @throws OptionError for settings that exclude one another; DataError for a processor that cannot be followed
 */
export async function detectionForm(
  model: PretrainedModel,
  settings: z.output<typeof detectionImageSettings>,
  { padMultiple }: DetectionFormOptions,
): Promise<DetectionForm> {
  const { source } = model;
  if (settings === undefined && source !== undefined && !isFile(source) && (await hasProcessor(source)))
    return formOf(model, await ImageProcessor.open(source), padMultiple, async () => {});
  const json = processorJson(model, settings);
  const save = (folder: string) => writeImageSettings(folder, json);
  return formOf(model, new ImageProcessor(json, "config, method.image"), padMultiple, save);
}

/** The settings as a preprocessor_config.json. */
function processorJson(
  { modelType }: PretrainedModel,
  settings: z.output<typeof detectionImageSettings>,
): Record<string, unknown> {
  const { size, shortestEdge = 800, longestEdge = 1333, mean = MEAN, std = DEVIATION } = settings ?? {};
  const edges = [settings?.shortestEdge, settings?.longestEdge].filter((edge) => edge !== undefined);
  if (size !== undefined && edges.length > 0)
    throw new OptionError({
      where: "config, method.image",
      expected: "size, or shortestEdge and longestEdge",
      received: "both",
      fix: "leave one out",
    });
  const square = size !== undefined && {
    size: { max_height: size, max_width: size },
    pad_size: { height: size, width: size },
  };
  return {
    image_processor_type: modelType === "yolos" ? "YolosImageProcessor" : "DetrImageProcessor",
    size: { shortest_edge: shortestEdge, longest_edge: longestEdge },
    ...square,
    resample: 2,
    do_pad: true,
    image_mean: threeOf("mean", mean),
    image_std: threeOf("std", std),
  };
}

function formOf(
  { modelType }: PretrainedModel,
  processor: ImageProcessor,
  padMultiple: number,
  save: DetectionForm["save"],
): DetectionForm {
  const { do_convert_rgb: composes, do_pad: pads, pad_size: fixed, size, do_resize: resizes } = processor.settings;
  const up = (side: number) => padMultiple * Math.ceil(side / padMultiple);
  return {
    channels: 3,
    composes: composes === true,
    ...(pads && fixed && { padSize: fixed }),
    isFixed: (pads && fixed !== null) || (resizes && "height" in size),
    save,
    process(images, { isResized = false }) {
      const sizes = images.map((image) => (isResized ? image : processor.sizeOf(image)));
      const largest = (side: keyof Size) => Math.max(...sizes.map((each) => each[side]));
      const padSize = fixed ?? { width: up(largest("width")), height: up(largest("height")) };
      const { pixelValues, pixelMask } = processor.process(images, {
        ...(isResized && { resizes: false }),
        ...(pads && { padSize }),
      });
      const [height, width] = pixelValues.shape.slice(2) as number[];
      return {
        pixelValues,
        // YOLOS looks at padding as at the rest
        ...(pixelMask && modelType !== "yolos" && { pixelMask }),
        covered: sizes.map((each) => ({ width: each.width / width, height: each.height / height })),
      };
    },
  };
}
