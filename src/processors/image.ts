import { DataError, nearest, OptionError, ShapeError, withinLimit } from "../base/index.ts";
import type { Folder } from "../files/index.ts";
import { openFolder, type PlaceOptions } from "../hub/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import {
  type Area,
  fitPatches,
  type PatchSettings,
  type Planes,
  patchSettings,
  roundHalfEven,
  toPatches,
  withArea,
} from "./patches.ts";
import { readProcessor, requireSupported } from "./processor-files.ts";
import { centerCrop, filters, type RawImage, type ResizeFilter, resizeImage, toRgb } from "./resize.ts";

type Json = Record<string, unknown>;
type Size = { width: number; height: number };
/** How a new size follows: given, by one edge, by both, or as the largest that fits. */
type SizeRule =
  | { height: number; width: number }
  | { shortest_edge: number }
  | { shortest_edge: number; longest_edge: number }
  | { max_height: number; max_width: number };

interface Settings {
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
};
const square = (side: number) => ({ height: side, width: side });
const cropped = { do_center_crop: true, crop_size: square(224) };
const detection = {
  ...base,
  ...imagenet,
  size: { shortest_edge: 800, longest_edge: 1333 },
  resample: BILINEAR,
  do_pad: true,
};

interface ProcessorClass {
  /** What it does where preprocessor_config.json is silent. */
  defaults: Settings;
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

/** Pictures as the inputs of a vision model. */
export interface ProcessedImages {
  /** f32 [B, 3, H, W]; of Qwen2-VL the patches of all pictures */
  pixelValues: Tensor<"f32">;
  /** bool [B, H, W], false where a picture was padded; of processors that pad. */
  pixelMask?: Tensor<"bool">;
  /**
   * Of Qwen2-VL, whose pixelValues are [patches, values of a patch]: patches in time, height and width of each picture.
   * i32 [B, 3]
   */
  imageGridThw?: Tensor<"i32">;
}

/**
 * Brings pictures into the form that a vision model takes, as the class of transformers that preprocessor_config.json
 * names does with Pillow.
 *
 * @example
 * const processor = await ImageProcessor.open("golden/images/clip");
 * const picture = { width: 2, height: 1, channels: 3, data: Uint8Array.of(255, 0, 0, 0, 0, 255) };
 * processor.process([picture]).pixelValues.shape; // [1, 3, 16, 16]
 */
export class ImageProcessor {
  readonly settings: Readonly<Settings>;
  /** Patches of Qwen2-VL, into whole numbers of which a picture is resized; its size is then an area. */
  readonly patches?: PatchSettings;
  private readonly json: Json;
  private readonly isConvNext: boolean;
  private readonly sideStep: number;

  /** @throws DataError for a class that is not known, or values that cannot be */
  constructor(json: Json, path = "preprocessor_config.json") {
    const name = String(
      json.image_processor_type ??
        String(json.feature_extractor_type ?? "").replace("FeatureExtractor", "ImageProcessor"),
    ).replace(/(Fast|Pil)$/, "");
    const known = Object.hasOwn(imageProcessorClasses, name) ? imageProcessorClasses[name] : undefined;
    if (!known) {
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
    this.json = json;
    if (known.isArea) this.patches = patchSettings(path, json);
    this.settings = settingsOf(path, known.isArea ? withArea(json, known.defaults.size as Area) : json, known);
    this.isConvNext = name === "ConvNextImageProcessor";
    this.sideStep = known.sideStep ?? 1;
  }

  /** Reads the image part of a processor_config.json, or else preprocessor_config.json, in a model's folder. */
  static async open(name: string | Folder, options: PlaceOptions = {}): Promise<ImageProcessor> {
    const { json, path } = await readProcessor(await openFolder(name, options), "image_processor");
    return new ImageProcessor(json, path);
  }

  /** What it was made of, for another thread to make the same. */
  toJson(): Json {
    return this.json;
  }

  /** @throws ShapeError when pictures come out in different sizes and the processor does not pad */
  process(images: readonly RawImage[]): ProcessedImages {
    if (images.length === 0)
      throw new OptionError({
        where: "process",
        expected: "at least one picture",
        received: "none",
        fix: "give a picture",
      });
    if (this.patches) {
      const { pixelValues, imageGridThw } = toPatches(
        images.map((image) => this.planes(image)),
        this.patches,
      );
      return { pixelValues, imageGridThw };
    }
    const prepared = images.map((image) => this.prepare(image));
    const [height, width] = [
      Math.max(...prepared.map((each) => each.height)),
      Math.max(...prepared.map((each) => each.width)),
    ];
    const differs = prepared.find((each) => each.height !== height || each.width !== width);
    if (differs && !this.settings.do_pad) {
      const received = `${prepared[0].width}x${prepared[0].height} and ${differs.width}x${differs.height}`;
      throw new ShapeError({
        where: "process",
        expected: "pictures of one size after resizing",
        received,
        fix: "process them one by one",
      });
    }
    const values = new Float32Array(images.length * 3 * height * width);
    const mask = new Uint8Array(images.length * height * width);
    for (const [i, image] of prepared.entries())
      this.write(image, values.subarray(i * 3 * height * width), mask.subarray(i * height * width), { height, width });
    const pixelValues = tensor(values, { shape: [images.length, 3, height, width] });
    return this.settings.do_pad
      ? { pixelValues, pixelMask: tensor(mask, { dtype: "bool", shape: [images.length, height, width] }) }
      : { pixelValues };
  }

  /** One picture: its numbers, channels in front. */
  private planes(image: RawImage): Planes {
    const prepared = this.prepare(image);
    const { width, height } = prepared;
    const values = new Float32Array(3 * height * width);
    this.write(prepared, values, new Uint8Array(height * width), prepared);
    return { width, height, values };
  }

  private prepare(image: RawImage): RawImage {
    const { do_convert_rgb: converts, do_resize, do_center_crop, crop_size, resample } = this.settings;
    const rgb = toRgb(image, converts === true);
    const filter = filters[resample as keyof typeof filters];
    if (this.isConvNext && do_resize) return this.convNext(rgb, filter);
    const resized = do_resize ? resizeImage(rgb, this.sizeFor(rgb), filter) : rgb;
    return do_center_crop && crop_size ? centerCrop(resized, crop_size) : resized;
  }

  /** Small pictures are made a little larger than asked for and cropped; large ones are warped. */
  private convNext(image: RawImage, filter: ResizeFilter): RawImage {
    const { size, crop_pct: part } = this.settings;
    const edge = (size as { shortest_edge: number }).shortest_edge;
    if (edge >= 384) return resizeImage(image, square(edge), filter);
    return centerCrop(resizeImage(image, shortest(image, Math.floor(edge / part)), filter), square(edge));
  }

  private sizeFor(image: RawImage): Size {
    const { size } = this.settings;
    if (this.patches) return fitPatches(image, this.patches, size as Area);
    if ("max_height" in size) {
      const factor = Math.min(size.max_height / image.height, size.max_width / image.width);
      return { width: Math.trunc(image.width * factor), height: Math.trunc(image.height * factor) };
    }
    if ("height" in size) return size;
    if (!("longest_edge" in size)) return shortest(image, size.shortest_edge);
    const fitted = between(image, size.shortest_edge, size.longest_edge);
    return {
      width: fitted.width - (fitted.width % this.sideStep),
      height: fitted.height - (fitted.height % this.sideStep),
    };
  }

  /** Rescales, normalises, and puts the channels in front. */
  private write({ width, height, data }: RawImage, values: Float32Array, mask: Uint8Array, full: Size): void {
    const { do_rescale, rescale_factor, do_normalize, image_mean, image_std } = this.settings;
    const { fround } = Math;
    for (let c = 0; c < 3; c++) {
      const [mean, deviation] = [fround(image_mean[c]), fround(image_std[c])];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const byte = data[(y * width + x) * 3 + c];
          const value = do_rescale ? fround(byte * rescale_factor) : byte;
          values[(c * full.height + y) * full.width + x] = do_normalize
            ? fround(fround(value - mean) / deviation)
            : value;
        }
      }
    }
    for (let y = 0; y < height; y++) mask.fill(1, y * full.width, y * full.width + width);
  }
}

/** The shorter edge becomes `edge`. */
function shortest({ width, height }: Size, edge: number): Size {
  return width <= height
    ? { width: edge, height: Math.floor((edge * height) / width) }
    : { height: edge, width: Math.floor((edge * width) / height) };
}

/** The shorter edge becomes `edge`, unless the longer one passes `longest` then. */
function between({ width, height }: Size, edge: number, longest: number): Size {
  const [small, large] = [Math.min(width, height), Math.max(width, height)];
  const raw = (large / small) * edge > longest ? (longest * small) / large : undefined;
  const side = raw === undefined ? edge : roundHalfEven(raw);
  if (small === side) return { width, height };
  const exact = raw ?? side;
  return width < height
    ? { width: side, height: Math.trunc((exact * height) / width) }
    : { height: side, width: Math.trunc((exact * width) / height) };
}

const switches = ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_pad"] as const;

/** @throws DataError for numbers and switches that are none, or that make pixels that are none */
function checkValues(path: string, settings: Settings): void {
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

function settingsOf(
  path: string,
  json: Json,
  { defaults, isEdge = false, isArea = false, longestEdge }: ProcessorClass,
): Settings {
  requireSupported(path, json);
  const stated = { do_pad: json.pad_and_return_pixel_mask, ...json }; // the older name
  const overrides = Object.fromEntries(
    Object.entries(stated).filter(
      ([key, value]) => Object.hasOwn(defaults, key) && value !== null && value !== undefined,
    ),
  );
  const all = { ...defaults, ...overrides } as Settings;
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
  const isFine =
    size !== undefined &&
    (settings.crop_size === null || (crop !== undefined && "height" in crop)) &&
    Object.hasOwn(filters, settings.resample);
  if (!isFine) {
    const received = JSON.stringify({
      size: settings.size,
      crop_size: settings.crop_size,
      resample: settings.resample,
    }).slice(0, 120);
    throw new DataError({
      where: path,
      expected: "a size, a crop size, and a filter from 0 to 5",
      received,
      fix: "correct the file",
    });
  }
  return { ...settings, size, crop_size: crop as Settings["crop_size"] };
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
