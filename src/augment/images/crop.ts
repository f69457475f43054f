import type { RawImage } from "../../processors/index.ts";
import { type Fill, fillBytes } from "./picture.ts";

/** A rectangle of whole pixels. */
export interface CropArea {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * A rectangle of a picture, of any number of channels; what lies outside of the picture has the fill. With a negative
 * `left` and `top` it pads. @default fill 0
 */
export function cropImage(image: RawImage, { left, top, width, height }: CropArea, fill: Fill = 0): RawImage {
  const { channels } = image;
  const bytes = fillBytes("cropImage", fill, channels);
  const data = new Uint8Array(width * height * channels);
  if (bytes.some((byte) => byte !== 0)) for (let i = 0; i < data.length; i++) data[i] = bytes[i % channels];
  const [first, last] = [Math.max(0, left), Math.min(image.width, left + width)];
  if (first >= last) return { width, height, channels, data };
  for (let y = Math.max(0, top); y < Math.min(image.height, top + height); y++) {
    const row = image.data.subarray((y * image.width + first) * channels, (y * image.width + last) * channels);
    data.set(row, ((y - top) * width + first - left) * channels);
  }
  return { width, height, channels, data };
}

/** The axis along which pixels change places. */
export type FlipDirection = "horizontal" | "vertical";

/** A picture whose left is its right, or whose top is its bottom. */
export function flipImage(image: RawImage, direction: FlipDirection): RawImage {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  const rowBytes = width * channels;
  for (let y = 0; y < height; y++) {
    if (direction === "vertical") {
      out.set(data.subarray(y * rowBytes, (y + 1) * rowBytes), (height - 1 - y) * rowBytes);
      continue;
    }
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++)
        out[(y * width + width - 1 - x) * channels + c] = data[(y * width + x) * channels + c];
  }
  return { ...image, data: out };
}
