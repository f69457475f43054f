/** Focal losses: what is easy counts less. Lin et al. 2017, arXiv:1708.02002. */
import { type FloatDType, IGNORED_LABEL, known, numberRules, requireNumbers } from "../base/index.ts";
import {
  add,
  crossEntropy,
  div,
  equal,
  exp,
  gather,
  mul,
  neg,
  pow,
  sigmoid,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.ts";
import { binaryCrossEntropyWithLogits } from "./binary.ts";
import { type ReductionOptions, reduce, requireSame } from "./reduction.ts";

/** How much less easy labels count, and labels that are 1. */
export interface SigmoidFocalOptions extends ReductionOptions {
  /** Power of 1 - p, from 0, which is binary cross-entropy. @default 2 */
  gamma?: number;
  /** Weight of labels that are 1, from 0 to 1; of others it is 1 - alpha. null for no weights. @default 0.25 */
  alpha?: number | null;
}

/**
 * Binary cross-entropy of sigmoid(logits) times (1 - p)^gamma, with p the probability of the label. logits and targets:
 * [...] -> [], or [...] without a reduction. The mean is over all of them; the paper divides the sum by the number of
 * objects.
 * @throws OptionError for gamma below 0, and alpha that is not from 0 to 1
 */
export function sigmoidFocalLoss<D extends FloatDType>(
  logits: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: SigmoidFocalOptions = {},
): Tensor<D> {
  const name = "sigmoidFocalLoss";
  const { gamma = 2, alpha = 0.25, reduction } = known(name, options, { gamma: true, alpha: true, reduction: true });
  requireNumbers(name, { gamma, alpha: alpha ?? 0 }, { gamma: numberRules.notNegative, alpha: numberRules.fraction });
  requireSame(name, { logits, targets });
  /** `yes` of targets that are 1, `no` of those that are 0, and what lies between. */
  const mixed = (yes: Tensor<D>, no: Tensor<D>) => add(mul(yes, targets), mul(no, sub(1, targets)));
  const p = sigmoid(logits);
  const losses = mul(
    binaryCrossEntropyWithLogits(logits, targets, { reduction: "none" }),
    pow(mixed(sub(1, p), p), gamma),
  );
  const weights = alpha === null ? undefined : add(mul(targets, 2 * alpha - 1), 1 - alpha);
  return reduce(name, weights ? mul(losses, weights) : losses, reduction);
}

/** How much less easy rows count, and which rows and classes do. */
export interface SoftmaxFocalOptions<D extends FloatDType> extends ReductionOptions {
  /** Power of 1 - p, from 0, which is cross-entropy. @default 2 */
  gamma?: number;
  /** How much each class counts: [V]. @default all the same */
  weight?: Tensor<D>;
  /** Rows with this target do not count. @default -100 */
  ignoreIndex?: number;
}

/**
 * Cross-entropy times (1 - p)^gamma, with p the probability of the target. logits: [N, V], targets: [N] -> [], or [N]
 * without a reduction. As in cross-entropy, the mean is that of the rows that count, weighted by the weights of their
 * targets.
 * @throws OptionError for gamma below 0
 */
export function softmaxFocalLoss<D extends FloatDType>(
  logits: Tensor<D>,
  targets: Tensor<"i32" | "i64">,
  options: SoftmaxFocalOptions<NoInfer<D>> = {},
): Tensor<D> {
  const name = "softmaxFocalLoss";
  const {
    gamma = 2,
    weight,
    ignoreIndex = IGNORED_LABEL,
    reduction = "mean",
  } = known(name, options, { gamma: true, weight: true, ignoreIndex: true, reduction: true });
  requireNumbers(name, { gamma }, { gamma: numberRules.notNegative });
  const entropies = crossEntropy(logits, targets, { ignoreIndex, reduction: "none" }); // [N]
  const isIgnored = equal(targets, ignoreIndex);
  // 1 - p of an ignored row would be 0, whose power has no finite gradient below gamma 1
  const rest = where(isIgnored, 1, sub(1, exp(neg(entropies))));
  const losses = mul(entropies, pow(rest, gamma));
  const classes = where(isIgnored, 0, targets);
  const counted = where(isIgnored, 0, weight ? gather(weight, classes) : add(mul(entropies, 0), 1));
  const total = mul(losses, counted);
  if (reduction !== "mean") return reduce(name, total, reduction);
  return div(sum(total), sum(counted));
}
