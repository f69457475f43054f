import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, mul, sqrt, square, sub } from "../tensor/index.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  unsigned,
  withL2,
} from "./formula-optimizer.ts";

/** Settings of `AdaGrad`. */
export interface AdaGradSettings extends CommonSettings {
  /** The learning rate is divided by 1 + this times the steps before. @default 0 */
  learningRateDecay: number;
  /** What the sum of squares begins with. @default 0 */
  initialAccumulatorValue: number;
  /** Added to the square root. @default 1e-10 */
  epsilon: number;
  /** Added to the gradient, times the weight. @default 0 */
  weightDecay: number;
}
/** Options of `AdaGrad`. */
export type AdaGradOptions = OptimizerOptions<AdaGradSettings>;

const definition: OptimizerDefinition<AdaGradSettings> = {
  name: "AdaGrad",
  defaults: { learningRateDecay: 0, initialAccumulatorValue: 0, epsilon: 1e-10, weightDecay: 0, stateBits: 32 },
  check(where, settings) {
    const { notNegative, positive } = numberRules;
    requireNumbers(where, settings, {
      learningRateDecay: notNegative,
      initialAccumulatorValue: notNegative,
      epsilon: positive,
    });
  },
  usesStep: ({ learningRateDecay }) => learningRateDecay > 0,
  state: ({ initialAccumulatorValue }, shape) => ({ sum: unsigned(shape, initialAccumulatorValue) }),
  formula({ learningRateDecay, epsilon }, { learningRate, step }) {
    const rate = learningRateDecay > 0 ? div(learningRate, add(mul(sub(step, 1), learningRateDecay), 1)) : learningRate;
    return (operands) => {
      const gradient = withL2(operands);
      const sum = add(operands.state.sum, square(gradient));
      const change = div(mul(gradient, rate), add(sqrt(sum), epsilon));
      return { value: sub(operands.value, change), state: { sum } };
    };
  },
};

/**
 * Steps divided by the root of the sum of all squared gradients. Duchi et al. 2011; the formulas of
 * torch.optim.Adagrad.
 */
export class AdaGrad extends FormulaOptimizer<AdaGradSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdaGradOptions = {}) {
    super(definition, parameters, options);
  }
}
