import { numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import {
  add,
  div,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  pow,
  rsqrt,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
} from "../tensor/index.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  type StateTensors,
  unsigned,
} from "./formula-optimizer.ts";
import { decayed } from "./formulas.ts";
import type { StateSpec } from "./state-store.ts";

/** Settings of `Adafactor`. */
export interface AdafactorSettings extends CommonSettings {
  /** Exponent, at most 0, of the step in the share of a new square. @default -0.8 */
  beta2Decay: number;
  /** Least root of a mean square. @default 2^-23, the precision of f32 */
  epsilon1: number;
  /** Least size of weights, by their root mean square, that steps are relative to. @default 1e-3 */
  epsilon2: number;
  /** Updates of a larger root mean square are scaled down to it; at least 1. @default 1 */
  clipThreshold: number;
  /** Apart from the gradient, as of AdamW. @default 0 */
  weightDecay: number;
}
/** Options of `Adafactor`. */
export type AdafactorOptions = OptimizerOptions<AdafactorSettings>;

const rootMeanSquare = (x: Tensor<"f32">): Tensor<"f32"> => sqrt(mean(square(x)));
const notPositive = { range: "of at most 0", isFine: (x: number) => Number.isFinite(x) && x <= 0 };
const atLeastOne = { range: "of at least 1", isFine: (x: number) => x >= 1 };

/** The mean squares, and the product of their rows' and columns' means that stands for them where there are both. */
function meanSquares(
  gradient: Tensor<"f32">,
  state: StateTensors,
  { share, epsilon }: { share: Tensor<"f32">; epsilon: number },
): { squares: Tensor<"f32">; state: StateTensors } {
  const moved = (old: Tensor<"f32">, next: Tensor<"f32">) => add(old, mul(sub(next, old), share));
  if (gradient.rank < 2) {
    const squares = moved(state.square, square(gradient));
    return { squares, state: { square: squares } };
  }
  const squareMean = (axis: number) =>
    div(sum(square(gradient), { axes: [axis], keepDims: true }), gradient.size(axis));
  const row = moved(state.row, squareMean(-1)); //       [..., rows, 1]
  const column = moved(state.column, squareMean(-2)); // [..., 1, columns]
  const whole = maximum(mean(row, { axes: [-2], keepDims: true }), epsilon);
  return { squares: div(matmul(row, column), whole), state: { row, column } };
}

const definition: OptimizerDefinition<AdafactorSettings> = {
  name: "Adafactor",
  defaults: {
    ...{ beta2Decay: -0.8, epsilon1: 2 ** -23, epsilon2: 1e-3, clipThreshold: 1 },
    ...{ weightDecay: 0, stateBits: 32 },
  },
  check(where, settings) {
    const { notNegative } = numberRules;
    requireNumbers(where, settings, { beta2Decay: notPositive, epsilon1: notNegative, epsilon2: notNegative });
    requireNumbers(where, settings, { clipThreshold: atLeastOne });
  },
  usesStep: () => true,
  state(_, shape): Record<string, StateSpec> {
    if (shape.length < 2) return { square: unsigned(shape) };
    return { row: unsigned(shape.with(-1, 1)), column: unsigned(shape.with(-2, 1)) };
  },
  formula({ beta2Decay, epsilon1, epsilon2, clipThreshold }, { learningRate, step }) {
    const share = pow(step, beta2Decay);
    const rate = minimum(learningRate, rsqrt(step));
    return ({ value, gradient, state, weightDecay }) => {
      const relative = mul(maximum(rootMeanSquare(value), epsilon2), rate);
      const { squares, state: next } = meanSquares(gradient, state, { share, epsilon: epsilon1 });
      const update = mul(rsqrt(maximum(squares, epsilon1 * epsilon1)), gradient);
      const excess = maximum(div(rootMeanSquare(update), clipThreshold), 1);
      const kept = decayed(value, learningRate, weightDecay);
      return { value: sub(kept, mul(update, div(relative, excess))), state: next };
    };
  },
};

/**
 * Adam without momentum whose mean squares of a matrix are kept as those of its rows and columns, and whose steps are
 * relative to the size of the weights. Shazeer and Stern 2018, arXiv:1804.04235; the formulas of torch.optim.Adafactor.
 */
export class Adafactor extends FormulaOptimizer<AdafactorSettings> {
  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdafactorOptions = {}) {
    super(definition, parameters, options);
  }
}
