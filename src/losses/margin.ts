/** Hinge losses: what is right by a margin costs nothing. */
import { type FloatDType, known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import {
  add,
  arange,
  cast,
  equal,
  gather,
  mul,
  neg,
  notEqual,
  relu,
  reshape,
  softplus,
  square,
  sub,
  sum,
  type Tensor,
  takeAlong,
  unsqueeze,
  where,
} from "../tensor/index.ts";
import { type ReductionOptions, reduce, requireSame } from "./reduction.ts";

/** Labels of two kinds: 1 and -1. */
type Signs = Tensor<"f32" | "f16" | "bf16" | "i32" | "i64">;

/** The distance that is asked for. */
export interface MarginOptions extends ReductionOptions {
  /** How far beyond the border costs nothing. */
  margin?: number;
}
const names = { margin: true, reduction: true } as const;

/** The options of a loss, checked. */
function marginOf(where: string, options: MarginOptions, margin: number): Required<MarginOptions> {
  const all = { reduction: "mean" as const, ...known(where, options, names), margin: options.margin ?? margin };
  requireNumbers(where, { margin: all.margin }, { margin: numberRules.finite });
  return all;
}

/** The margin, and whether what is missing is squared. */
export interface HingeLossOptions extends MarginOptions {
  /** @default false */
  squared?: boolean;
}

/**
 * The loss of support vector machines: max(0, margin - y score). scores, and targets of 1 or -1: [...] -> [], or [...]
 * without a reduction. Margin 1 if nothing is said. Cortes and Vapnik 1995, https://doi.org/10.1007/BF00994018.
 */
export function hingeLoss<D extends FloatDType>(
  scores: Tensor<D>,
  targets: Signs,
  options: HingeLossOptions = {},
): Tensor<D> {
  const { squared = false, ...rest } = known("hingeLoss", options, { ...names, squared: true });
  const { margin, reduction } = marginOf("hingeLoss", rest, 1);
  requireSame("hingeLoss", { scores, targets });
  const losses = relu(sub(margin, mul(scores, cast(targets, scores.dtype))));
  return reduce("hingeLoss", squared ? square(losses) : losses, reduction);
}

/**
 * For distances of pairs: the distance where the target is 1, max(0, margin - distance) where it is -1. distances and
 * targets: [...] -> [], or [...] without a reduction. Margin 1 if nothing is said.
 */
export function hingeEmbeddingLoss<D extends FloatDType>(
  distances: Tensor<D>,
  targets: Signs,
  options: MarginOptions = {},
): Tensor<D> {
  const { margin, reduction } = marginOf("hingeEmbeddingLoss", options, 1);
  requireSame("hingeEmbeddingLoss", { distances, targets });
  const far = where(notEqual(targets, 1), relu(sub(margin, distances)), 0);
  const near = where(notEqual(targets, -1), distances, 0);
  return reduce("hingeEmbeddingLoss", add(far, near), reduction);
}

/**
 * For scores of pairs: max(0, margin - y (first - second)), where y of 1 says that the first is to be larger, -1 the
 * second. All [...] -> [], or [...] without a reduction. Margin 0 if nothing is said.
 */
export function marginRankingLoss<D extends FloatDType>(
  first: Tensor<D>,
  second: Tensor<NoInfer<D>>,
  targets: Signs,
  options: MarginOptions = {},
): Tensor<D> {
  const { margin, reduction } = marginOf("marginRankingLoss", options, 0);
  requireSame("marginRankingLoss", { first, second, targets });
  const lead = mul(sub(first, second), cast(targets, first.dtype));
  return reduce("marginRankingLoss", relu(sub(margin, lead)), reduction);
}

/** log(1 + exp(-y score)), a hinge without a bend. scores, and targets of 1 or -1: [...] -> [], or [...] */
export function softMarginLoss<D extends FloatDType>(
  scores: Tensor<D>,
  targets: Signs,
  options: ReductionOptions = {},
): Tensor<D> {
  const { reduction } = known("softMarginLoss", options, { reduction: true });
  requireSame("softMarginLoss", { scores, targets });
  return reduce("softMarginLoss", softplus(neg(mul(scores, cast(targets, scores.dtype)))), reduction);
}

/** The distance from other classes that is asked for, and how much classes count. */
export interface MultiMarginOptions<D extends FloatDType> extends MarginOptions {
  /** Power of what is missing: 1 or 2. @default 1 */
  p?: 1 | 2;
  /** How much each class counts, [C]. @default all the same */
  weight?: Tensor<D>;
}

/**
 * The hinge loss of several classes: for each other class max(0, margin - score of the class + score of the other)^p,
 * summed and divided by the number of classes. scores: [N, C], targets: [N] -> [], or [N] without a reduction. Margin 1
 * if nothing is said.
 * @throws OptionError for p that is neither 1 nor 2
 */
export function multiMarginLoss<D extends FloatDType>(
  scores: Tensor<D>,
  targets: Tensor<"i32" | "i64">,
  options: MultiMarginOptions<NoInfer<D>> = {},
): Tensor<D> {
  const name = "multiMarginLoss";
  const { p = 1, weight, ...rest } = known(name, options, { ...names, p: true, weight: true });
  const { margin, reduction } = marginOf(name, rest, 1);
  if (p !== 1 && p !== 2) {
    throw new OptionError({ where: name, expected: "p of 1 or 2", received: String(p), fix: "choose one of them" });
  }
  requireSame(name, { "rows of scores": scores.shape.slice(0, 1), targets });
  const count = scores.size(1);
  const column = unsqueeze(targets, 1); // [N, 1]
  const missing = relu(add(sub(scores, takeAlong(scores, column, 1)), margin)); // [N, C]
  const powered = p === 1 ? missing : square(missing);
  const isTarget = equal(cast(column, "i32"), reshape(arange(count), [1, count]));
  const losses = mul(sum(where(isTarget, 0, powered), { axes: 1 }), 1 / count); // [N]
  return reduce(name, weight ? mul(losses, gather(weight, targets)) : losses, reduction);
}
