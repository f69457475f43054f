/** Colours of pictures, to the bit as Pillow and torchvision change them: mostly by mixing with a duller picture. */
import { numberRules, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { requireColors } from "./picture.ts";

const { fround } = Math;

/** Shares of red, green and blue in brightness, ITU-R 601-2, in units of 1/65536. */
const LUMA = [19595, 38470, 7471] as const;
const LUMA_BITS = 16;

/** The brightness of each pixel. */
function lumaOf(image: RawImage): Uint8Array {
  requireColors(image);
  const { channels, data } = image;
  if (channels === 1) return data;
  const out = new Uint8Array(data.length / channels);
  for (let i = 0; i < out.length; i++) {
    const at = i * channels;
    const sum = data[at] * LUMA[0] + data[at + 1] * LUMA[1] + data[at + 2] * LUMA[2];
    out[i] = (sum + 2 ** (LUMA_BITS - 1)) >> LUMA_BITS;
  }
  return out;
}

/**
 * `from` and the picture, mixed: all of the picture at 1, beyond it above. In single precision, cut to whole numbers,
 * as Pillow's blend.
 */
export function blend(image: RawImage, factor: number, from: (i: number) => number): RawImage {
  requireColors(image);
  const share = fround(factor);
  const { data } = image;
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const start = from(i);
    const mixed = fround(start + fround(share * (data[i] - start)));
    out[i] = Math.trunc(Math.min(Math.max(mixed, 0), 255));
  }
  return { ...image, data: out };
}

/** @throws OptionError for a factor below 0 */
export function requireFactor(where: string, factor: number): void {
  requireNumbers(where, { factor }, { factor: numberRules.notNegative });
}

/** A picture with other brightness: black at 0, itself at 1, twice as bright at 2. */
export function adjustBrightness(image: RawImage, factor: number): RawImage {
  requireFactor("adjustBrightness", factor);
  return blend(image, factor, () => 0);
}

/** A picture with other contrast: its mean brightness alone at 0, itself at 1. */
export function adjustContrast(image: RawImage, factor: number): RawImage {
  requireFactor("adjustContrast", factor);
  const luma = lumaOf(image);
  const mean = Math.trunc(luma.reduce((sum, byte) => sum + byte, 0) / luma.length + 0.5);
  return blend(image, factor, () => mean);
}

/** A picture with other saturation: grey at 0, itself at 1. */
export function adjustSaturation(image: RawImage, factor: number): RawImage {
  requireFactor("adjustSaturation", factor);
  if (image.channels === 1) return image;
  const luma = lumaOf(image);
  return blend(image, factor, (i) => luma[Math.floor(i / image.channels)]);
}

/** A picture in shades of grey, with as many channels as before. */
export function grayscale(image: RawImage): RawImage {
  const { channels, data } = image;
  if (channels === 1) return image;
  const luma = lumaOf(image);
  return { ...image, data: Uint8Array.from(data, (_, i) => luma[Math.floor(i / channels)]) };
}

/**
 * A picture whose colours are turned on the colour wheel, by a part of it from -0.5 to 0.5, in the bytes of Pillow's
 * HSV. Grey pictures stay as they are.
 */
export function adjustHue(image: RawImage, part: number): RawImage {
  const isTurn = (value: number) => value >= -0.5 && value <= 0.5;
  requireNumbers("adjustHue", { part }, { part: { range: "from -0.5 to 0.5", isFine: isTurn } });
  if (image.channels === 1) return image;
  requireColors(image);
  const turn = Math.trunc(part * 255);
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 3) {
    const [h, s, v] = toHsv(image.data[i], image.data[i + 1], image.data[i + 2]);
    data.set(fromHsv((h + turn) & 255, s, v), i);
  }
  return { ...image, data };
}

/** Hue, saturation and value, each a byte. */
function toHsv(r: number, g: number, b: number): [number, number, number] {
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (most === least) return [0, 0, most];
  const range = most - least;
  const [rc, gc, bc] = [r, g, b].map((value) => fround((most - value) / range));
  const sector = r === most ? fround(bc - gc) : g === most ? fround(2 + rc - bc) : fround(4 + gc - rc);
  const hue = fround((sector / 6 + 1) % 1);
  return [Math.trunc(hue * 255), Math.trunc(fround(range / most) * 255), most];
}

function fromHsv(h: number, s: number, v: number): [number, number, number] {
  if (s === 0) return [v, v, v];
  const sector = Math.floor((h * 6) / 255);
  const rest = fround((h * 6) / 255 - sector);
  const share = fround(s / 255);
  const [p, q, t] = [1 - share, 1 - fround(share * rest), 1 - share * (1 - rest)].map((part) => Math.round(v * part));
  const sectors: [number, number, number][] = [
    [v, t, p],
    [q, v, p],
    [p, v, t],
    [p, q, v],
    [t, p, v],
    [v, p, q],
  ];
  return sectors[sector % 6];
}
