import { checkOptions, OptionError, ShapeError } from "../base/index.ts";
import type { Folder } from "../files/index.ts";
import { openFolder, type PlaceOptions } from "../hub/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { type ImageSettings, processorClassOf, settingsOf, square } from "./image-settings.ts";
import {
  type Area,
  fitPatches,
  type PatchSettings,
  type Planes,
  patchSettings,
  roundHalfEven,
  toPatches,
} from "./patches.ts";
import { readProcessor } from "./processor-files.ts";
import { centerCrop, filters, type RawImage, type ResizeFilter, resizeImage, toRgb } from "./resize.ts";

type Json = Record<string, unknown>;
type Size = { width: number; height: number };

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

/** What of a processor is otherwise for some pictures. */
export interface ProcessOptions {
  /** Whether pictures are resized; false where they have their size already. @default by the settings */
  resizes?: boolean;
  /** Of a processor that pads: to which size. @default by the settings, or else that of the largest picture */
  padSize?: Size;
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
  readonly settings: Readonly<ImageSettings>;
  /** Patches of Qwen2-VL, into whole numbers of which a picture is resized; its size is then an area. */
  readonly patches?: PatchSettings;
  private readonly json: Json;
  private readonly isConvNext: boolean;
  private readonly sideStep: number;

  /** @throws DataError for a class that is not known, or values that cannot be */
  constructor(json: Json, path = "preprocessor_config.json") {
    const { name, processorClass: known } = processorClassOf(path, json);
    this.json = json;
    if (known.isArea) this.patches = patchSettings(path, json);
    this.settings = settingsOf(path, json, known);
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

  /** The size that a picture comes out in, before it is padded. */
  sizeOf(picture: Size): Size {
    const { do_resize: resizes, do_center_crop: crops, crop_size: crop } = this.settings;
    if (this.isConvNext && resizes) return square((this.settings.size as { shortest_edge: number }).shortest_edge);
    if (crops && crop) return { width: crop.width, height: crop.height };
    return resizes ? this.sizeFor(picture) : { width: picture.width, height: picture.height };
  }

  /**
   * @throws ShapeError when pictures come out in different sizes and the processor does not pad, or in larger ones than
   *   they are padded to; OptionError for a padSize of a processor that does not pad
   */
  process(images: readonly RawImage[], options: ProcessOptions = {}): ProcessedImages {
    checkOptions("process", options, ["resizes", "padSize"]);
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
    const prepared = images.map((image) => this.prepare(image, options.resizes));
    const { width, height } = this.paddedSize(prepared, options.padSize);
    const values = new Float32Array(images.length * 3 * height * width);
    const mask = new Uint8Array(images.length * height * width);
    for (const [i, image] of prepared.entries())
      this.write(image, values.subarray(i * 3 * height * width), mask.subarray(i * height * width), { height, width });
    const pixelValues = tensor(values, { shape: [images.length, 3, height, width] });
    return this.settings.do_pad
      ? { pixelValues, pixelMask: tensor(mask, { dtype: "bool", shape: [images.length, height, width] }) }
      : { pixelValues };
  }

  /** The size of a batch. */
  private paddedSize(pictures: readonly Size[], stated: Size | undefined): Size {
    const { do_pad: pads, pad_size: set } = this.settings;
    const largest = {
      width: Math.max(...pictures.map(({ width }) => width)),
      height: Math.max(...pictures.map(({ height }) => height)),
    };
    if (stated && !pads)
      throw new OptionError({
        where: "process, padSize",
        expected: "a processor that pads (do_pad)",
        received: "one that does not",
        fix: "leave padSize out",
      });
    const size = pads ? (stated ?? set ?? largest) : largest;
    const shown = ({ width, height }: Size) => `${width}x${height}`;
    const differs = pictures.find(({ width, height }) => width !== size.width || height !== size.height);
    if (differs && !pads)
      throw new ShapeError({
        where: "process",
        expected: "pictures of one size after resizing",
        received: `${shown(pictures[0])} and ${shown(differs)}`,
        fix: "process them one by one",
      });
    if (largest.width <= size.width && largest.height <= size.height) return size;
    throw new ShapeError({
      where: "process",
      expected: `pictures of at most ${shown(size)}, to which they are padded`,
      received: shown(largest),
      fix: "resize them to less, or pad to more",
    });
  }

  /** One picture: its numbers, channels in front. */
  private planes(image: RawImage): Planes {
    const prepared = this.prepare(image);
    const { width, height } = prepared;
    const values = new Float32Array(3 * height * width);
    this.write(prepared, values, new Uint8Array(height * width), prepared);
    return { width, height, values };
  }

  private prepare(image: RawImage, do_resize = this.settings.do_resize): RawImage {
    const { do_convert_rgb: converts, do_center_crop, crop_size, resample } = this.settings;
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

  private sizeFor(image: Size): Size {
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
