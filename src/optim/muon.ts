import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type KeyPattern, matchesKey, type Parameter } from "../nn/index.ts";
import { mul, sub, type Variable } from "../tensor/index.ts";
import { AdamW, type AdamWOptions } from "./adam.ts";
import { requireBooleans, requireChoice } from "./checks.ts";
import {
  type CommonSettings,
  FormulaOptimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  signed,
} from "./formula-optimizer.ts";
import { decayed, runningMean } from "./formulas.ts";
import { newtonSchulz } from "./newton-schulz.ts";
import type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";

const adjustments = {
  original: (rows: number, columns: number) => Math.sqrt(Math.max(1, rows / columns)),
  matchAdamW: (rows: number, columns: number) => 0.2 * Math.sqrt(Math.max(rows, columns)),
  spectralUnclamped: (rows: number, columns: number) => Math.sqrt(rows / columns),
} as const;

/** Settings of `Muon` for matrices. */
export interface MuonSettings extends CommonSettings {
  /** Share of the running mean of gradients that is kept. @default 0.95 */
  momentum: number;
  /** Looks ahead by the momentum. @default true */
  nesterov: boolean;
  /** Of x, x³ and x⁵ in each step of Newton and Schulz. @default [3.4445, -4.775, 2.0315] */
  coefficients: readonly [number, number, number];
  /** Steps of Newton and Schulz, below 100. @default 5 */
  newtonSchulzSteps: number;
  /** Least norm that is divided by. @default 1e-7 */
  epsilon: number;
  /**
   * What the learning rate is multiplied by, for the shape: sqrt(max(1, rows / columns)); 0.2 sqrt(max(rows, columns)),
   * so that AdamW's learning rates fit (arXiv:2502.16982); sqrt(rows / columns). @default "original"
   */
  adjustment: keyof typeof adjustments;
  /** Of the steps of Newton and Schulz: rounded to bf16 as in PyTorch, or not. @default "bf16" */
  precision: "bf16" | "f32";
  /** Apart from the gradient, as of AdamW. @default 0.1 */
  weightDecay: number;
}

/** Options of `Muon`. */
export type MuonOptions = OptimizerOptions<MuonSettings> & {
  /**
   * Which parameters are orthogonalised, all of 2 axes: name the hidden layers' where embeddings and the output layer
   * are matrices too. @default those of 2 axes
   */
  matrices?: KeyPattern;
  /** For all other parameters, with a factor on the learning rate, 1 by default. */
  adamW?: AdamWOptions & { learningRateMultiplier?: number };
};

const definition: OptimizerDefinition<MuonSettings> = {
  name: "Muon",
  defaults: {
    ...{ momentum: 0.95, nesterov: true, coefficients: [3.4445, -4.775, 2.0315], newtonSchulzSteps: 5 },
    ...{ epsilon: 1e-7, adjustment: "original", precision: "bf16", weightDecay: 0.1, stateBits: 32 },
  },
  check(where, settings) {
    const { share, positive, wholeNumber } = numberRules;
    const steps = { range: "below 100", isFine: (value: number) => wholeNumber.isFine(value) && value < 100 };
    requireNumbers(where, settings, { momentum: share, epsilon: positive, newtonSchulzSteps: steps });
    requireBooleans(where, { nesterov: settings.nesterov });
    requireChoice(where, "adjustment", settings.adjustment, Object.keys(adjustments));
    requireChoice(where, "precision", settings.precision, ["bf16", "f32"]);
    const { coefficients } = settings;
    if (Array.isArray(coefficients) && coefficients.length === 3 && coefficients.every(Number.isFinite)) return;
    const received = JSON.stringify(coefficients) ?? "undefined";
    throw new OptionError({ where, expected: "coefficients to be three numbers", received, fix: "leave them out" });
  },
  usesStep: () => false,
  state: (_, shape) => ({ momentum: signed(shape) }),
  formula:
    ({ newtonSchulzSteps: steps, ...settings }, { learningRate }) =>
    ({ value, gradient, state, weightDecay }) => {
      const momentum = runningMean(state.momentum, gradient, settings.momentum);
      const direction = settings.nesterov ? runningMean(momentum, gradient, settings.momentum) : momentum;
      const update = newtonSchulz(direction, { ...settings, steps });
      const rate = mul(learningRate, adjustments[settings.adjustment](value.size(0), value.size(1)));
      return { value: sub(decayed(value, learningRate, weightDecay), mul(update, rate)), state: { momentum } };
    },
};

/**
 * Momentum whose updates of matrices are made orthogonal, so that all directions are learned as fast; AdamW for what is
 * no matrix. Jordan et al. 2024; the formulas of torch.optim.Muon.
 */
export class Muon implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state: ReadonlyMap<string, Variable>;
  private readonly parts: readonly { optimizer: Optimizer; multiplier: number }[];

  /** @throws OptionError for unknown options or values out of range, and for a matrix that has not 2 axes */
  constructor(parameters: ReadonlyMap<string, Parameter>, options: MuonOptions = {}) {
    const { matrices = (_, { shape }) => shape.length === 2, adamW = {}, ...ofMatrices } = options;
    const { learningRateMultiplier = 1, ...ofOthers } = adamW;
    requireNumbers("Muon", { learningRateMultiplier }, { learningRateMultiplier: numberRules.notNegative });
    checkOptions("Muon", ofMatrices, [...Object.keys(definition.defaults), "decays", "groups", "matrices", "adamW"]);
    const entries = [...parameters].map(([key, parameter]) => ({
      entry: [key, parameter] as const,
      isMatrix: matchesKey(matrices, key, parameter),
    }));
    const partOf = (which: boolean) =>
      new Map(entries.filter(({ isMatrix }) => isMatrix === which).map(({ entry }) => entry));
    for (const [key, { shape }] of partOf(true)) requireMatrix(key, shape);
    this.parameters = parameters;
    this.parts = [
      { optimizer: new FormulaOptimizer(definition, partOf(true), ofMatrices), multiplier: 1 },
      { optimizer: new AdamW(partOf(false), ofOthers), multiplier: learningRateMultiplier },
    ];
    this.state = new Map(this.parts.flatMap(({ optimizer }) => [...optimizer.state]));
  }

  update(gradients: Gradients, options: UpdateOptions): void {
    const keys = [...this.parameters.keys()];
    const gradientOf = new Map(keys.map((key, i) => [key, gradients[i]]));
    for (const { optimizer, multiplier } of this.parts) {
      const { learningRate: rate } = options;
      const learningRate = typeof rate === "number" ? rate * multiplier : mul(rate, multiplier);
      optimizer.update(
        [...optimizer.parameters.keys()].map((key) => gradientOf.get(key)),
        { ...options, learningRate: multiplier === 1 ? rate : learningRate },
      );
    }
  }
}

/** @throws OptionError for a parameter that has not 2 axes */
function requireMatrix(key: string, shape: readonly number[]): void {
  if (shape.length === 2) return;
  throw new OptionError({
    where: "Muon",
    expected: "matrices of 2 axes",
    received: `${key} [${shape.join(", ")}]`,
    fix: "leave it to AdamW by the pattern of matrices",
  });
}
