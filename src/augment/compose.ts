import { numberRules, requireNumbers } from "../base/index.ts";
import type { Draws } from "./draws.ts";

/** A change that depends on nothing but what is changed and the numbers it draws. */
export type Augmentation<T> = (value: T, draws: Draws) => T;

/**
 * Several augmentations of pictures, batches or sounds, one after another. Each draws from numbers of its own, so that
 * one that draws more does not change what the others do.
 *
 * @example
 * const augment = compose([randomFlip({ probability: 1 }), colorJitter({ brightness: 0.2 })]);
 * const image = { width: 2, height: 1, channels: 1, data: Uint8Array.of(0, 255) };
 * augment({ image, boxes: [{ xMin: 0, yMin: 0, xMax: 1, yMax: 1 }] }, drawsOf(0, 5)).boxes[0].xMin; // 1
 */
export function compose<T>(augmentations: readonly Augmentation<T>[]): Augmentation<T> {
  return (value, draws) => augmentations.reduce((current, augment, i) => augment(current, draws.fold(i)), value);
}

/** An augmentation that is left out but for a share of the samples. @throws OptionError for another probability */
export function randomly<T>(augment: Augmentation<T>, probability: number): Augmentation<T> {
  requireNumbers("randomly", { probability }, { probability: numberRules.fraction });
  return (value, draws) => (draws.isLikely(probability) ? augment(value, draws.fold(0)) : value);
}
