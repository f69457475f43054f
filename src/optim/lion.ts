import type { Parameter } from "../nn/index.ts";
import { mul, sign, sub } from "../tensor/index.ts";
import { requireBetas } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
} from "./formula-optimizer.ts";
import { decayed, runningMean } from "./formulas.ts";

/** Settings of `Lion`. */
export interface LionSettings extends CommonSettings {
  /** Shares of the momentum in the direction of a step, and in the next momentum. @default [0.9, 0.99] */
  betas: readonly [number, number];
  /** Apart from the gradient, as of AdamW. @default 0 */
  weightDecay: number;
}
/** Options of `Lion`. */
export type LionOptions = OptimizerOptions<LionSettings>;

const definition: OptimizerDefinition<LionSettings> = {
  name: "Lion",
  defaults: { betas: [0.9, 0.99], weightDecay: 0, stateBits: 32 },
  check: (where, { betas }) => requireBetas(where, betas),
  usesStep: () => false,
  state: (_, shape) => ({ momentum: signed(shape) }),
  formula:
    ({ betas: [beta1, beta2] }, { learningRate }) =>
    ({ value, gradient, state, weightDecay }) => {
      const direction = sign(runningMean(state.momentum, gradient, beta1));
      const momentum = runningMean(state.momentum, gradient, beta2);
      return {
        value: sub(decayed(value, learningRate, weightDecay), mul(direction, learningRate)),
        state: { momentum },
      };
    },
};

/**
 * Steps of one size in the sign's direction: a learning rate 3 to 10 times lower than AdamW's, and as much more weight
 * decay. Chen et al. 2023, arXiv:2302.06675, algorithm 2.
 */
export class Lion extends FormulaOptimizer<LionSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: LionOptions = {}) {
    super(definition, parameters, options);
  }
}
