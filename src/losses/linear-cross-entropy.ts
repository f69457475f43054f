import { IGNORED_LABEL, known, numberRules, requireNumbers, ShapeError } from "../base/index.ts";
import {
  add,
  cast,
  div,
  equal,
  gather,
  less,
  logicalOr,
  mul,
  sub,
  sum,
  type Tensor,
  where,
  zeros,
} from "../tensor/index.ts";
import { type ReductionOptions, reduce, requireSame } from "./reduction.ts";
import { rowStatistics } from "./row-statistics.ts";

/** What the output layer does besides its product, which rows count, and how much is computed at a time. */
export interface LinearCrossEntropyOptions extends ReductionOptions {
  /** Added to the product: [V]. @default none */
  bias?: Tensor<"f32">;
  /** Most classes whose logits exist at a time: [N, chunk] of them. @default 1024 */
  chunk?: number;
  /** Rows with this target do not count. @default -100 */
  ignoreIndex?: number;
  /** Share of the target probability that is spread evenly over all classes. @default 0 */
  labelSmoothing?: number;
  /** Factor on logits, not 0. @default 1 */
  logitScale?: number;
  /** Bound of logits after the factor, by cap tanh(x / cap), above 0. @default none */
  logitSoftCap?: number;
}

const names = {
  ...({ bias: true, chunk: true, ignoreIndex: true, labelSmoothing: true } as const),
  ...({ logitScale: true, logitSoftCap: true, reduction: true } as const),
};

/**
 * The cross-entropy of a large vocabulary, `crossEntropy(hidden Wᵀ + bias, targets)`, whose logits [N, V] never exist
 * at once, nor do their gradients: they are computed for `chunk` classes at a time, and again for the gradient. hidden:
 * [N, D], weight: [V, D], targets: i32 [N] -> [], or [N] without a reduction, 0 for rows that do not count. The mean is
 * that of the rows that count. In f32, also under `autocast`. Wijmans et al. 2024, arXiv:2411.09009.
 *
 * A target that is neither a class nor ignoreIndex is an error of the run; on WebGPU the loss is NaN then. Where no
 * number from chunk / 4 to chunk divides V, the weight is copied.
 * @throws ShapeError for shapes that do not fit. OptionError for numbers out of range
 */
export function linearCrossEntropy(
  hidden: Tensor<"f32">,
  weight: Tensor<"f32">,
  targets: Tensor<"i32" | "i64">,
  options: LinearCrossEntropyOptions = {},
): Tensor<"f32"> {
  const name = "linearCrossEntropy";
  const { bias, chunk = 1024, ignoreIndex = IGNORED_LABEL, ...more } = known(name, options, names);
  const { labelSmoothing = 0, logitScale = 1, logitSoftCap, reduction = "mean" } = more;
  requireNumbers(
    name,
    { chunk, ignoreIndex, labelSmoothing, logitScale, logitSoftCap: logitSoftCap ?? 1 },
    {
      chunk: numberRules.positiveInteger,
      ignoreIndex: numberRules.integer,
      labelSmoothing: numberRules.fraction,
      logitScale: numberRules.finite,
      logitSoftCap: numberRules.positive,
    },
  );
  requireShapes(hidden, weight, targets, bias);
  const count = weight.size(0);
  const isIgnored = equal(targets, ignoreIndex);
  const classes = cast(where(isIgnored, 0, targets), "i32");
  const layer = { hidden, weight, bias, scale: logitScale, softCap: logitSoftCap };
  const { logSum, picked, total } = rowStatistics(layer, classes, { chunk, hasTotal: labelSmoothing > 0 });
  const ofTarget = add(sub(logSum, picked), noClass(classes, count)); // [N]
  const losses = total
    ? add(mul(ofTarget, 1 - labelSmoothing), mul(sub(logSum, mul(total, 1 / count)), labelSmoothing))
    : ofTarget;
  const counted = where(isIgnored, 0, losses);
  if (reduction !== "mean") return reduce(name, counted, reduction);
  return div(sum(counted), sum(where(isIgnored, 0, add(mul(logSum, 0), 1))));
}

/** 0 for classes; for others an error of the run, whose lookups fail, or NaN on WebGPU, where none does. [N] */
function noClass(classes: Tensor<"i32">, count: number): Tensor<"f32"> {
  const isStrange = logicalOr(less(classes, 0), less(count - 1, classes));
  const index = where(less(classes, 0), BEYOND, classes); // a negative one would count from the end
  return where(isStrange, Number.NaN, gather(zeros([count]), index));
}
/** Beyond every axis. */
const BEYOND = 2 ** 31 - 1;

/** @throws ShapeError for hidden states, weight, bias and targets that do not fit together */
function requireShapes(
  hidden: Tensor<"f32">,
  weight: Tensor<"f32">,
  targets: Tensor<"i32" | "i64">,
  bias: Tensor<"f32"> | undefined,
): void {
  const name = "linearCrossEntropy";
  if (hidden.rank !== 2 || weight.rank !== 2) {
    throw new ShapeError({
      where: name,
      expected: "hidden [N, D] and weight [V, D]",
      received: `${hidden} and ${weight}`,
      fix: "reshape hidden states to [B * T, D]",
    });
  }
  requireSame(name, { "rows of weight": weight.shape.slice(1), "rows of hidden": hidden.shape.slice(1) });
  requireSame(name, { targets, "first axis of hidden": hidden.shape.slice(0, 1) });
  if (bias) requireSame(name, { bias, "first axis of weight": weight.shape.slice(0, 1) });
}
