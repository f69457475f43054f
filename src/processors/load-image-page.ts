/** Pictures in a page: decoded by the browser, with the pixels of the file; what follows is the same as in Node. */
import { DataError, OptionError } from "../base/index.ts";
import { type LoadImageOptions, type RawImage, requirePixels } from "./resize.ts";
import { isMarkup } from "./svg.ts";

interface Bitmap {
  readonly width: number;
  readonly height: number;
  close(): void;
}
interface Context {
  drawImage(bitmap: Bitmap, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
}
interface Page {
  createImageBitmap(content: Blob, options: object): Promise<Bitmap>;
  OffscreenCanvas: new (width: number, height: number) => { getContext(kind: "2d", options: object): Context | null };
}

/** Colours as they are stored, whatever profile the file names, turned as its EXIF data say. */
const asStored = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };

/**
 * Reads a picture from the bytes of a file: what the browser shows, but for SVG, which may lead elsewhere. Where a
 * pixel is not opaque its colour is rounded.
 * @throws DataError for what is no picture or one of more pixels than a limit; OptionError for a path
 */
export async function loadImage(source: string | Uint8Array, options: LoadImageOptions = {}): Promise<RawImage> {
  if (typeof source === "string")
    throw new OptionError({
      where: "loadImage",
      expected: "the bytes of a picture",
      received: JSON.stringify(source),
      fix: "fetch them: a page has no files",
    });
  const where = "the picture's bytes";
  const wrong = (received: string, cause?: unknown) =>
    new DataError({ where, expected: "a picture", received, fix: "check the format", cause });
  if (isMarkup(source)) throw wrong("an SVG, which a page does not read");
  const { createImageBitmap, OffscreenCanvas } = globalThis as unknown as Page;
  const content = new Blob([source as Uint8Array<ArrayBuffer>]);
  const bitmap = await createImageBitmap(content, asStored).catch((cause: Error) => {
    throw wrong(cause.message, cause);
  });
  try {
    const { width, height } = bitmap;
    requirePixels(where, bitmap, options);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) throw wrong("a browser that draws nothing");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, channels: 4, data: new Uint8Array(data.buffer) };
  } finally {
    bitmap.close();
  }
}
