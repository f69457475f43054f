/**
 * The colours of a GIF's first picture that decoders leave out: Pillow shows what is transparent in the colour that its
 * palette has for it.
 */
import type { RawImage } from "./resize.ts";

/**
 * The part of the screen that the first picture covers, and the colour of all that it does not, or that is transparent.
 */
interface FirstFrame {
  left: number;
  top: number;
  width: number;
  height: number;
  fill: readonly [number, number, number];
}

/** Pixels as Pillow's convert("RGB") has them: opaque ones as they are decoded. */
export function withFill({ width, height, channels, data }: RawImage, bytes: Uint8Array): RawImage {
  const frame = firstFrame(bytes);
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const isInside =
        frame === undefined ||
        (x >= frame.left && x < frame.left + frame.width && y >= frame.top && y < frame.top + frame.height);
      const isOpaque = isInside && (channels < 4 || data[at * channels + 3] > 0);
      for (let c = 0; c < 3; c++)
        out[at * 3 + c] = isOpaque || frame === undefined ? data[at * channels + c] : frame.fill[c];
    }
  }
  return { width, height, channels: 3, data: out };
}

const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const PICTURE = 0x2c;

/**
 * https://www.w3.org/Graphics/GIF/spec-gif89a.txt, sections 18 to 23. Undefined where there is no picture, or no
 * palette.
 */
function firstFrame(bytes: Uint8Array): FirstFrame | undefined {
  const word = (at: number) => bytes[at] + 256 * bytes[at + 1];
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const screenTable = tableBytes(bytes[10]);
  let transparent = 0; // the first colour, where none is
  let at = 13 + screenTable;
  while (bytes[at] === EXTENSION) {
    if (bytes[at + 1] === GRAPHIC_CONTROL && bytes[at + 3] & 1) transparent = bytes[at + 6];
    at += 2;
    while (bytes[at] > 0) at += bytes[at] + 1;
    at++;
  }
  if (bytes[at] !== PICTURE) return undefined;
  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => word(at + offset));
  const ownTable = tableBytes(bytes[at + 9]);
  const colour = (ownTable > 0 ? at + 10 : 13) + 3 * transparent;
  if (ownTable + screenTable === 0 || 3 * transparent >= (ownTable || screenTable)) return undefined;
  return { left, top, width, height, fill: [bytes[colour], bytes[colour + 1], bytes[colour + 2]] };
}
