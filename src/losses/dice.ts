/** Losses of overlap, for segmentation. Milletari et al. 2016, arXiv:1606.04797. */
import { type FloatDType, known, numberRules, requireNumbers, ShapeError } from "../base/index.ts";
import { add, cast, div, moveAxis, mul, oneHot, softmax, square, sub, sum, type Tensor } from "../tensor/index.ts";
import { type ReductionOptions, reduce, requireSame } from "./reduction.ts";

/** How overlap is measured. */
export interface DiceLossOptions extends ReductionOptions {
  /** Added to both halves of the fraction: nothing where there is nothing to find costs nothing. @default 1 */
  smooth?: number;
  /** Sizes in the denominator are sums of squares, as in the paper. @default false */
  squared?: boolean;
}
const names = { smooth: true, squared: true, reduction: true } as const;

/** 1 - (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth), over some axes. */
function diceOf<D extends FloatDType>(
  where: string,
  [p, y]: readonly [Tensor<D>, Tensor<D>],
  axes: readonly number[],
  { smooth = 1, squared = false }: DiceLossOptions,
): Tensor<D> {
  requireNumbers(where, { smooth }, { smooth: numberRules.notNegative });
  const total = (x: Tensor<D>) => sum(squared ? square(x) : x, { axes });
  const overlap = add(mul(sum(mul(p, y), { axes }), 2), smooth);
  return sub(1, div(overlap, add(add(total(p), total(y)), smooth)));
}

/** The axes behind the first so many. */
const axesFrom = (first: number, { rank }: Tensor) => Array.from({ length: rank - first }, (_, i) => first + i);

/**
 * The soft Dice loss of one kind of thing: 1 - (2 overlap + smooth) / (both sizes + smooth), for each example.
 * probabilities and targets: [N, ...] -> [], or [N] without a reduction.
 * @throws OptionError for smooth below 0
 */
export function diceLoss<D extends FloatDType>(
  probabilities: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: DiceLossOptions = {},
): Tensor<D> {
  known("diceLoss", options, names);
  requireSame("diceLoss", { probabilities, targets });
  const losses = diceOf("diceLoss", [probabilities, targets], axesFrom(1, probabilities), options);
  return reduce("diceLoss", losses, options.reduction);
}

/**
 * The soft Dice loss of several classes, each by itself, by their probabilities softmax(logits). logits: [N, C, ...],
 * targets: classes [N, ...] -> [], or [N, C] without a reduction.
 * @throws ShapeError for targets of another shape. OptionError for smooth below 0
 */
export function multiClassDiceLoss<D extends FloatDType>(
  logits: Tensor<D>,
  targets: Tensor<"i32" | "i64">,
  options: DiceLossOptions = {},
): Tensor<D> {
  const name = "multiClassDiceLoss";
  known(name, options, names);
  if (logits.rank < 3) {
    throw new ShapeError({
      where: name,
      expected: "logits [N, C, ...] of places in at least one axis",
      received: String(logits),
      fix: "put the classes in axis 1",
    });
  }
  const places = [logits.shape[0], ...logits.shape.slice(2)];
  requireSame(name, { targets, "logits without classes": places });
  const probabilities = softmax(logits, 1);
  const isClass = cast(moveAxis(oneHot(targets, logits.size(1)), -1, 1), logits.dtype); // [N, C, ...]
  return reduce(name, diceOf(name, [probabilities, isClass], axesFrom(2, logits), options), options.reduction);
}
