import { checkOptions, DataError } from "../base/index.ts";
import type { Label } from "./checks.ts";
import { classesOf } from "./classes.ts";
import { type Detection, type GroundTruth, type ImageMatches, matchImage } from "./detection-matches.ts";

/** How detections are judged; the defaults are COCO's. */
export interface DetectionOptions {
  /** What of the two must overlap. @default "boxes" */
  overlap?: "boxes" | "masks";
  /** The least intersections over unions that are hits. @default 0.5, 0.55, ... 0.95 */
  iouThresholds?: readonly number[];
  /** Most detections of a class in a picture that count. @default [1, 10, 100] */
  maxDetections?: readonly number[];
}

/** COCO's numbers; -1 where there is nothing of the kind. */
export interface DetectionScores {
  /** Mean average precision over thresholds and classes. */
  map: number;
  /** At the threshold 0.5 alone; NaN where it is none of them. */
  map50: number;
  /** At the threshold 0.75 alone; NaN where it is none of them. */
  map75: number;
  /** Of things below 32 x 32 pixels, of those up to 96 x 96, and of larger ones. */
  mapSmall: number;
  mapMedium: number;
  mapLarge: number;
  /** Mean recall with so many detections of a class in a picture. */
  recallAt: Readonly<Record<number, number>>;
  recallSmall: number;
  recallMedium: number;
  recallLarge: number;
  /** Mean average precision of each class. */
  byCategory: ReadonlyMap<Label, number>;
}

/** COCO's sizes, in pixels. */
const areas = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;
type AreaName = keyof typeof areas;

/** Numbers at equal distances as numpy's linspace rounds them: a recall that equals one to the last bit reaches it. */
const evenly = (first: number, last: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? last : first + i * ((last - first) / (count - 1))));
const recallPoints = evenly(0, 1, 101);
const defaultThresholds = evenly(0.5, 0.95, 10);

/** Of one class and size: by threshold, the precision at each recall and the recall, -1 where there is nothing. */
interface ClassCurves {
  precisions: readonly Float64Array[];
  recalls: readonly number[];
}

/**
 * Mean average precision of detections, interpolated at 101 recalls; pycocotools' `COCOeval`. Lin et al. 2014,
 * arXiv:1405.0312.
 * @throws DataError without ground truth, for a score that is not finite, or without the masks that are asked for
 */
export function detectionScores(
  detections: readonly Detection[],
  groundTruth: readonly GroundTruth[],
  options: DetectionOptions = {},
): DetectionScores {
  checkOptions("detectionScores", options, ["overlap", "iouThresholds", "maxDetections"]);
  const { overlap = "boxes", iouThresholds = defaultThresholds, maxDetections = [1, 10, 100] } = options;
  requireItems(detections, groundTruth, overlap);
  const limits = [...maxDetections].sort((a, b) => a - b);
  const most = limits[limits.length - 1];
  const categories = classesOf(groundTruth.map(({ category }) => category));
  const byClass = groupedBy(detections, groundTruth, categories);
  const curvesOf = (area: AreaName, limit: number) =>
    byClass.map((images) => {
      const settings = { area: areas[area], limit: most, iouThresholds, overlap };
      return curves(
        images.map(({ guesses, truth }) => matchImage(guesses, truth, settings)),
        limit,
        iouThresholds.length,
      );
    });
  const all = curvesOf("all", most);
  const [small, medium, large] = (["small", "medium", "large"] as const).map((area) => curvesOf(area, most));
  const at = (threshold: number) => {
    const place = iouThresholds.indexOf(threshold);
    return place < 0 ? Number.NaN : meanPrecision(all, [place]);
  };
  return {
    map: meanPrecision(all),
    map50: at(0.5),
    map75: at(0.75),
    mapSmall: meanPrecision(small),
    mapMedium: meanPrecision(medium),
    mapLarge: meanPrecision(large),
    recallAt: Object.fromEntries(limits.map((limit) => [limit, meanRecall(curvesOf("all", limit))])),
    recallSmall: meanRecall(small),
    recallMedium: meanRecall(medium),
    recallLarge: meanRecall(large),
    byCategory: new Map(categories.map((category, i) => [category, meanPrecision([all[i]])])),
  };
}

function requireItems(detections: readonly Detection[], truth: readonly GroundTruth[], overlap: string): void {
  const refuse = (expected: string, received: string, fix: string): never => {
    throw new DataError({ where: "detectionScores", expected, received, fix });
  };
  if (truth.length === 0) refuse("at least one thing in the pictures", "none", "give the ground truth");
  for (const [i, { score }] of detections.entries())
    if (!Number.isFinite(score)) refuse("finite scores", `${score} of detection ${i}`, "leave it out");
  if (overlap === "masks" && [...detections, ...truth].some(({ mask }) => mask === undefined))
    refuse("a mask of everything", "something without", 'give masks, or the overlap "boxes"');
}

/** What is of a class in a picture. */
interface ImageItems {
  guesses: Detection[];
  truth: GroundTruth[];
}

/** Of each class the pictures that have it, in their order. */
function groupedBy(
  detections: readonly Detection[],
  groundTruth: readonly GroundTruth[],
  categories: readonly Label[],
): ImageItems[][] {
  const images = classesOf([...groundTruth, ...detections].map(({ image }) => image));
  const table = new Map(categories.map((category) => [category, new Map<Label, ImageItems>()]));
  const itemsOf = ({ image, category }: GroundTruth | Detection): ImageItems | undefined => {
    const row = table.get(category);
    const present = row?.get(image) ?? { guesses: [], truth: [] };
    row?.set(image, present);
    return row && present;
  };
  for (const item of groundTruth) itemsOf(item)?.truth.push(item);
  for (const item of detections) itemsOf(item)?.guesses.push(item);
  return [...table.values()].map((row) => images.map((image) => row.get(image)).filter((items) => items !== undefined));
}

function curves(images: readonly ImageMatches[], limit: number, thresholds: number): ClassCurves {
  const relevant = images.reduce((sum, { relevant }) => sum + relevant, 0);
  if (relevant === 0)
    return {
      precisions: Array.from({ length: thresholds }, () => new Float64Array(recallPoints.length).fill(-1)),
      recalls: new Array<number>(thresholds).fill(-1),
    };
  const order = images
    .flatMap(({ scores }, image) => scores.slice(0, limit).map((score, at) => ({ score, image, at })))
    .sort((a, b) => b.score - a.score);
  const precisions: Float64Array[] = [];
  const recalls: number[] = [];
  for (let t = 0; t < thresholds; t++) {
    let [hits, misses] = [0, 0];
    const points = order.map(({ image, at }) => {
      const { isHit, isIgnored } = images[image].decisions[t][at];
      if (!isIgnored && isHit) hits++;
      if (!isIgnored && !isHit) misses++;
      return { recall: hits / relevant, precision: hits / (hits + misses + Number.EPSILON) };
    });
    precisions.push(interpolated(points));
    recalls.push(points.at(-1)?.recall ?? 0);
  }
  return { precisions, recalls };
}

/** The highest precision at or beyond each recall; 0 beyond the last. */
function interpolated(points: { recall: number; precision: number }[]): Float64Array {
  for (let i = points.length - 1; i > 0; i--)
    points[i - 1].precision = Math.max(points[i - 1].precision, points[i].precision);
  let at = 0;
  return Float64Array.from(recallPoints, (recall) => {
    while (at < points.length && points[at].recall < recall) at++;
    return points[at]?.precision ?? 0;
  });
}

/** The mean of what is not -1; -1 of nothing. */
function meanOfPresent(values: readonly number[]): number {
  const present = values.filter((value) => value > -1);
  return present.length === 0 ? -1 : present.reduce((sum, value) => sum + value, 0) / present.length;
}

const meanPrecision = (classes: readonly ClassCurves[], thresholds?: readonly number[]): number =>
  meanOfPresent(
    classes.flatMap(({ precisions }) =>
      precisions.filter((_, t) => thresholds?.includes(t) ?? true).flatMap((list) => [...list]),
    ),
  );
const meanRecall = (classes: readonly ClassCurves[]): number =>
  meanOfPresent(classes.flatMap(({ recalls }) => recalls));
