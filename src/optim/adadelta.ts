import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, mul, sqrt, sub } from "../tensor/index.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  unsigned,
  withL2,
} from "./formula-optimizer.ts";
import { runningSquare } from "./formulas.ts";

/** Settings of `AdaDelta`. */
export interface AdaDeltaSettings extends CommonSettings {
  /** Decay rate of the running means of squares. @default 0.9 */
  rho: number;
  /** Added under both roots. @default 1e-6 */
  epsilon: number;
  /** Added to the gradient, times the weight. @default 0 */
  weightDecay: number;
}
/** Options of `AdaDelta`. */
export type AdaDeltaOptions = OptimizerOptions<AdaDeltaSettings>;

const definition: OptimizerDefinition<AdaDeltaSettings> = {
  name: "AdaDelta",
  defaults: { rho: 0.9, epsilon: 1e-6, weightDecay: 0, stateBits: 32 },
  check: (where, settings) =>
    requireNumbers(where, settings, { rho: numberRules.fraction, epsilon: numberRules.positive }),
  usesStep: () => false,
  state: (_, shape) => ({ square: unsigned(shape), change: unsigned(shape) }),
  formula:
    ({ rho, epsilon }, { learningRate }) =>
    (operands) => {
      const { value, state } = operands;
      const gradient = withL2(operands);
      const square = runningSquare(state.square, gradient, rho);
      const step = mul(div(sqrt(add(state.change, epsilon)), sqrt(add(square, epsilon))), gradient);
      const change = runningSquare(state.change, step, rho);
      return { value: sub(value, mul(step, learningRate)), state: { square, change } };
    },
};

/**
 * Steps as large as the last ones, relative to gradients: a learning rate of 1 fits. Zeiler 2012, arXiv:1212.5701; the
 * formulas of torch.optim.Adadelta.
 */
export class AdaDelta extends FormulaOptimizer<AdaDeltaSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdaDeltaOptions = {}) {
    super(definition, parameters, options);
  }
}
