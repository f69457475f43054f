/** How the image processors of transformers are set: by their classes, and by preprocessor_config.json. */
import { DataError, nearest, withinLimit } from "../base/index.ts";
import { type Area, withArea } from "./patches.ts";
import { requireSupported, supportedByDetectors } from "./processor-files.ts";
import { filters } from "./resize.ts";

type Json = Record<string, unknown>;
/** How a new size follows: given, by one edge, by both, or as the largest that fits. */
type SizeRule =
  | { height: number; width: number }
  | { shortest_edge: number }
  | { shortest_edge: number; longest_edge: number }
  | { max_height: number; max_width: number };

/** What a processor does, by the keys of preprocessor_config.json. */
export interface ImageSettings {
  do_resize: boolean;
  size: SizeRule;
  resample: number;
  do_center_crop: boolean;
  crop_size: { height: number; width: number } | null;
  crop_pct: number;
  do_rescale: boolean;
  rescale_factor: number;
  do_normalize: boolean;
  image_mean: readonly number[];
  image_std: readonly number[];
  do_convert_rgb: boolean | null;
  do_pad: boolean;
  /** What pictures are padded to. @default the largest of them */
  pad_size: { height: number; width: number } | null;
}

const half = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const imagenet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const clip = { image_mean: [0.48145466, 0.4578275, 0.40821073], image_std: [0.26862954, 0.26130258, 0.27577711] };
const BILINEAR = 2;
const BICUBIC = 3;
const base = {
  do_resize: true,
  do_center_crop: false,
  crop_size: null,
  crop_pct: 0.875,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  do_convert_rgb: null,
  do_pad: false,
  pad_size: null,
};
export const square = (side: number) => ({ height: side, width: side });
const cropped = { do_center_crop: true, crop_size: square(224) };
const detection = {
  ...base,
  ...imagenet,
  size: { shortest_edge: 800, longest_edge: 1333 },
  resample: BILINEAR,
  do_pad: true,
};

/** A class of image processors. */
export interface ProcessorClass {
  /** What it does where preprocessor_config.json is silent. */
  defaults: ImageSettings;
  /** Whether a size that is a plain number is the shortest edge. @default false */
  isEdge?: boolean;
  /** The longest edge beside a plain number. @default none */
  longestEdge?: number;
  sideStep?: number;
  isArea?: boolean;
}

/** The classes of transformers. */
export const imageProcessorClasses: Readonly<Record<string, ProcessorClass>> = {
  ViTImageProcessor: { defaults: { ...base, ...half, size: square(224), resample: BILINEAR } },
  DeiTImageProcessor: { defaults: { ...base, ...half, ...cropped, size: square(256), resample: BICUBIC } },
  BitImageProcessor: {
    defaults: { ...base, ...clip, ...cropped, size: { shortest_edge: 224 }, resample: BICUBIC, do_convert_rgb: true },
    isEdge: true,
  },
  ConvNextImageProcessor: {
    defaults: { ...base, ...half, size: { shortest_edge: 384 }, resample: BICUBIC },
    isEdge: true,
  },
  MobileNetV2ImageProcessor: {
    defaults: { ...base, ...half, ...cropped, size: { shortest_edge: 256 }, resample: BILINEAR },
    isEdge: true,
  },
  SegformerImageProcessor: { defaults: { ...base, ...imagenet, size: square(512), resample: BILINEAR } },
  CLIPImageProcessor: {
    defaults: { ...base, ...clip, ...cropped, size: { shortest_edge: 224 }, resample: BICUBIC, do_convert_rgb: true },
    isEdge: true,
  },
  SiglipImageProcessor: {
    defaults: { ...base, ...half, size: square(224), resample: BICUBIC, do_convert_rgb: true },
    isEdge: true,
  },
  BlipImageProcessor: { defaults: { ...base, ...clip, size: square(384), resample: BICUBIC, do_convert_rgb: true } },
  DetrImageProcessor: { defaults: detection, isEdge: true, longestEdge: 1333 },
  YolosImageProcessor: { defaults: detection, isEdge: true, sideStep: 16 },
  Qwen2VLImageProcessor: {
    defaults: {
      ...base,
      ...clip,
      size: { shortest_edge: 56 ** 2, longest_edge: 28 ** 2 * 1280 },
      resample: BICUBIC,
      do_convert_rgb: true,
    },
    isArea: true,
  },
};

/**
 * The class that a preprocessor_config.json names.
 * @throws DataError for one that is not known
 */
export function processorClassOf(path: string, json: Json): { name: string; processorClass: ProcessorClass } {
  const name = String(
    json.image_processor_type ??
      String(json.feature_extractor_type ?? "").replace("FeatureExtractor", "ImageProcessor"),
  ).replace(/(Fast|Pil)$/, "");
  if (Object.hasOwn(imageProcessorClasses, name)) return { name, processorClass: imageProcessorClasses[name] };
  const names = Object.keys(imageProcessorClasses);
  const near = nearest(name, names);
  const expected = `an image_processor_type of ${names.join(", ")}`;
  throw new DataError({
    where: path,
    expected,
    received: JSON.stringify(name),
    fix: near ? `did you mean "${near}"?` : "give pixel values yourself",
  });
}

const switches = ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_pad"] as const;

/** @throws DataError for numbers and switches that are none, or that make pixels that are none */
function checkValues(path: string, settings: ImageSettings): void {
  const { image_mean: means, image_std: deviations, rescale_factor: factor, crop_pct: part } = settings;
  const wrong = (key: string, expected: string, value: unknown) =>
    new DataError({
      where: `${path}, ${key}`,
      expected,
      received: (JSON.stringify(value) ?? "nothing").slice(0, 80),
      fix: "correct the file",
    });
  for (const key of switches) {
    const value = settings[key];
    if (typeof value !== "boolean" && value !== null) throw wrong(key, "true or false", value);
  }
  const isThree = (list: readonly number[], isFine: (x: number) => boolean) =>
    Array.isArray(list) && list.length === 3 && list.every((x) => Number.isFinite(x) && isFine(x));
  if (!isThree(means, () => true)) throw wrong("image_mean", "three numbers", means);
  if (!isThree(deviations, (x) => x !== 0)) throw wrong("image_std", "three numbers other than 0", deviations);
  if (!Number.isFinite(factor)) throw wrong("rescale_factor", "a number", factor);
  if (!(Number.isFinite(part) && part > 0 && part <= 1)) throw wrong("crop_pct", "a number above 0, up to 1", part);
}

/**
 * The settings of a file, with its class's own where it is silent.
 * @throws DataError for values that cannot be, or are not supported
 */
export function settingsOf(path: string, file: Json, processorClass: ProcessorClass): ImageSettings {
  const { defaults, isEdge = false, isArea = false, longestEdge } = processorClass;
  const json = isArea ? withArea(file, defaults.size as Area) : file;
  requireSupported(path, json, defaults.do_pad ? supportedByDetectors : undefined);
  const stated = { do_pad: json.pad_and_return_pixel_mask, ...json }; // the older name
  const overrides = Object.fromEntries(
    Object.entries(stated).filter(
      ([key, value]) => Object.hasOwn(defaults, key) && value !== null && value !== undefined,
    ),
  );
  const all = { ...defaults, ...overrides } as ImageSettings;
  const settings = { ...all, image_mean: threeOf(all.image_mean), image_std: threeOf(all.image_std) };
  checkValues(path, settings);
  const size = sizeRule(
    settings.size,
    typeof json.default_to_square === "boolean" ? !json.default_to_square : isEdge,
    json.max_size ?? longestEdge,
  );
  const crop = sizeRule(settings.crop_size, false, undefined);
  for (const side of Object.values(size ?? {}))
    withinLimit(isArea ? "imagePixels" : "imageSide", side, `${path}, size`, "pixels");
  for (const side of Object.values(crop ?? {})) withinLimit("imageSide", side, `${path}, crop_size`, "pixels");
  const pad = sizeRule(settings.pad_size, false, undefined);
  const padPixels = Object.values(pad ?? {}).reduce((a, b) => a * b, 1);
  withinLimit("imagePixels", padPixels, `${path}, pad_size`, "pixels");
  const isFine =
    size !== undefined &&
    (settings.pad_size === null || (pad !== undefined && "height" in pad)) &&
    (settings.crop_size === null || (crop !== undefined && "height" in crop)) &&
    Object.hasOwn(filters, settings.resample);
  if (!isFine) {
    const received = JSON.stringify({
      size: settings.size,
      crop_size: settings.crop_size,
      pad_size: settings.pad_size,
      resample: settings.resample,
    }).slice(0, 160);
    throw new DataError({
      where: path,
      expected: "a size, a crop size, a size to pad to, and a filter from 0 to 5",
      received,
      fix: "correct the file",
    });
  }
  return {
    ...settings,
    size,
    crop_size: crop as ImageSettings["crop_size"],
    pad_size: (pad ?? null) as ImageSettings["pad_size"],
  };
}

/** One number stands for all channels. */
const threeOf = (value: unknown): readonly number[] =>
  typeof value === "number" ? [value, value, value] : (value as readonly number[]);

/** Older files have a number, or a list of height and width. */
function sizeRule(value: unknown, isEdge: boolean, longest: unknown): SizeRule | undefined {
  const isSide = (n: unknown): n is number => Number.isInteger(n) && (n as number) > 0;
  if (isSide(value))
    return !isEdge
      ? square(value)
      : isSide(longest)
        ? { shortest_edge: value, longest_edge: longest }
        : { shortest_edge: value };
  if (Array.isArray(value) && value.length === 2 && value.every(isSide)) return { height: value[0], width: value[1] };
  if (value === null || typeof value !== "object") return undefined;
  const rule = value as Record<string, number>;
  if (isSide(rule.height) && isSide(rule.width)) return { height: rule.height, width: rule.width };
  if (isSide(rule.max_height) && isSide(rule.max_width))
    return { max_height: rule.max_height, max_width: rule.max_width };
  if (!isSide(rule.shortest_edge)) return undefined;
  return isSide(rule.longest_edge)
    ? { shortest_edge: rule.shortest_edge, longest_edge: rule.longest_edge }
    : { shortest_edge: rule.shortest_edge };
}
