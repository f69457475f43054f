/** Rows of pictures with objects, and how their boxes are written. */
import type { Rows } from "./rows.ts";

/**
 * How the four numbers of a box are written: left, top, width and height, as COCO has them; left, top, right and
 * bottom, as Pascal VOC; or the middle, width and height. In pixels, or normalized: as parts of the picture's width and
 * height, as YOLO has the middle, width and height.
 */
export type BoxFormat = (typeof boxFormats)[number];

/** All of `BoxFormat`. */
export const boxFormats = [
  ...(["xywh", "xyxy", "cxcywh"] as const),
  ...(["normalized-xywh", "normalized-xyxy", "normalized-cxcywh"] as const),
] as const;

/**
 * Rows of pictures with their objects, `{ image, objects: { bbox, category, format, ... } }`: `bbox` has four numbers
 * for each, in the `format`, and `category` the name of each one's class, or its number where there are no names.
 */
export interface ObjectRows {
  rows: Rows;
  /** The classes that the files name, in their order; those of no object too. */
  classes: readonly string[];
}
