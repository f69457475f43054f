import { checkOptions, DataError } from "../base/index.ts";
import { type Labels, type Numbers, requirePairs } from "./checks.ts";
import { classesOf } from "./classes.ts";

/** Left, top, width and height, in pixels. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/**
 * How much of what two boxes cover they have in common, from 0 to 1.
 * @param isCrowd whether the second is a crowd, of which any part will do: it is divided by the area of the first
 */
export function boxIou(a: Box, b: Box, isCrowd = false): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const common = width * height;
  return common / (isCrowd ? a[2] * a[3] : a[2] * a[3] + b[2] * b[3] - common);
}

/**
 * How much of what two masks cover they have in common; 0 where both are empty.
 * @param a one number for each pixel, 0 outside
 * @param isCrowd as of `boxIou`
 * @throws DataError for masks of different sizes
 */
export function maskIou(a: Numbers, b: Numbers, isCrowd = false): number {
  requirePairs("maskIou", a, b);
  let [common, covered] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== 0 && b[i] !== 0) common++;
    if (a[i] !== 0 || (b[i] !== 0 && !isCrowd)) covered++;
  }
  return covered === 0 ? 0 : common / covered;
}

/** Which classes of pixels count. */
export interface SegmentationOptions {
  /** A label whose pixels are left out, such as 255. @default none */
  ignoreLabel?: number;
}

/** How well pixels were classified. */
export interface SegmentationScores {
  /** The mean over classes of the intersection over union. */
  meanIou: number;
  /** By class: pixels that are of it and predicted so, over those that are either. */
  iou: ReadonlyMap<string | number, number>;
  pixelAccuracy: number;
}

/**
 * Intersection over union (Jaccard) of each class of a classification of pixels; scikit-learn's `jaccard_score` with
 * the average "macro".
 * @throws DataError where sizes differ, or no pixel counts
 */
export function segmentationScores(
  predictions: Labels,
  labels: Labels,
  options: SegmentationOptions = {},
): SegmentationScores {
  checkOptions("segmentationScores", options, ["ignoreLabel"]);
  requirePairs("segmentationScores", predictions, labels);
  const rows = Array.from(labels, (_, i) => i).filter((i) => labels[i] !== options.ignoreLabel);
  if (rows.length === 0)
    throw new DataError({
      where: "segmentationScores",
      expected: "a pixel whose label counts",
      received: `only the label ${options.ignoreLabel}`,
      fix: "leave the picture out",
    });
  const [guesses, truth] = [predictions, labels].map((list) => rows.map((i) => list[i]));
  const iou = new Map<string | number, number>();
  for (const name of classesOf(guesses, truth)) {
    let [common, covered] = [0, 0];
    for (const [i, label] of truth.entries()) {
      if (label === name && guesses[i] === name) common++;
      if (label === name || guesses[i] === name) covered++;
    }
    iou.set(name, common / covered);
  }
  const hits = truth.filter((label, i) => label === guesses[i]).length;
  const meanIou = [...iou.values()].reduce((sum, value) => sum + value, 0) / iou.size;
  return { meanIou, iou, pixelAccuracy: hits / rows.length };
}
