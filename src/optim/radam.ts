import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, greater, maximum, mul, pow, sqrt, sub, where } from "../tensor/index.ts";
import { requireBetas, requireBooleans } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
  unsigned,
  withL2,
} from "./formula-optimizer.ts";
import { biasCorrection, decayed, runningMean, runningSquare } from "./formulas.ts";

/** Settings of `RAdam`. */
export interface RAdamSettings extends CommonSettings {
  /** Decay rates of the running means of the gradient and of its square. @default [0.9, 0.999] */
  betas: readonly [number, number];
  /** Added to the square root. @default 1e-8 */
  epsilon: number;
  /** Weight decay as in AdamW, and not as L2. @default false */
  decoupledWeightDecay: boolean;
  /** @default 0 */
  weightDecay: number;
}
/** Options of `RAdam`. */
export type RAdamOptions = OptimizerOptions<RAdamSettings>;

/** Gradients in the mean square from which on its variance is known, and it is used. */
const LEAST_LENGTH = 5;

const definition: OptimizerDefinition<RAdamSettings> = {
  name: "RAdam",
  defaults: { betas: [0.9, 0.999], epsilon: 1e-8, decoupledWeightDecay: false, weightDecay: 0, stateBits: 32 },
  check(where, settings) {
    requireBetas(where, settings.betas);
    requireNumbers(where, settings, { epsilon: numberRules.positive });
    requireBooleans(where, { decoupledWeightDecay: settings.decoupledWeightDecay });
  },
  usesStep: () => true,
  state: (_, shape) => ({ mean: signed(shape), square: unsigned(shape) }),
  formula({ betas: [beta1, beta2], epsilon, decoupledWeightDecay }, { learningRate, step }) {
    const rate = div(learningRate, biasCorrection(beta1, step));
    const correction2 = biasCorrection(beta2, step);
    const longest = 2 / (1 - beta2) - 1;
    const length = sub(longest, div(mul(mul(step, 2), pow(beta2, step)), correction2));
    const safe = maximum(length, LEAST_LENGTH);
    const factor = longest / ((longest - 4) * (longest - 2));
    const rectification = sqrt(div(mul(mul(sub(safe, 4), sub(safe, 2)), factor), safe));
    const isKnown = greater(length, LEAST_LENGTH);
    const scaling = mul(rectification, sqrt(correction2));
    return (operands) => {
      const { value, state, weightDecay } = operands;
      const gradient = decoupledWeightDecay ? operands.gradient : withL2(operands);
      const mean = runningMean(state.mean, gradient, beta1);
      const squares = runningSquare(state.square, gradient, beta2);
      const adaptive = where(isKnown, div(scaling, add(sqrt(squares), epsilon)), 1);
      const kept = decoupledWeightDecay ? decayed(value, learningRate, weightDecay) : value;
      return { value: sub(kept, mul(mul(mean, rate), adaptive)), state: { mean, square: squares } };
    };
  },
};

/**
 * Adam that takes steps of plain momentum until it has seen enough gradients to know their variance. Liu et al. 2019,
 * arXiv:1908.03265; the formulas of torch.optim.RAdam.
 */
export class RAdam extends FormulaOptimizer<RAdamSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: RAdamOptions = {}) {
    super(definition, parameters, options);
  }
}
