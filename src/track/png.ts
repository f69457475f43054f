import { deflateSync } from "node:zlib";
import { OptionError } from "../base/index.ts";
import { crc32 } from "./crc.ts";
import type { Picture } from "./tracker.ts";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const BITS = 8;
const TRUE_COLOUR = 2;

/** A picture as a PNG file. @throws OptionError when the pixels are not as many as the sizes say */
export function pngOf({ width, height, rgb }: Picture): Uint8Array {
  const isSize = (value: number) => Number.isSafeInteger(value) && value > 0;
  if (!isSize(width) || !isSize(height) || rgb.length !== width * height * 3) {
    throw new OptionError({
      where: "picture",
      expected: "width * height * 3 bytes of red, green and blue",
      received: `${rgb.length} bytes for ${width} x ${height}`,
      fix: "give each pixel three bytes",
    });
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, BITS);
  header.setUint8(9, TRUE_COLOUR);
  // each row begins with the number of its filter: none
  const rows = new Uint8Array(height * (1 + width * 3));
  for (let y = 0; y < height; y++) {
    rows.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), y * (1 + width * 3) + 1);
  }
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

/** A picture as a PNG file in a URL, for pages that need no other file. @throws OptionError as `pngOf` */
export const pngUrl = (picture: Picture): string =>
  `data:image/png;base64,${Buffer.from(pngOf(picture)).toString("base64")}`;

function chunk(type: string, data: Uint8Array): Uint8Array {
  const name = Buffer.from(type, "latin1");
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.set(name, 4);
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(name, data), 8 + data.length);
  return bytes;
}
