import { DataError, RuntimeError } from "../ir/index.ts";
import type { RawImage } from "./resize.ts";

/**
 * Reads a picture from a file, or from the bytes of one: JPEG, PNG, WebP, GIF, TIFF, AVIF, SVG; turned as its EXIF data say.
 * @throws DataError for what is no picture, RuntimeError where the package sharp is missing
 */
export async function loadImage(source: string | Uint8Array): Promise<RawImage> {
  const { default: sharp } = await import("sharp").catch((cause) => {
    throw new RuntimeError({ where: "loadImage", expected: "the package sharp", received: "none", fix: "npm install sharp", cause });
  });
  try {
    const { data, info } = await sharp(source).autoOrient().toColourspace("srgb").raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: info.channels, data };
  } catch (cause) {
    const where = typeof source === "string" ? source : "the picture's bytes";
    throw new DataError({ where, expected: "a picture", received: (cause as Error).message, fix: "check the path and the format", cause });
  }
}
