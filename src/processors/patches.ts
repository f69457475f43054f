/**
 * Pictures as Qwen2-VL takes them: of any size, cut into patches in the order in which the model merges them. Wang et
 * al. 2024, arXiv:2409.12191.
 */
import { DataError, withinLimit } from "../base/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";

type Json = Record<string, unknown>;

export interface PatchSettings {
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** So many rows and columns of patches become one token. */
  mergeSize: number;
  /** Frames in a patch; a picture is repeated. */
  temporalPatchSize: number;
}

/** Least and greatest number of pixels, under the names that preprocessor_config.json has for them. */
export interface Area {
  shortest_edge: number;
  longest_edge: number;
}

/** A picture, its channels one after another. */
export interface Planes {
  width: number;
  height: number;
  values: Float32Array;
}

/** @throws DataError for a size that is none */
export function patchSettings(path: string, json: Json): PatchSettings {
  const read = (key: string, fallback: number): number => {
    const value = json[key] ?? fallback;
    if (Number.isSafeInteger(value) && (value as number) > 0)
      return withinLimit("imageSide", value as number, `${path}, ${key}`, "pixels");
    throw new DataError({
      where: `${path}, ${key}`,
      expected: "a positive integer",
      received: JSON.stringify(value),
      fix: "correct the file",
    });
  };
  return {
    patchSize: read("patch_size", 14),
    mergeSize: read("merge_size", 2),
    temporalPatchSize: read("temporal_patch_size", 2),
  };
}

/** The bounds of the area under one name: published files have min_pixels and max_pixels. */
export function withArea(json: Json, defaults: Area): Json {
  const size = (json.size ?? {}) as Partial<Area>;
  const {
    min_pixels: least = size.shortest_edge ?? defaults.shortest_edge,
    max_pixels: most = size.longest_edge ?? defaults.longest_edge,
  } = json;
  return { ...json, size: { shortest_edge: least, longest_edge: most } };
}

/** Python rounds halves to even numbers. */
export const roundHalfEven = (x: number) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
const MAX_RATIO = 200;

/**
 * The size nearest to a picture's with whole groups of patches on both sides and an area within bounds. @throws
 * DataError for a picture that is too narrow
 */
export function fitPatches(
  { width, height }: { width: number; height: number },
  { patchSize, mergeSize }: PatchSettings,
  area: Area,
) {
  const step = patchSize * mergeSize;
  if (Math.max(width, height) / Math.min(width, height) > MAX_RATIO) {
    const expected = `sides of a ratio of at most ${MAX_RATIO}`;
    throw new DataError({
      where: "picture",
      expected,
      received: `${width} x ${height} pixels`,
      fix: "cut it to a shorter piece",
    });
  }
  const rounded = [height, width].map((side) => roundHalfEven(side / step) * step);
  const pixels = rounded[0] * rounded[1];
  let sides = rounded;
  if (pixels > area.longest_edge) {
    const factor = Math.sqrt((height * width) / area.longest_edge);
    sides = [height, width].map((side) => Math.max(step, Math.floor(side / factor / step) * step));
  } else if (pixels < area.shortest_edge) {
    const factor = Math.sqrt(area.shortest_edge / (height * width));
    sides = [height, width].map((side) => Math.ceil((side * factor) / step) * step);
  }
  return { height: sides[0], width: sides[1] };
}

/** -> all patches [L, 3 time patch patch], and the grid of each picture [N, 3] */
export function toPatches(
  pictures: readonly Planes[],
  settings: PatchSettings,
): { pixelValues: Tensor<"f32">; imageGridThw: Tensor<"i32"> } {
  const { patchSize, temporalPatchSize } = settings;
  const width = 3 * temporalPatchSize * patchSize ** 2;
  const grids = pictures.map((picture) => [1, picture.height / patchSize, picture.width / patchSize]);
  const counts = grids.map(([time, rows, columns]) => time * rows * columns);
  const values = new Float32Array(counts.reduce((a, b) => a + b, 0) * width);
  let at = 0;
  for (const [i, picture] of pictures.entries()) {
    cut(picture, settings, values.subarray(at, at + counts[i] * width));
    at += counts[i] * width;
  }
  return {
    pixelValues: tensor(values, { shape: [values.length / width, width] }),
    imageGridThw: tensor(Int32Array.from(grids.flat()), { shape: [grids.length, 3] }),
  };
}

/** Patches go by groups of merge x merge, within which they go by rows; a patch by channels, frames, rows. */
function cut(
  { width, height, values }: Planes,
  { patchSize, mergeSize, temporalPatchSize }: PatchSettings,
  into: Float32Array,
): void {
  const step = patchSize * mergeSize;
  let at = 0;
  for (let top = 0; top < height; top += step) {
    for (let left = 0; left < width; left += step) {
      for (let part = 0; part < mergeSize ** 2; part++) {
        const y = top + Math.floor(part / mergeSize) * patchSize;
        const x = left + (part % mergeSize) * patchSize;
        for (let channel = 0; channel < 3; channel++) {
          for (let frame = 0; frame < temporalPatchSize; frame++) {
            for (let row = 0; row < patchSize; row++) {
              const start = (channel * height + y + row) * width + x;
              into.set(values.subarray(start, start + patchSize), at);
              at += patchSize;
            }
          }
        }
      }
    }
  }
}
