/** Distances of numbers from their targets. */
import { type FloatDType, known, numberRules, requireNumbers } from "../base/index.ts";
import { abs, add, less, lessEqual, mul, square, sub, type Tensor, where } from "../tensor/index.ts";
import { type ReductionOptions, reduce, requireSame } from "./reduction.ts";

type Pair<D extends FloatDType> = readonly [outputs: Tensor<D>, targets: Tensor<NoInfer<D>>];

function difference<D extends FloatDType>(where: string, [outputs, targets]: Pair<D>): Tensor<D> {
  requireSame(where, { outputs, targets });
  return sub(outputs, targets);
}

/**
 * Squared error. outputs and targets: [...] -> [], or [...] without a reduction.
 * @throws ShapeError for two shapes. OptionError for an unknown reduction, here and in all losses
 *
 * @example
 * await mseLoss(tensor([1, 2]), tensor([1, 5])).item(); // 4.5
 */
export function mseLoss<D extends FloatDType>(
  outputs: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: ReductionOptions = {},
): Tensor<D> {
  const { reduction } = known("mseLoss", options, { reduction: true });
  return reduce("mseLoss", square(difference("mseLoss", [outputs, targets])), reduction);
}

/** Absolute error; at 0 its gradient is 0. outputs and targets: [...] -> [], or [...] without a reduction. */
export function l1Loss<D extends FloatDType>(
  outputs: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: ReductionOptions = {},
): Tensor<D> {
  const { reduction } = known("l1Loss", options, { reduction: true });
  return reduce("l1Loss", abs(difference("l1Loss", [outputs, targets])), reduction);
}

/** Where `huberLoss` bends. */
export interface HuberLossOptions extends ReductionOptions {
  /** Up to this difference the error is squared; above 0. @default 1 */
  delta?: number;
}
/**
 * Half the squared error up to delta, from there on a line of slope delta. outputs and targets: [...] -> [], or [...]
 * without a reduction. Huber 1964, https://doi.org/10.1214/aoms/1177703732.
 * @throws OptionError for delta not above 0
 */
export function huberLoss<D extends FloatDType>(
  outputs: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: HuberLossOptions = {},
): Tensor<D> {
  const { delta = 1, reduction } = known("huberLoss", options, { delta: true, reduction: true });
  requireNumbers("huberLoss", { delta }, { delta: numberRules.positive });
  const error = difference("huberLoss", [outputs, targets]);
  const size = abs(error);
  const line = mul(add(size, -delta / 2), delta);
  return reduce("huberLoss", where(lessEqual(size, delta), mul(square(error), 0.5), line), reduction);
}

/** Where `smoothL1Loss` bends. */
export interface SmoothL1LossOptions extends ReductionOptions {
  /** Up to this difference the error is squared; 0 is the absolute error. @default 1 */
  beta?: number;
}
/**
 * The Huber loss divided by its bend, so that its slope is 1 far away. outputs and targets: [...] -> [], or [...]
 * without a reduction. Girshick 2015, arXiv:1504.08083, section 2.3.
 * @throws OptionError for beta below 0
 */
export function smoothL1Loss<D extends FloatDType>(
  outputs: Tensor<D>,
  targets: Tensor<NoInfer<D>>,
  options: SmoothL1LossOptions = {},
): Tensor<D> {
  const { beta = 1, reduction } = known("smoothL1Loss", options, { beta: true, reduction: true });
  requireNumbers("smoothL1Loss", { beta }, { beta: numberRules.notNegative });
  if (beta === 0) return l1Loss(outputs, targets, { reduction });
  const error = difference("smoothL1Loss", [outputs, targets]);
  const size = abs(error);
  const losses = where(less(size, beta), mul(square(error), 0.5 / beta), add(size, -beta / 2));
  return reduce("smoothL1Loss", losses, reduction);
}
