import { numberRules, requireNumbers } from "../base/index.ts";
import { add, clip, div, minimum, mul, sqrt, square, sum, type Tensor } from "../tensor/index.ts";

/** Added to the norm before dividing, as torch.nn.utils.clip_grad_norm_ does. */
const NORM_EPSILON = 1e-6;

/** Euclidean norm of all gradients together. */
export function globalNorm(gradients: readonly Tensor<"f32">[]): Tensor<"f32"> {
  return sqrt(gradients.map((gradient) => sum(square(gradient))).reduce((a, b) => add(a, b)));
}

/**
 * The factor, at most 1, that scales gradients of norm `norm` to a norm of at most `maxNorm`. Pascanu et al. 2012,
 * arXiv:1211.5063. `maxNorm` is above 0; Infinity clips nothing.
 * @throws OptionError for another maxNorm
 */
export function clipFactor(norm: Tensor<"f32">, maxNorm: number): Tensor<"f32"> {
  requireNumbers("clipFactor", { maxNorm }, { maxNorm: numberRules.limit });
  return minimum(div(maxNorm, add(norm, NORM_EPSILON)), 1);
}

/** Scales gradients so that their norm together is at most `maxNorm`. @throws OptionError as `clipFactor` */
export function clipGradientNorm(
  gradients: readonly Tensor<"f32">[],
  maxNorm: number,
): { gradients: Tensor<"f32">[]; norm: Tensor<"f32"> } {
  const norm = globalNorm(gradients);
  const factor = clipFactor(norm, maxNorm);
  return { gradients: gradients.map((gradient) => mul(gradient, factor)), norm };
}

/**
 * Gradients with each number cut to between -maxValue and maxValue, as torch.nn.utils.clip_grad_value_. `maxValue` is
 * above 0; Infinity clips nothing. @throws OptionError for another maxValue
 */
export function clipGradientValue(gradients: readonly Tensor<"f32">[], maxValue: number): Tensor<"f32">[] {
  requireNumbers("clipGradientValue", { maxValue }, { maxValue: numberRules.limit });
  if (maxValue === Number.POSITIVE_INFINITY) return [...gradients];
  return gradients.map((gradient) => clip(gradient, { min: -maxValue, max: maxValue }));
}
