import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, mul, sqrt, square, sub, type Tensor } from "../tensor/index.ts";
import { requireBooleans } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
  unsigned,
  withL2,
} from "./formula-optimizer.ts";
import { runningMean, runningSquare } from "./formulas.ts";

/** Settings of `RmsProp`. */
export interface RmsPropSettings extends CommonSettings {
  /** Decay rate of the running means. @default 0.99 */
  alpha: number;
  /** Added to the square root. @default 1e-8 */
  epsilon: number;
  /** Share of the last update kept in the next. @default 0 */
  momentum: number;
  /** Divides by the standard deviation of gradients, not by the root of their mean square. @default false */
  centered: boolean;
  /** Added to the gradient, times the weight. @default 0 */
  weightDecay: number;
}
/** Options of `RmsProp`. */
export type RmsPropOptions = OptimizerOptions<RmsPropSettings>;

const definition: OptimizerDefinition<RmsPropSettings> = {
  name: "RmsProp",
  defaults: { alpha: 0.99, epsilon: 1e-8, momentum: 0, centered: false, weightDecay: 0, stateBits: 32 },
  check(where, settings) {
    const { share, positive } = numberRules;
    requireNumbers(where, settings, { alpha: share, epsilon: positive, momentum: share });
    requireBooleans(where, { centered: settings.centered });
  },
  usesStep: () => false,
  state: ({ momentum, centered }, shape) => ({
    square: unsigned(shape),
    ...(centered && { mean: signed(shape) }),
    ...(momentum > 0 && { momentum: signed(shape) }),
  }),
  formula:
    ({ alpha, epsilon, momentum, centered }, { learningRate }) =>
    (operands) => {
      const { value, state } = operands;
      const gradient = withL2(operands);
      const next: Record<string, Tensor<"f32">> = { square: runningSquare(state.square, gradient, alpha) };
      if (centered) next.mean = runningMean(state.mean, gradient, alpha);
      const spread = centered ? sub(next.square, square(next.mean)) : next.square;
      let direction = div(gradient, add(sqrt(spread), epsilon));
      if (momentum > 0) direction = next.momentum = add(mul(state.momentum, momentum), direction);
      return { value: sub(value, mul(direction, learningRate)), state: next };
    },
};

/**
 * Steps divided by the root of the running mean of squared gradients. Hinton 2012; centred and with momentum as in
 * Graves 2013, arXiv:1308.0850; the formulas of torch.optim.RMSprop.
 */
export class RmsProp extends FormulaOptimizer<RmsPropSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: RmsPropOptions = {}) {
    super(definition, parameters, options);
  }
}
