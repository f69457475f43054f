import type { Metadata, Sharp } from "sharp";
import { open } from "#system";
import { DataError, KindlingError, limits, RuntimeError } from "../base/index.ts";
import { readBytes } from "../files/index.ts";
import { withFill } from "./gif.ts";
import { type LoadImageOptions, type RawImage, requirePixels } from "./resize.ts";
import { checkDrawing, checkSvg, isMarkup } from "./svg.ts";

/**
 * Reads a picture from a file, or from the bytes of one: JPEG, PNG, WebP, GIF, TIFF, AVIF, SVG; turned as its EXIF data
 * say. Colours are those of transformers' load_image, which is Pillow's convert("RGB"): profiles are passed over, and
 * inks become light by the plain rule.
 * @throws DataError for what is no picture, for one of more pixels than a limit, before it is decoded, and for an SVG
 *   that takes too long or is refused (svg.ts); RuntimeError where the package sharp is missing
 */
export async function loadImage(source: string | Uint8Array, options: LoadImageOptions = {}): Promise<RawImage> {
  const { default: sharp } = await import("sharp").catch((cause) => {
    throw new RuntimeError({
      where: "loadImage",
      expected: "the package sharp",
      received: "none",
      fix: "npm install sharp",
      cause,
    });
  });
  const where = typeof source === "string" ? source : "the picture's bytes";
  try {
    const bytes = typeof source === "string" && (await isMarkupFile(source)) ? await readBytes(source) : source;
    const drawing = typeof bytes !== "string" && isMarkup(bytes) ? checkSvg(where, bytes) : undefined;
    const picture = sharp(bytes, { ignoreIcc: true, limitInputPixels: limits.imagePixels });
    const metadata = await picture.metadata();
    const { width, height } = metadata;
    requirePixels(where, metadata, options);
    if (drawing) checkDrawing(where, drawing, width * height);
    const pixels = await decoded(picture.autoOrient(), metadata);
    if (metadata.format !== "gif") return pixels;
    return withFill(pixels, typeof bytes === "string" ? await readBytes(bytes) : bytes);
  } catch (cause) {
    if (cause instanceof KindlingError) throw cause;
    throw new DataError({
      where,
      expected: "a picture",
      received: (cause as Error).message,
      fix: "check the path and the format",
      cause,
    });
  }
}

/** Files of text are read here: drawn from its path, an SVG might bring in what stands beside it. */
async function isMarkupFile(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(1000), 0, 1000, 0);
    return isMarkup(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function decoded(picture: Sharp, { space, channels }: Metadata): Promise<RawImage> {
  if (space === "cmyk") return withoutInks(picture);
  // of grey in 16 bits Pillow keeps numbers up to 255, and makes all others white
  if (space === "grey16" && channels === 1) return clipped(picture);
  return bytesOf(picture.toColourspace("srgb"));
}

async function bytesOf(picture: Sharp): Promise<RawImage> {
  const { data, info } = await picture.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels, data };
}

async function clipped(picture: Sharp): Promise<RawImage> {
  const { data, info } = await picture
    .toColourspace("grey16")
    .raw({ depth: "ushort" })
    .toBuffer({ resolveWithObject: true });
  const values = new Uint16Array(data.buffer, data.byteOffset, info.width * info.height);
  return {
    width: info.width,
    height: info.height,
    channels: 1,
    data: Uint8Array.from(values, (value) => Math.min(255, value)),
  };
}

/** Cyan, magenta, yellow and black as red, green and blue, in Pillow's whole numbers. */
async function withoutInks(picture: Sharp): Promise<RawImage> {
  const inks = await bytesOf(picture.pipelineColourspace("cmyk").toColourspace("cmyk"));
  const { width, height, channels, data } = inks;
  const out = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const light = 255 - data[i * channels + 3];
    for (let c = 0; c < 3; c++) {
      const product = data[i * channels + c] * light + 128;
      out[i * 3 + c] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return { width, height, channels: 3, data: out };
}
