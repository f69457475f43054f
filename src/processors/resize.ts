import { DataError, type LimitName, limits, overLimit, withinLimit } from "../base/index.ts";

/** A picture: rows of pixels, each of `channels` bytes. */
export interface RawImage {
  width: number;
  height: number;
  /** 1 for grey, 3 for red, green and blue, 4 with opacity. */
  channels: number;
  data: Uint8Array;
}

/** How `loadImage` reads a picture. */
export interface LoadImageOptions {
  /** The limit of pixels that holds, which is asked before the picture is decoded. @default imagePixels */
  pixelLimit?: Extract<LimitName, "imagePixels" | "requestImagePixels">;
  /** Pixels that are left to a request of the limit requestPixels, likewise. @default as many as `pixelLimit` */
  pixelsLeft?: number;
}

/**
 * Whether a picture may be decoded.
 * @throws DataError naming the limit
 */
export function requirePixels(
  where: string,
  { width, height }: Pick<RawImage, "width" | "height">,
  { pixelLimit = "imagePixels", pixelsLeft = Number.POSITIVE_INFINITY }: LoadImageOptions,
): void {
  const size = `${width} x ${height}`;
  if (width * height > limits[pixelLimit]) throw overLimit(pixelLimit, where, "pixels", size);
  if (width * height > pixelsLeft)
    throw overLimit("requestPixels", where, "pixels of all images together", `more, with the ${size} of this one`);
}

/** Filters by Pillow's numbers, as preprocessor_config.json has them. */
export const filters = { 0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming" } as const;
/** A filter's name; the numbers are Pillow's, as in preprocessor_config.json. */
export type ResizeFilter = (typeof filters)[keyof typeof filters];

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
/** Pillow's cubic. */
const A = -0.5;
const kernels: Readonly<Record<Exclude<ResizeFilter, "nearest">, { support: number; at(x: number): number }>> = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, at: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x))) },
  bicubic: {
    support: 2,
    at: (x) => {
      const d = Math.abs(x);
      if (d < 1) return ((A + 2) * d - (A + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * A : 0;
    },
  },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Weights are whole numbers with so many bits behind the point. */
const PRECISION_BITS = 22;

interface Weights {
  first: Int32Array;
  /** For each place its weights, one after another. */
  weights: Int32Array[];
}

/** For each place of the output which places of the input count, and how much. Making smaller widens the filter. */
function weightsOf(from: number, to: number, filter: Exclude<ResizeFilter, "nearest">): Weights {
  const { support, at } = kernels[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const first = new Int32Array(to);
  const weights = Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const low = Math.max(Math.trunc(center - reach + 0.5), 0);
    const high = Math.min(Math.trunc(center + reach + 0.5), from);
    first[i] = low;
    const exact = Float64Array.from({ length: high - low }, (__, x) => at((x + low - center + 0.5) * (1 / stretch)));
    const total = exact.reduce((a, b) => a + b, 0);
    return Int32Array.from(exact, (weight) => {
      const scaled = (weight / total) * 2 ** PRECISION_BITS;
      return Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
  });
  return { first, weights };
}

/** One axis: `lines` lines of `from` places, `stride` bytes apart, become lines of `to` places. */
function resizeAxis(
  image: RawImage,
  to: number,
  axis: "width" | "height",
  filter: Exclude<ResizeFilter, "nearest">,
): RawImage {
  const { width, height, channels, data } = image;
  const { first, weights } = weightsOf(axis === "width" ? width : height, to, filter);
  const size = axis === "width" ? { width: to, height } : { width, height: to };
  const out = new Uint8Array(size.width * size.height * channels);
  const step = axis === "width" ? channels : width * channels;
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const place = axis === "width" ? x : y;
      const start = axis === "width" ? (y * width + first[place]) * channels : (first[place] * width + x) * channels;
      const placeWeights = weights[place];
      for (let c = 0; c < channels; c++) {
        let sum = 2 ** (PRECISION_BITS - 1);
        for (let k = 0; k < placeWeights.length; k++) sum += data[start + c + k * step] * placeWeights[k];
        out[(y * size.width + x) * channels + c] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** PRECISION_BITS)));
      }
    }
  }
  return { ...size, channels, data: out };
}

/**
 * A picture in another size, to the bit as Pillow makes it: first its rows, then its columns, rounded between.
 * @throws DataError for a size without pixels, or of more than a limit: long narrow pictures whose shorter side is made
 *   longer
 */
export function resizeImage(image: RawImage, size: { width: number; height: number }, filter: ResizeFilter): RawImage {
  const { width, height, channels, data } = image;
  if (!(size.width >= 1 && size.height >= 1)) {
    const received = `${size.width} x ${size.height}, of a picture of ${width} x ${height}`;
    throw new DataError({
      where: "resize",
      expected: "a size of at least one pixel",
      received,
      fix: "cut the picture to a shorter piece",
    });
  }
  for (const pixels of [size.width * size.height, size.width * height])
    withinLimit("imagePixels", pixels, "resize", "pixels");
  if (width === size.width && height === size.height) return image;
  if (filter === "nearest") {
    const out = new Uint8Array(size.width * size.height * channels);
    for (let y = 0; y < size.height; y++) {
      const row = Math.floor((y + 0.5) * (height / size.height)) * width;
      for (let x = 0; x < size.width; x++) {
        const source = (row + Math.floor((x + 0.5) * (width / size.width))) * channels;
        out.set(data.subarray(source, source + channels), (y * size.width + x) * channels);
      }
    }
    return { ...size, channels, data: out };
  }
  const wide = width === size.width ? image : resizeAxis(image, size.width, "width", filter);
  return height === size.height ? wide : resizeAxis(wide, size.height, "height", filter);
}

/** The middle of a picture; what reaches beyond it is black. */
export function centerCrop(image: RawImage, size: { width: number; height: number }): RawImage {
  const { width, height, channels, data } = image;
  // where the crop is the larger one, half of what is missing lies in front, rounded up on the canvas that holds both
  const start = (side: number, wanted: number) => {
    const before = wanted > side ? Math.ceil((wanted - side) / 2) : 0;
    return Math.max(0, Math.floor((side - wanted) / 2) + before) - before;
  };
  const [top, left] = [start(height, size.height), start(width, size.width)];
  const out = new Uint8Array(size.width * size.height * channels);
  for (let y = 0; y < size.height; y++) {
    const row = y + top;
    if (row < 0 || row >= height) continue;
    for (let x = 0; x < size.width; x++) {
      const column = x + left;
      if (column < 0 || column >= width) continue;
      const source = (row * width + column) * channels;
      out.set(data.subarray(source, source + channels), (y * size.width + x) * channels);
    }
  }
  return { ...size, channels, data: out };
}

/** Red, green and blue: grey three times, transparent pixels on white, in Pillow's whole numbers. */
export function toRgb(image: RawImage, composes: boolean): RawImage {
  const { width, height, channels, data } = image;
  if (channels === 3) return image;
  const out = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const value = data[i * channels + (channels < 3 ? 0 : c)];
      const opacity = channels === 4 && composes ? data[i * 4 + 3] : channels === 2 && composes ? data[i * 2 + 1] : 255;
      out[i * 3 + c] = opacity === 255 ? value : overWhite(value, opacity);
    }
  }
  return { width, height, channels: 3, data: out };
}

function overWhite(value: number, opacity: number): number {
  const rest = 255 * (255 - opacity);
  const total = opacity * 255 + rest;
  const share = Math.floor((opacity * 255 * 255 * 128) / total);
  const white = 255 * 128 - share;
  const sum = value * share + 255 * white + 0x4000;
  return (((sum >> 8) + sum) >> 8) >> 7;
}
