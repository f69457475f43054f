/** Pictures whose bytes go through a table, to the bit as Pillow's ImageOps. */
import { numberRules, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { requireColors } from "./picture.ts";

const LEVELS = 256;
const lookUp = (image: RawImage, at: (byte: number, channel: number) => number): RawImage => {
  requireColors(image);
  const { channels, data } = image;
  const tables = Array.from({ length: channels }, (_, c) => Uint8Array.from({ length: LEVELS }, (__, i) => at(i, c)));
  return { ...image, data: data.map((byte, i) => tables[i % channels][byte]) };
};

/** How often each byte is there, for each channel. */
function histograms({ channels, data }: RawImage): Uint32Array[] {
  const counts = Array.from({ length: channels }, () => new Uint32Array(LEVELS));
  for (let i = 0; i < data.length; i++) counts[i % channels][data[i]]++;
  return counts;
}

/** The opposite of each byte. */
export const invert = (image: RawImage): RawImage => lookUp(image, (byte) => 255 - byte);

/** A picture with the first `bits` bits of each byte, 1 to 8, or none at 0. */
export function posterize(image: RawImage, bits: number): RawImage {
  const isFine = (value: number) => Number.isInteger(value) && value >= 0 && value <= 8;
  requireNumbers("posterize", { bits }, { bits: { range: "of a whole number from 0 to 8", isFine } });
  return lookUp(image, (byte) => byte & (LEVELS - 2 ** (8 - bits)));
}

/** A picture whose bytes from `threshold` on are inverted. */
export function solarize(image: RawImage, threshold: number): RawImage {
  requireNumbers("solarize", { threshold }, { threshold: numberRules.notNegative });
  return lookUp(image, (byte) => (byte < threshold ? byte : 255 - byte));
}

/** A picture whose darkest byte is 0 and whose brightest is 255, in each channel. */
export function autocontrast(image: RawImage): RawImage {
  const ranges = histograms(image).map((counts) => ({
    low: counts.findIndex((count) => count > 0),
    high: counts.findLastIndex((count) => count > 0),
  }));
  return lookUp(image, (byte, c) => {
    const { low, high } = ranges[c];
    if (high <= low) return byte;
    const scale = 255 / (high - low);
    return Math.min(Math.max(Math.trunc(byte * scale + -low * scale), 0), 255);
  });
}

/** A picture in whose channels all bytes are about as frequent. */
export function equalize(image: RawImage): RawImage {
  const tables = histograms(image).map((counts) => {
    const present = counts.filter((count) => count > 0);
    const step = Math.floor((present.reduce((a, b) => a + b, 0) - present[present.length - 1]) / 255);
    if (present.length <= 1 || step === 0) return undefined;
    let below = Math.floor(step / 2);
    return Array.from(counts, (count) => {
      const level = Math.floor(below / step);
      below += count;
      return Math.min(level, 255);
    });
  });
  return lookUp(image, (byte, c) => tables[c]?.[byte] ?? byte);
}
