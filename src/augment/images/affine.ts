/** Rotation, shear, scale and translation of pictures, to the bit as Pillow and torchvision do them. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { RawImage } from "../../processors/index.ts";
import { type Box, type Fill, fillBytes } from "./picture.ts";

/** How a pixel between pixels is read: as the nearest one, or as a mean of the four around. */
export type Interpolation = "nearest" | "bilinear";

/** [a, b, c, d, e, f]: the place (x, y) of the new picture shows (a x + b y + c, d x + e y + f) of the old one. */
export type AffineMatrix = readonly [number, number, number, number, number, number];

/** A movement of a picture, about its center. */
export interface AffineOptions {
  /** Degrees, clockwise. @default 0 */
  angle?: number;
  /** Pixels to the right and down. @default [0, 0] */
  translate?: readonly [number, number];
  /** Above 0. @default 1 */
  scale?: number;
  /** Degrees by which columns lean to the left, and rows down. @default [0, 0] */
  shear?: readonly [number, number];
  /** What stays where it is, in pixels from the left and the top. @default the middle */
  center?: readonly [number, number];
}

/** How a picture is moved. */
export interface ResampleOptions {
  /** @default "nearest" */
  interpolation?: Interpolation;
  /** Bytes of pixels from outside. @default 0 */
  fill?: Fill;
}

const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** The inverse of an affine movement, as torchvision has it: from places of the new picture to those of the old one. */
export function affineMatrix(
  { width, height }: Pick<RawImage, "width" | "height">,
  { angle = 0, translate: [tx, ty] = [0, 0], scale = 1, shear: [leanX, leanY] = [0, 0], center }: AffineOptions,
): AffineMatrix {
  const [cx, cy] = center ?? [width * 0.5, height * 0.5];
  const [turn, sx, sy] = [radians(angle), radians(leanX), radians(leanY)];
  const { cos, sin, tan } = Math;
  const a = cos(turn - sy) / cos(sy);
  const b = (-cos(turn - sy) * tan(sx)) / cos(sy) - sin(turn);
  const c = sin(turn - sy) / cos(sy);
  const d = (-sin(turn - sy) * tan(sx)) / cos(sy) + cos(turn);
  const [p, q, r, s] = [d, -b, -c, a].map((part) => part / scale); // the determinant of a, b, c, d is 1
  return [p, q, p * (-cx - tx) + q * (-cy - ty) + cx, r, s, r * (-cx - tx) + s * (-cy - ty) + cy];
}

/** Decimals to which Pillow rounds sine and cosine, so that right angles give whole numbers. */
const ROTATION_DECIMALS = 15;

/** The inverse of a rotation about the middle, as Pillow has it. Degrees against the clock. */
export function rotationMatrix({ width, height }: Pick<RawImage, "width" | "height">, angle: number): AffineMatrix {
  const turn = -radians(((angle % 360) + 360) % 360);
  const rounded = (x: number) => Number(x.toFixed(ROTATION_DECIMALS));
  const [cosine, sine, minusSine] = [Math.cos(turn), Math.sin(turn), -Math.sin(turn)].map(rounded);
  const [cx, cy] = [width / 2, height / 2];
  return [cosine, sine, cosine * -cx + sine * -cy + cx, minusSine, cosine, minusSine * -cx + cosine * -cy + cy];
}

/** Where a place of the old picture is in the new one. */
function placeAfter([a, b, c, d, e, f]: AffineMatrix, x: number, y: number): [number, number] {
  const determinant = a * e - b * d;
  const [u, v] = [x - c, y - f];
  return [(e * u - b * v) / determinant, (a * v - d * u) / determinant];
}

/** The rectangle around a box that has moved. */
export function boxAfter(matrix: AffineMatrix, box: Box): Box {
  const { xMin, yMin, xMax, yMax } = box;
  const corners = [xMin, xMax].flatMap((x) => [yMin, yMax].map((y) => placeAfter(matrix, x, y)));
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  return { ...box, xMin: Math.min(...xs), yMin: Math.min(...ys), xMax: Math.max(...xs), yMax: Math.max(...ys) };
}

/** Writes the pixel (x, y) of a new picture at a place of its bytes, unless it comes from outside. */
type Read = (x: number, y: number, out: Uint8Array, at: number) => void;

/** Bits behind the point of Pillow's places, and the largest place that they have room for. */
const FIXED_BITS = 16;
const FIXED_LIMIT = 32768;

/**
 * The pixels of the old picture that a new one of the same size shows, nearest ones: -1 where it has none. Pillow adds
 * up steps, in whole numbers of 1/65536 where they have room for all places, and otherwise in double precision: their
 * rounding decides which of two pixels at the same distance it is.
 */
function nearestPixels({ width, height }: RawImage, matrix: AffineMatrix): Int32Array {
  const [a, b, c, d, e, f] = matrix;
  const corners = [0, width].flatMap((x) => [0, height].map((y) => [a * x + b * y + c, d * x + e * y + f]));
  const isUpright = b === 0 && d === 0;
  const isFixed = !isUpright && corners.flat().every((place) => Math.abs(place) < FIXED_LIMIT);
  const unit = isFixed ? 2 ** FIXED_BITS : 1;
  const fixed = (x: number) => (isFixed ? Math.floor(x * unit + 0.5) : x);
  const [ax, bx, dx, ex] = [a, b, d, e].map(fixed);
  let [rowX, rowY] = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
  const out = new Int32Array(width * height);
  for (let y = 0; y < height; y++) {
    let [atX, atY] = [rowX, rowY];
    for (let x = 0; x < width; x++) {
      const [column, row] = [Math.floor(atX / unit), Math.floor(atY / unit)];
      const isInside = column >= 0 && column < width && row >= 0 && row < height;
      out[y * width + x] = isInside ? row * width + column : -1;
      atX += ax;
      atY += dx;
    }
    rowX += bx;
    rowY += ex;
  }
  return out;
}

/** A mean of the four pixels around a place, cut to a whole number as Pillow does. */
function bilinearReader({ width, height, channels, data }: RawImage, [a, b, c, d, e, f]: AffineMatrix): Read {
  const within = (place: number, size: number) => Math.min(Math.max(place, 0), size - 1);
  return (x, y, out, at) => {
    const placeX = a * (x + 0.5) + b * (y + 0.5) + c;
    const placeY = d * (x + 0.5) + e * (y + 0.5) + f;
    if (placeX < 0 || placeX >= width || placeY < 0 || placeY >= height) return;
    const [column, row] = [Math.floor(placeX - 0.5), Math.floor(placeY - 0.5)];
    const [shareX, shareY] = [placeX - 0.5 - column, placeY - 0.5 - row];
    const [left, right] = [within(column, width), within(column + 1, width)];
    const [upper, lower] = [within(row, height) * width, within(row + 1, height) * width];
    for (let i = 0; i < channels; i++) {
      const [a1, b1] = [data[(upper + left) * channels + i], data[(upper + right) * channels + i]];
      const [a2, b2] = [data[(lower + left) * channels + i], data[(lower + right) * channels + i]];
      const top = a1 + (b1 - a1) * shareX;
      out[at + i] = Math.trunc(top + (a2 + (b2 - a2) * shareX - top) * shareY);
    }
  };
}

/** A picture of the same size, whose pixels come from where the matrix says. */
export function transformImage(
  image: RawImage,
  matrix: AffineMatrix,
  { interpolation = "nearest", fill = 0 }: ResampleOptions,
): RawImage {
  const { width, height, channels, data } = image;
  const bytes = fillBytes("transformImage", fill, channels);
  const out = new Uint8Array(data.length);
  if (bytes.some((byte) => byte !== 0)) for (let i = 0; i < out.length; i++) out[i] = bytes[i % channels];
  if (interpolation === "nearest") {
    nearestPixels(image, matrix).forEach((pixel, i) => {
      if (pixel < 0) return;
      for (let c = 0; c < channels; c++) out[i * channels + c] = data[pixel * channels + c];
    });
  } else {
    const read = bilinearReader(image, matrix);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) read(x, y, out, (y * width + x) * channels);
  }
  return { ...image, data: out };
}

/** @throws OptionError for an interpolation that is not known */
export function requireInterpolation(where: string, interpolation: string): void {
  if (interpolation === "nearest" || interpolation === "bilinear") return;
  throw new OptionError({
    where,
    expected: 'an interpolation of "nearest" or "bilinear"',
    received: JSON.stringify(interpolation) ?? "nothing",
    fix: "choose one of them",
  });
}

/**
 * A picture turned about its middle, against the clock, in degrees; of the same size, as torchvision's `rotate` on a
 * Pillow image. Right angles of a square move pixels and read none between.
 */
export function rotateImage(image: RawImage, angle: number, options: ResampleOptions = {}): RawImage {
  checkOptions("rotateImage", options, ["interpolation", "fill"]);
  requireNumbers("rotateImage", { angle }, { angle: { range: "that is finite", isFine: Number.isFinite } });
  requireInterpolation("rotateImage", options.interpolation ?? "nearest");
  const quarter = (((angle % 360) + 360) % 360) / 90;
  const isSquare = image.width === image.height;
  if (quarter === 0) return image;
  if (quarter === 2 || (isSquare && Number.isInteger(quarter))) return turnImage(image, quarter);
  return transformImage(image, rotationMatrix(image, angle), options);
}

/** Turned by right angles, against the clock. */
function turnImage(image: RawImage, quarters: number): RawImage {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = [
        [x, y],
        [width - 1 - y, x],
        [width - 1 - x, height - 1 - y],
        [y, height - 1 - x],
      ][quarters];
      for (let c = 0; c < channels; c++)
        out[(y * width + x) * channels + c] = data[(fromY * width + fromX) * channels + c];
    }
  }
  return { ...image, data: out };
}

/**
 * A picture moved by rotation, translation, scale and shear, of the same size, as torchvision's `affine` on a Pillow
 * image.
 * @throws OptionError for unknown options, or a scale that is not above 0
 */
export function affineImage(image: RawImage, options: AffineOptions & ResampleOptions): RawImage {
  const { interpolation, fill, ...movement } = options;
  checkOptions("affineImage", options, ["angle", "translate", "scale", "shear", "center", "interpolation", "fill"]);
  requireNumbers("affineImage", { scale: options.scale ?? 1 }, { scale: numberRules.positive });
  requireInterpolation("affineImage", interpolation ?? "nearest");
  return transformImage(image, affineMatrix(image, movement), { interpolation, fill });
}
