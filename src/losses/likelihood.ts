/** Losses of log probabilities. */
import { type FloatDType, known } from "../base/index.ts";
import * as ops from "../ops/index.ts";
import { div, exp, greater, log, mul, sub, sum, Tensor, where } from "../tensor/index.ts";
import { reduce, requireSame } from "./reduction.ts";

/** Which rows and classes count in `nllLoss`. */
export interface NllLossOptions<D extends FloatDType> extends Omit<ops.NllLossOptions, "weight"> {
  /** How much each class counts: [V]. @default all the same */
  weight?: Tensor<D>;
}

/**
 * Negative log likelihood of classes. logProbabilities: [N, V], targets: [N] -> [], or [N] without a reduction; rows
 * with target `ignoreIndex` do not count. Another target that is no class is an error, of the run where targets are not
 * constants; on WebGPU the loss is NaN then.
 * @throws ShapeError for such constants
 */
export function nllLoss<D extends FloatDType>(
  logProbabilities: Tensor<D>,
  targets: Tensor<"i32" | "i64">,
  options: NllLossOptions<NoInfer<D>> = {},
): Tensor<D> {
  known("nllLoss", options, { ignoreIndex: true, weight: true, reduction: true });
  return new Tensor(ops.nllLoss(logProbabilities.ir, targets.ir, { ...options, weight: options.weight?.ir }));
}

/** What the targets of `klDivergence` are, and how its terms become one number. */
export interface KlDivergenceOptions {
  /** Targets are log probabilities too. @default false */
  logTarget?: boolean;
  /**
   * "batchMean" is the divergence: the sum over classes, and the mean over the first axis. "mean" divides by the number
   * of classes too, as in PyTorch. @default "mean"
   */
  reduction?: ops.LossReduction | "batchMean";
}

/**
 * Kullback-Leibler divergence of the targets' distribution from that of the outputs, in nats: the sum of
 * t (log t - outputs), where terms of t = 0 are 0. outputs: log probabilities [...], targets: probabilities [...] ->
 * [], or [...] without a reduction.
 */
export function klDivergence<D extends FloatDType>(
  outputs: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: KlDivergenceOptions = {},
): Tensor<D> {
  const name = "klDivergence";
  const { logTarget = false, reduction = "mean" } = known(name, options, { logTarget: true, reduction: true });
  ops.requireReduction(name, reduction, ["batchMean"]);
  requireSame(name, { outputs, targets });
  const isPossible = logTarget ? undefined : greater(targets, 0);
  const logTargets = isPossible ? log(where(isPossible, targets, 1)) : targets;
  const probabilities = logTarget ? exp(targets) : targets;
  const terms = mul(probabilities, sub(logTargets, outputs));
  if (reduction !== "batchMean") return reduce(name, terms, reduction);
  return div(sum(terms), outputs.rank === 0 ? 1 : outputs.size(0));
}
