import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { abs, add, div, maximum, mul, sub } from "../tensor/index.ts";
import { requireBetas } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
  unsigned,
  withL2,
} from "./formula-optimizer.ts";
import { biasCorrection, runningMean } from "./formulas.ts";

/** Settings of `AdaMax`. */
export interface AdaMaxSettings extends CommonSettings {
  /** Decay rates of the running mean of the gradient and of its running largest size. @default [0.9, 0.999] */
  betas: readonly [number, number];
  /** Added to the size of each gradient. @default 1e-8 */
  epsilon: number;
  /** Added to the gradient, times the weight. @default 0 */
  weightDecay: number;
}
/** Options of `AdaMax`. */
export type AdaMaxOptions = OptimizerOptions<AdaMaxSettings>;

const definition: OptimizerDefinition<AdaMaxSettings> = {
  name: "AdaMax",
  defaults: { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0, stateBits: 32 },
  check(where, settings) {
    requireBetas(where, settings.betas);
    requireNumbers(where, settings, { epsilon: numberRules.positive });
  },
  usesStep: () => true,
  state: (_, shape) => ({ mean: signed(shape), largest: unsigned(shape) }),
  formula({ betas: [beta1, beta2], epsilon }, { learningRate, step }) {
    const rate = div(learningRate, biasCorrection(beta1, step));
    return (operands) => {
      const { value, state } = operands;
      const gradient = withL2(operands);
      const mean = runningMean(state.mean, gradient, beta1);
      const largest = maximum(mul(state.largest, beta2), add(abs(gradient), epsilon));
      return { value: sub(value, mul(div(mean, largest), rate)), state: { mean, largest } };
    };
  },
};

/**
 * Adam with the largest gradient of late in place of the root of their mean square. Kingma and Ba 2014,
 * arXiv:1412.6980, section 7.1; the formulas of torch.optim.Adamax.
 */
export class AdaMax extends FormulaOptimizer<AdaMaxSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdaMaxOptions = {}) {
    super(definition, parameters, options);
  }
}
