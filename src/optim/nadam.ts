import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, mul, pow, sqrt, sub, type Tensor } from "../tensor/index.ts";
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

/** Settings of `NAdam`. */
export interface NAdamSettings extends CommonSettings {
  /** Decay rates of the running means of the gradient and of its square. @default [0.9, 0.999] */
  betas: readonly [number, number];
  /** Added to the square root. @default 1e-8 */
  epsilon: number;
  /** How fast the momentum rises from beta1 / 2 to beta1. @default 0.004 */
  momentumDecay: number;
  /** Weight decay as in AdamW, and not as L2. @default false */
  decoupledWeightDecay: boolean;
  /** @default 0 */
  weightDecay: number;
}
/** Options of `NAdam`. */
export type NAdamOptions = OptimizerOptions<NAdamSettings>;

/** Of the momentum's schedule, in section 2 of the paper. */
const MOMENTUM_BASE = 0.96;

const definition: OptimizerDefinition<NAdamSettings> = {
  name: "NAdam",
  defaults: {
    ...{ betas: [0.9, 0.999], epsilon: 1e-8, momentumDecay: 4e-3 },
    ...{ decoupledWeightDecay: false, weightDecay: 0, stateBits: 32 },
  },
  check(where, settings) {
    requireBetas(where, settings.betas);
    requireNumbers(where, settings, { epsilon: numberRules.positive, momentumDecay: numberRules.notNegative });
    requireBooleans(where, { decoupledWeightDecay: settings.decoupledWeightDecay });
  },
  usesStep: () => true,
  state: (_, shape) => ({ mean: signed(shape), square: unsigned(shape), momentum_product: unsigned([], 1) }),
  formula({ betas: [beta1, beta2], epsilon, momentumDecay, decoupledWeightDecay }, { learningRate, step }) {
    const momentumAt = (time: Tensor<"f32">) =>
      mul(sub(1, mul(pow(MOMENTUM_BASE, mul(time, momentumDecay)), 0.5)), beta1);
    const [momentum, nextMomentum] = [momentumAt(step), momentumAt(add(step, 1))];
    const correction2 = biasCorrection(beta2, step);
    return (operands) => {
      const { value, state, weightDecay } = operands;
      const gradient = decoupledWeightDecay ? operands.gradient : withL2(operands);
      const product = mul(state.momentum_product, momentum);
      const mean = runningMean(state.mean, gradient, beta1);
      const squares = runningSquare(state.square, gradient, beta2);
      const ofGradient = div(mul(learningRate, sub(1, momentum)), sub(1, product));
      const ofMean = div(mul(learningRate, nextMomentum), sub(1, mul(product, nextMomentum)));
      const root = add(sqrt(div(squares, correction2)), epsilon);
      const change = div(add(mul(gradient, ofGradient), mul(mean, ofMean)), root);
      const kept = decoupledWeightDecay ? decayed(value, learningRate, weightDecay) : value;
      return { value: sub(kept, change), state: { mean, square: squares, momentum_product: product } };
    };
  },
};

/** Adam with Nesterov's momentum. Dozat 2016; the formulas of torch.optim.NAdam. */
export class NAdam extends FormulaOptimizer<NAdamSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: NAdamOptions = {}) {
    super(definition, parameters, options);
  }
}
