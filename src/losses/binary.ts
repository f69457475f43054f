/** Losses of yes-no labels, each with a probability or a logit of its own. */
import { type FloatDType, known } from "../base/index.ts";
import {
  add,
  clip,
  customGradient,
  div,
  log,
  log1p,
  maximum,
  mul,
  neg,
  softplus,
  sub,
  type Tensor,
} from "../tensor/index.ts";
import { type ReductionOptions, reduce, requireSame, weighted } from "./reduction.ts";

/** How much each loss counts. */
export interface BinaryCrossEntropyOptions<D extends FloatDType> extends ReductionOptions {
  /** Factor on each loss; broadcasts to their shape. @default 1 */
  weight?: Tensor<D>;
}

/** Least logarithm of a probability, PyTorch's: the loss of an impossible label is 100, not infinite. */
const LEAST_LOG = -100;
/** Least p (1 - p) that the gradient divides by, PyTorch's. */
const LEAST_VARIANCE = 1e-12;

/** Without a reduction. The gradient is PyTorch's, which is not that of the cut logarithm: it goes on where p is 0. */
const logLoss = <D extends FloatDType>(probabilities: Tensor<D>, targets: Tensor<D>): Tensor<D> =>
  customGradient(
    (p: Tensor<D>, y: Tensor<D>) => {
      const yes = clip(log(p), { min: LEAST_LOG });
      const no = clip(log1p(neg(p)), { min: LEAST_LOG });
      return neg(add(mul(y, yes), mul(sub(1, y), no)));
    },
    (dy, [p, y]) => [
      mul(dy, div(sub(p, y), maximum(mul(p, sub(1, p)), LEAST_VARIANCE))),
      mul(dy, sub(log1p(neg(p)), log(p))),
    ],
  )(probabilities, targets);

/**
 * Binary cross-entropy, the log loss, in nats: -y log p - (1 - y) log(1 - p), with logarithms of at least -100.
 * probabilities, from 0 to 1, and targets: [...] -> [], or [...] without a reduction. Of a sigmoid use the loss with
 * logits, which is accurate.
 */
export function binaryCrossEntropy<D extends FloatDType>(
  probabilities: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: BinaryCrossEntropyOptions<NoInfer<D>> = {},
): Tensor<D> {
  const { weight, reduction } = known("binaryCrossEntropy", options, { weight: true, reduction: true });
  requireSame("binaryCrossEntropy", { probabilities, targets });
  return reduce("binaryCrossEntropy", weighted(logLoss(probabilities, targets), weight), reduction);
}

/** How much each loss counts, and each label that is 1. */
export interface BinaryLogitsOptions<D extends FloatDType> extends BinaryCrossEntropyOptions<D> {
  /** Factor on the loss of what is 1, such as the number of zeros for each one; broadcasts. @default 1 */
  posWeight?: Tensor<D>;
}

/**
 * Binary cross-entropy of sigmoid(logits), in nats, accurate for every logit. logits and targets: [...] -> [], or [...]
 * without a reduction.
 */
export function binaryCrossEntropyWithLogits<D extends FloatDType>(
  logits: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: BinaryLogitsOptions<NoInfer<D>> = {},
): Tensor<D> {
  const name = "binaryCrossEntropyWithLogits";
  const { weight, posWeight, reduction } = known(name, options, { weight: true, posWeight: true, reduction: true });
  requireSame(name, { logits, targets });
  const certainty = softplus(neg(logits)); // -log sigmoid
  const yesWeight = posWeight ? add(mul(targets, sub(posWeight, 1)), 1) : undefined;
  const losses = add(mul(sub(1, targets), logits), yesWeight ? mul(certainty, yesWeight) : certainty);
  return reduce(name, weighted(losses, weight), reduction);
}
