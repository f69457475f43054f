/** Losses that bring vectors together and apart. */
import { type FloatDType, known, numberRules, requireNumbers } from "../base/index.ts";
import { add, equal, minimum, mul, relu, square, sub, type Tensor, where } from "../tensor/index.ts";
import { cosineOf, distanceOf, LEAST_DIFFERENCE } from "./distances.ts";
import type { MarginOptions } from "./margin.ts";
import { reduce, requireSame } from "./reduction.ts";

/** 1 for pairs that belong together; -1, or 0, for others. [N] */
type PairLabels = Tensor<"f32" | "f16" | "bf16" | "i32" | "i64">;

/**
 * 1 - cosine for pairs with target 1; max(0, cosine - margin) for those with -1. The cosine with a zero vector is 0.
 * first and second: [N, D], targets: [N] -> [], or [N] without a reduction. Margin 0 if nothing is said.
 */
export function cosineEmbeddingLoss<D extends FloatDType>(
  first: Tensor<D>,
  second: Tensor<NoInfer<D>>,
  targets: PairLabels,
  options: MarginOptions = {},
): Tensor<D> {
  const name = "cosineEmbeddingLoss";
  const { margin = 0, reduction } = known(name, options, { margin: true, reduction: true });
  requireNumbers(name, { margin }, { margin: numberRules.finite });
  requireSame(name, { first, second });
  requireSame(name, { targets, "rows of vectors": first.shape.slice(0, -1) });
  const cosine = cosineOf(first, second);
  const apart = where(equal(targets, -1), relu(sub(cosine, margin)), 0);
  return reduce(name, where(equal(targets, 1), sub(1, cosine), apart), reduction);
}

/** How distance is measured, and how much farther the negative has to be. */
export interface TripletMarginOptions extends MarginOptions {
  /** Of the norm. @default 2 */
  p?: number;
  /** Added to differences. @default 1e-6 */
  epsilon?: number;
  /** The negative is held against the nearer of anchor and positive. Balntas et al. 2016. @default false */
  swap?: boolean;
}

/** Another distance, and how much farther the negative has to be. */
export interface TripletDistanceOptions<D extends FloatDType> extends MarginOptions {
  /** Of rows: two of [N, D] -> [N]. @default Euclidean, with 1e-6 added to differences */
  distance?: (a: Tensor<D>, b: Tensor<D>) => Tensor<D>;
  /** The negative is held against the nearer of anchor and positive. Balntas et al. 2016. @default false */
  swap?: boolean;
}

/**
 * max(0, margin + distance to the positive - distance to the negative), by any distance. anchors, positives and
 * negatives: [N, D] -> [], or [N] without a reduction. Margin 1 if nothing is said. Schroff et al. 2015,
 * arXiv:1503.03832, equation 3.
 */
export function tripletMarginWithDistanceLoss<D extends FloatDType>(
  anchors: Tensor<D>,
  positives: Tensor<NoInfer<D>>,
  negatives: Tensor<NoInfer<D>>,
  options: TripletDistanceOptions<NoInfer<D>> = {},
): Tensor<D> {
  const name = "tripletMarginWithDistanceLoss";
  const {
    margin = 1,
    distance = distanceOf,
    swap = false,
    reduction,
  } = known(name, options, { distance: true, margin: true, swap: true, reduction: true });
  requireNumbers(name, { margin }, { margin: numberRules.finite });
  requireSame(name, { anchors, positives, negatives });
  const fromAnchor = distance(anchors, negatives);
  const far = swap ? minimum(fromAnchor, distance(positives, negatives)) : fromAnchor;
  return reduce(name, relu(sub(add(distance(anchors, positives), margin), far)), reduction);
}

/**
 * max(0, margin + distance to the positive - distance to the negative), by a norm. anchors, positives and negatives:
 * [N, D] -> [], or [N] without a reduction. Margin 1 if nothing is said. Schroff et al. 2015, arXiv:1503.03832.
 * @throws OptionError for p not above 0
 */
export function tripletMarginLoss<D extends FloatDType>(
  anchors: Tensor<D>,
  positives: Tensor<NoInfer<D>>,
  negatives: Tensor<NoInfer<D>>,
  options: TripletMarginOptions = {},
): Tensor<D> {
  const {
    p = 2,
    epsilon = LEAST_DIFFERENCE,
    ...rest
  } = known("tripletMarginLoss", options, {
    ...({ p: true, epsilon: true, swap: true } as const),
    ...({ margin: true, reduction: true } as const),
  });
  requireNumbers("tripletMarginLoss", { p, epsilon }, { p: numberRules.limit, epsilon: numberRules.notNegative });
  const distance = (a: Tensor<D>, b: Tensor<D>) => distanceOf(a, b, { p, epsilon });
  return tripletMarginWithDistanceLoss(anchors, positives, negatives, { ...rest, distance });
}

/**
 * Half the squared distance of pairs with label 1; half the square of max(0, margin - distance) of others. first and
 * second: [N, D], labels: [N] -> [], or [N] without a reduction. Margin 1 if nothing is said. Hadsell et al. 2006,
 * https://doi.org/10.1109/CVPR.2006.100.
 */
export function contrastiveLoss<D extends FloatDType>(
  first: Tensor<D>,
  second: Tensor<NoInfer<D>>,
  labels: PairLabels,
  options: Omit<TripletDistanceOptions<NoInfer<D>>, "swap"> = {},
): Tensor<D> {
  const name = "contrastiveLoss";
  const {
    margin = 1,
    distance = distanceOf,
    reduction,
  } = known(name, options, {
    ...({ margin: true, distance: true, reduction: true } as const),
  });
  requireNumbers(name, { margin }, { margin: numberRules.notNegative });
  requireSame(name, { first, second });
  const apart = distance(first, second); // [N]
  requireSame(name, { labels, distances: apart });
  const losses = where(equal(labels, 1), square(apart), square(relu(sub(margin, apart))));
  return reduce(name, mul(losses, 0.5), reduction);
}
