import type { Label, Numbers } from "./checks.ts";
import { type Box, boxIou, maskIou } from "./overlap.ts";

/** Something in a picture. */
export interface GroundTruth {
  /** Its picture's number or name. */
  image: Label;
  /** Its class. */
  category: Label;
  box: Box;
  /** One number for each pixel of the picture, 0 outside; for the overlap of "masks". */
  mask?: Numbers;
  /** In pixels. @default that of the box, or of the mask */
  area?: number;
  /** Whether it stands for several: what hits it counts neither way. @default false */
  isCrowd?: boolean;
}

/** Something that was detected. */
export interface Detection {
  image: Label;
  category: Label;
  box: Box;
  mask?: Numbers;
  /** How sure it is. */
  score: number;
}

/** How things of one class in one picture are matched. */
export interface MatchSettings {
  /** Least and greatest area, in pixels; what is outside counts neither way. */
  area: readonly [number, number];
  /** Most detections. */
  limit: number;
  iouThresholds: readonly number[];
  overlap: "boxes" | "masks";
}

/** What became of a detection at a threshold. */
interface Decision {
  isHit: boolean;
  isIgnored: boolean;
}

/** Detections of one class in one picture, the surest first. */
export interface ImageMatches {
  scores: number[];
  /** [thresholds][detections] */
  decisions: Decision[][];
  /** Things that are to be detected. */
  relevant: number;
}

/** A detection takes a thing that it overlaps by this much less than 1 even at the threshold 1. */
const ALMOST_ONE = 1 - 1e-10;

/**
 * Matches detections with things, the surest first, each with the free thing that it overlaps most; one that is
 * ignored only where no other fits.
 */
export function matchImage(
  detections: readonly Detection[],
  groundTruth: readonly GroundTruth[],
  { area: [least, greatest], limit, iouThresholds, overlap }: MatchSettings,
): ImageMatches {
  const isOutside = (size: number) => size < least || size > greatest;
  const truth = groundTruth
    .map((item) => ({ item, isIgnored: (item.isCrowd ?? false) || isOutside(areaOf(item, overlap)) }))
    .sort((a, b) => Number(a.isIgnored) - Number(b.isIgnored));
  const guesses = detections.toSorted((a, b) => b.score - a.score).slice(0, limit);
  const ious = guesses.map((guess) => truth.map(({ item }) => overlapOf(guess, item, overlap)));
  const decisions = iouThresholds.map((threshold) => {
    const taken = truth.map(() => false);
    return guesses.map((guess, d): Decision => {
      let best = Math.min(threshold, ALMOST_ONE);
      let match = -1;
      for (const [g, { item, isIgnored }] of truth.entries()) {
        if (taken[g] && !item.isCrowd) continue;
        if (match >= 0 && !truth[match].isIgnored && isIgnored) break;
        if (ious[d][g] < best) continue;
        best = ious[d][g];
        match = g;
      }
      if (match < 0) return { isHit: false, isIgnored: isOutside(areaOf(guess, overlap)) };
      taken[match] = true;
      return { isHit: true, isIgnored: truth[match].isIgnored };
    });
  });
  const relevant = truth.filter(({ isIgnored }) => !isIgnored).length;
  return { scores: guesses.map(({ score }) => score), decisions, relevant };
}

function areaOf(item: GroundTruth | Detection, overlap: "boxes" | "masks"): number {
  if ("area" in item && item.area !== undefined) return item.area;
  if (overlap === "boxes") return item.box[2] * item.box[3];
  return Array.from(item.mask as Numbers).filter((pixel) => pixel !== 0).length;
}

const overlapOf = (guess: Detection, truth: GroundTruth, overlap: "boxes" | "masks"): number =>
  overlap === "boxes"
    ? boxIou(guess.box, truth.box, truth.isCrowd)
    : maskIou(guess.mask as Numbers, truth.mask as Numbers, truth.isCrowd);
