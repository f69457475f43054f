import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, maximum, mul, sqrt, square, sub, type Tensor } from "../tensor/index.ts";
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
import { biasCorrection, decayed } from "./formulas.ts";
import { decayMatrices } from "./groups.ts";

/** Settings of `Adam` and `AdamW`. */
export interface AdamSettings extends CommonSettings {
  /** Decay rates of the running means of the gradient and of its square. @default [0.9, 0.999] */
  betas: readonly [number, number];
  /** Added to the square root. @default 1e-8 */
  epsilon: number;
  /** Divides by the largest mean square so far. Reddi et al. 2018, arXiv:1904.09237. @default false */
  amsgrad: boolean;
  /** Of Adam added to the gradient, times the weight; of AdamW apart from it. @default 0, of AdamW 0.01 */
  weightDecay: number;
}
/** Options of `Adam`. */
export type AdamOptions = OptimizerOptions<AdamSettings>;
/** Options of `AdamW`. */
export type AdamWOptions = OptimizerOptions<AdamSettings>;

const adam = ({ isDecoupled }: { isDecoupled: boolean }): Omit<OptimizerDefinition<AdamSettings>, "name"> => ({
  defaults: {
    ...{ betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false },
    ...{ weightDecay: isDecoupled ? 0.01 : 0, stateBits: 32 },
  },
  check(where, settings) {
    requireBetas(where, settings.betas);
    requireNumbers(where, settings, { epsilon: numberRules.positive });
    requireBooleans(where, { amsgrad: settings.amsgrad });
  },
  usesStep: () => true,
  state: ({ amsgrad }, shape) => ({
    mean: signed(shape),
    square: unsigned(shape),
    ...(amsgrad && { max_square: unsigned(shape) }),
  }),
  formula({ betas: [beta1, beta2], epsilon, amsgrad }, { learningRate, step, scale }) {
    const correction1 = biasCorrection(beta1, step);
    const correction2 = sqrt(biasCorrection(beta2, step));
    // lr m / c1 / (sqrt(v) / c2 + epsilon) = (lr c2 / c1) m / (sqrt(v) + epsilon c2): all scalars are worked out once
    const rate = div(mul(correction2, learningRate), correction1);
    const shift = mul(correction2, epsilon);
    const plain = { mean: 1 - beta1, square: 1 - beta2 };
    // the scale multiplies two scalars and not each gradient
    const folded = scale ? { mean: mul(scale, 1 - beta1), square: mul(square(scale), 1 - beta2) } : plain;
    return (operands) => {
      const { value, rawGradient, state, weightDecay } = operands;
      const hasL2 = !isDecoupled && weightDecay > 0;
      const [gradient, weights] = hasL2 ? [withL2(operands), plain] : [rawGradient, folded];
      const next: Record<string, Tensor<"f32">> = {
        mean: add(mul(state.mean, beta1), mul(gradient, weights.mean)),
        square: add(mul(state.square, beta2), mul(square(gradient), weights.square)),
      };
      if (amsgrad) next.max_square = maximum(state.max_square, next.square);
      const change = mul(div(next.mean, add(sqrt(next.max_square ?? next.square), shift)), rate);
      return { value: sub(isDecoupled ? decayed(value, learningRate, weightDecay) : value, change), state: next };
    };
  },
});

const coupled: OptimizerDefinition<AdamSettings> = { name: "Adam", ...adam({ isDecoupled: false }) };
const decoupled: OptimizerDefinition<AdamSettings> = {
  name: "AdamW",
  decays: decayMatrices,
  ...adam({ isDecoupled: true }),
};

/**
 * Steps along the running mean of gradients, divided by the root of that of their squares. Kingma and Ba 2014,
 * arXiv:1412.6980; the formulas of torch.optim.Adam, whose weight decay is L2.
 */
export class Adam extends FormulaOptimizer<AdamSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdamOptions = {}) {
    super(coupled, parameters, options);
  }
}

/**
 * Adam with decoupled weight decay. Loshchilov and Hutter 2017, arXiv:1711.05101; the formulas of torch.optim.AdamW.
 *
 * @example
 * const model = new Linear({ inFeatures: 2, outFeatures: 3 }, randomKey(0));
 * const head = { name: "bias", matches: "*bias", learningRateMultiplier: 10 };
 * const optimizer = new AdamW(model.namedParameters(), { weightDecay: 0.1, groups: [head] });
 * [...optimizer.state.keys()]; // ["step", "weight.mean", "weight.square", "bias.mean", "bias.square"]
 */
export class AdamW extends FormulaOptimizer<AdamSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdamWOptions = {}) {
    super(decoupled, parameters, options);
  }
}
