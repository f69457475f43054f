import { numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, equal, mul, sub, where } from "../tensor/index.ts";
import { requireBooleans } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
  withL2,
} from "./formula-optimizer.ts";

/** Settings of `Sgd`. */
export interface SgdSettings extends CommonSettings {
  /** Share of the last update kept in the next. @default 0 */
  momentum: number;
  /** Share of the gradient that does not enter the momentum after the first step. @default 0 */
  dampening: number;
  /** Looks ahead by the momentum: Sutskever et al. 2013. @default false */
  nesterov: boolean;
  /** Added to the gradient, times the weight. @default 0 */
  weightDecay: number;
}
/** Options of `Sgd`. */
export type SgdOptions = OptimizerOptions<SgdSettings>;

const definition: OptimizerDefinition<SgdSettings> = {
  name: "Sgd",
  defaults: { momentum: 0, dampening: 0, nesterov: false, weightDecay: 0, stateBits: 32 },
  check(where, settings) {
    requireNumbers(where, settings, { momentum: numberRules.share, dampening: numberRules.fraction });
    requireBooleans(where, { nesterov: settings.nesterov });
    if (!settings.nesterov || (settings.momentum > 0 && settings.dampening === 0)) return;
    throw new OptionError({
      where,
      expected: "momentum above 0 and no dampening with nesterov",
      received: `momentum ${settings.momentum}, dampening ${settings.dampening}`,
      fix: "for example momentum 0.9 and dampening 0",
    });
  },
  usesStep: ({ momentum, dampening }) => momentum > 0 && dampening > 0,
  state: ({ momentum }, shape) => ({ ...(momentum > 0 && { momentum: signed(shape) }) }),
  formula({ momentum, dampening, nesterov }, { learningRate, step }) {
    // the momentum begins as the whole gradient, as in PyTorch
    const share = dampening > 0 ? where(equal(step, 1), 1, 1 - dampening) : 1;
    return (operands) => {
      const { value, state } = operands;
      const gradient = withL2(operands);
      if (momentum === 0) return { value: sub(value, mul(gradient, learningRate)), state };
      const entering = share === 1 ? gradient : mul(gradient, share);
      const velocity = add(mul(state.momentum, momentum), entering);
      const direction = nesterov ? add(gradient, mul(velocity, momentum)) : velocity;
      return { value: sub(value, mul(direction, learningRate)), state: { momentum: velocity } };
    };
  },
};

/** Stochastic gradient descent with momentum, as torch.optim.SGD. */
export class Sgd extends FormulaOptimizer<SgdSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: SgdOptions = {}) {
    super(definition, parameters, options);
  }
}
