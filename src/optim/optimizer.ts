import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, div, mul, pow, sqrt, square, sub, Tensor, tensor, Variable } from "../tensor/index.ts";

/** Updates parameters from their gradients, inside a traced function. */
export interface Optimizer {
  /** The parameters it updates, by checkpoint key. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** State of the optimizer by name, for checkpoints. */
  readonly state: ReadonlyMap<string, Variable<"f32">>;
  /**
   * Assigns new values to the parameters. `gradients` are in the order of `parameters`; one that has none stays as it
   * is, with its state. `scale` multiplies each of them, as clipping does.
   * @throws OptionError for a learning rate that is NaN, infinite or negative, where it is a number
   */
  update(
    gradients: readonly (Tensor<"f32"> | undefined)[],
    options: { learningRate: Tensor<"f32"> | number; scale?: Tensor<"f32"> },
  ): void;
}

/** @throws OptionError unless both are from 0 to below 1 */
function requireBetas(betas: readonly number[]): void {
  if (Array.isArray(betas) && betas.length === 2 && betas.every(numberRules.share.isFine)) return;
  throw new OptionError({
    where: "AdamW",
    expected: `two betas ${numberRules.share.range}`,
    received: JSON.stringify(betas, (_, value) => (Number.isNaN(value) ? "NaN" : value)) ?? "undefined",
    fix: "for example [0.9, 0.999]",
  });
}

/** @throws OptionError for a learning rate that is a number, and none of at least 0 */
function requireLearningRate(where: string, learningRate: Tensor<"f32"> | number): void {
  if (!(learningRate instanceof Tensor))
    requireNumbers(`${where}.update`, { learningRate }, { learningRate: numberRules.notNegative });
}

const asTensor = (x: Tensor<"f32"> | number) => (typeof x === "number" ? tensor(x) : x);

function zeroState(key: string, shape: readonly number[]): Variable<"f32"> {
  return new Variable({ name: key, dtype: "f32", shape }, new Float32Array(shape.reduce((a, b) => a * b, 1)));
}

/** Decides by key and parameter whether weight decay applies. */
export type DecayGroup = (key: string, parameter: Parameter) => boolean;

/** Matrices decay; biases and normalisation weights do not. */
export const decayMatrices: DecayGroup = (_, { shape }) => shape.length >= 2;

/** Settings of `Sgd`. */
export interface SgdOptions {
  /** Share of the last update kept in the next. @default 0 */
  momentum?: number;
  /** @default 0 */
  weightDecay?: number;
  /** Which parameters decay. @default all */
  decays?: DecayGroup;
}

/** Stochastic gradient descent with momentum, as torch.optim.SGD. */
export class Sgd implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state = new Map<string, Variable<"f32">>();
  private readonly momentum: number;
  private readonly weightDecay: number;
  private readonly decays: DecayGroup;

  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: SgdOptions = {}) {
    checkOptions("Sgd", options, ["momentum", "weightDecay", "decays"]);
    const { momentum = 0, weightDecay = 0, decays = () => true } = options;
    const { share, notNegative } = numberRules;
    requireNumbers("Sgd", { momentum, weightDecay }, { momentum: share, weightDecay: notNegative });
    this.parameters = parameters;
    this.momentum = momentum;
    this.weightDecay = weightDecay;
    this.decays = decays;
    if (momentum > 0)
      for (const [key, { shape }] of parameters) this.state.set(`${key}.momentum`, zeroState(`${key}.momentum`, shape));
  }

  update(
    gradients: readonly (Tensor<"f32"> | undefined)[],
    { learningRate, scale }: { learningRate: Tensor<"f32"> | number; scale?: Tensor<"f32"> },
  ): void {
    requireLearningRate("Sgd", learningRate);
    [...this.parameters].forEach(([key, parameter], i) => {
      const gradient = gradients[i];
      if (!gradient) return;
      let direction = scale ? mul(gradient, scale) : gradient;
      if (this.weightDecay > 0 && this.decays(key, parameter))
        direction = add(direction, mul(parameter.value, this.weightDecay));
      const momentum = this.state.get(`${key}.momentum`);
      if (momentum) {
        direction = add(mul(momentum.value, this.momentum), direction);
        momentum.assign(direction);
      }
      parameter.assign(sub(parameter.value, mul(direction, learningRate)));
    });
  }
}

/** Settings of `AdamW`. */
export interface AdamWOptions {
  /** Decay rates of the running means of the gradient and of its square. @default [0.9, 0.999] */
  betas?: readonly [number, number];
  /** Added to the square root. @default 1e-8 */
  epsilon?: number;
  /** @default 0.01 */
  weightDecay?: number;
  /** Which parameters decay. @default matrices: those with at least 2 axes */
  decays?: DecayGroup;
}

/**
 * Adam with decoupled weight decay. Loshchilov and Hutter 2017, arXiv:1711.05101; the formulas of torch.optim.AdamW.
 */
export class AdamW implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state = new Map<string, Variable<"f32">>();
  private readonly betas: readonly [number, number];
  private readonly epsilon: number;
  private readonly weightDecay: number;
  private readonly decays: DecayGroup;
  private readonly step = zeroState("step", []);

  /** @throws OptionError for unknown options or values out of range */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdamWOptions = {}) {
    checkOptions("AdamW", options, ["betas", "epsilon", "weightDecay", "decays"]);
    const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01, decays = decayMatrices } = options;
    requireBetas(betas);
    const { positive, notNegative } = numberRules;
    requireNumbers("AdamW", { epsilon, weightDecay }, { epsilon: positive, weightDecay: notNegative });
    this.parameters = parameters;
    this.betas = betas;
    this.epsilon = epsilon;
    this.weightDecay = weightDecay;
    this.decays = decays;
    this.state.set("step", this.step);
    for (const [key, { shape }] of parameters) {
      this.state.set(`${key}.mean`, zeroState(`${key}.mean`, shape));
      this.state.set(`${key}.square`, zeroState(`${key}.square`, shape));
    }
  }

  update(
    gradients: readonly (Tensor<"f32"> | undefined)[],
    { learningRate, scale }: { learningRate: Tensor<"f32"> | number; scale?: Tensor<"f32"> },
  ): void {
    requireLearningRate("AdamW", learningRate);
    const [beta1, beta2] = this.betas;
    const step = add(this.step.value, 1);
    this.step.assign(step);
    const correction1 = sub(1, pow(beta1, step));
    const correction2 = sqrt(sub(1, pow(beta2, step)));
    // lr m / c1 / (sqrt(v) / c2 + epsilon) = (lr c2 / c1) m / (sqrt(v) + epsilon c2): all scalars are worked out once
    const rate = div(mul(correction2, learningRate), correction1);
    const epsilon = mul(correction2, this.epsilon);
    const meanWeight = scale ? mul(scale, 1 - beta1) : 1 - beta1;
    const squareWeight = scale ? mul(square(scale), 1 - beta2) : 1 - beta2;

    [...this.parameters].forEach(([key, parameter], i) => {
      const gradient = gradients[i];
      if (!gradient) return;
      const mean = this.state.get(`${key}.mean`) as Variable<"f32">;
      const squares = this.state.get(`${key}.square`) as Variable<"f32">;
      const nextMean = add(mul(mean.value, beta1), mul(gradient, meanWeight));
      const nextSquares = add(mul(squares.value, beta2), mul(square(gradient), squareWeight));
      const change = mul(div(nextMean, add(sqrt(nextSquares), epsilon)), rate);
      const isDecaying = this.weightDecay > 0 && this.decays(key, parameter);
      const kept = isDecaying
        ? mul(parameter.value, sub(1, mul(asTensor(learningRate), this.weightDecay)))
        : parameter.value;
      mean.assign(nextMean);
      squares.assign(nextSquares);
      parameter.assign(sub(kept, change));
    });
  }
}
