/** 30 steps of each optimizer beside those of PyTorch, or of its paper's formulas: golden/make_optimizers.py. */
import { describe, expect, test } from "vitest";
import type { Parameter } from "../nn/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { dynamicMaps, type OptimizerTrace, optimizerTraces, traceOptimizer } from "../testing/optimizer-problem.ts";
import { dynamicMap } from "./dynamic-map.ts";
import {
  AdaDelta,
  Adafactor,
  AdaGrad,
  AdaMax,
  Adam,
  AdamW,
  ExponentialAverage,
  Lion,
  Lookahead,
  Muon,
  NAdam,
  type Optimizer,
  RAdam,
  RmsProp,
  Sam,
  Sgd,
  StochasticAverage,
  type WeightAverage,
} from "./index.ts";

type Parameters = ReadonlyMap<string, Parameter>;
const all = () => true;
const adamGroups = [
  ...[{ name: "kernel", matches: "ker*", learningRateMultiplier: 0.5, weightDecay: 0.3 }].map((group) => ({
    ...group,
    betas: [0.8, 0.95] as const,
  })),
  { name: "vectors", matches: /bias$/, weightDecay: 0 },
];

const cases: Record<string, [learningRate: number, create: (parameters: Parameters) => Optimizer]> = {
  sgd: [0.1, (p) => new Sgd(p)],
  "sgd-momentum": [0.05, (p) => new Sgd(p, { momentum: 0.9, weightDecay: 0.1 })],
  "sgd-dampening": [0.05, (p) => new Sgd(p, { momentum: 0.8, dampening: 0.4 })],
  "sgd-nesterov": [0.05, (p) => new Sgd(p, { momentum: 0.9, nesterov: true, weightDecay: 0.01 })],
  adagrad: [0.1, (p) => new AdaGrad(p)],
  "adagrad-options": [
    0.1,
    (p) => new AdaGrad(p, { learningRateDecay: 0.1, weightDecay: 0.1, initialAccumulatorValue: 0.2, epsilon: 1e-6 }),
  ],
  adadelta: [1, (p) => new AdaDelta(p)],
  "adadelta-options": [0.7, (p) => new AdaDelta(p, { rho: 0.8, epsilon: 1e-3, weightDecay: 0.1 })],
  rmsprop: [0.02, (p) => new RmsProp(p)],
  "rmsprop-momentum": [0.01, (p) => new RmsProp(p, { alpha: 0.9, momentum: 0.8, weightDecay: 0.1 })],
  "rmsprop-centered": [0.02, (p) => new RmsProp(p, { alpha: 0.9, epsilon: 1e-3, centered: true, momentum: 0.5 })],
  adam: [0.03, (p) => new Adam(p)],
  "adam-l2": [0.03, (p) => new Adam(p, { betas: [0.8, 0.95], epsilon: 1e-6, weightDecay: 0.1 })],
  "adam-amsgrad": [0.03, (p) => new Adam(p, { betas: [0.9, 0.9], amsgrad: true })],
  adamw: [0.03, (p) => new AdamW(p, { weightDecay: 0.1, decays: all })],
  "adamw-amsgrad": [0.03, (p) => new AdamW(p, { betas: [0.9, 0.9], amsgrad: true, weightDecay: 0.1, decays: all })],
  "adamw-groups": [0.03, (p) => new AdamW(p, { weightDecay: 0.1, decays: all, groups: adamGroups })],
  nadam: [0.03, (p) => new NAdam(p)],
  "nadam-options": [0.03, (p) => new NAdam(p, { betas: [0.8, 0.95], momentumDecay: 0.01, weightDecay: 0.1 })],
  "nadam-decoupled": [0.03, (p) => new NAdam(p, { weightDecay: 0.1, decoupledWeightDecay: true })],
  radam: [0.03, (p) => new RAdam(p)],
  "radam-options": [0.03, (p) => new RAdam(p, { betas: [0.8, 0.9], weightDecay: 0.1 })],
  "radam-decoupled": [0.03, (p) => new RAdam(p, { weightDecay: 0.1, decoupledWeightDecay: true })],
  adamax: [0.03, (p) => new AdaMax(p)],
  "adamax-options": [0.03, (p) => new AdaMax(p, { betas: [0.8, 0.95], epsilon: 1e-3, weightDecay: 0.1 })],
  lion: [0.01, (p) => new Lion(p)],
  "lion-options": [0.01, (p) => new Lion(p, { betas: [0.95, 0.98], weightDecay: 0.3 })],
  adafactor: [0.05, (p) => new Adafactor(p)],
  "adafactor-options": [
    0.5,
    (p) => {
      const sizes = { epsilon1: 1e-4, epsilon2: 1e-2, clipThreshold: 1.5 };
      return new Adafactor(p, { beta2Decay: -0.5, ...sizes, weightDecay: 0.1 });
    },
  ],
  muon: [0.03, (p) => new Muon(p, { adamW: { learningRateMultiplier: 0.3, weightDecay: 0 } })],
  "muon-plain": [
    0.03,
    (p) => {
      const adamW = { learningRateMultiplier: 0.3, weightDecay: 0 };
      return new Muon(p, { nesterov: false, momentum: 0.8, weightDecay: 0, adjustment: "matchAdamW", adamW });
    },
  ],
  sam: [0.05, (p) => new Sam(new Sgd(p, { momentum: 0.9 }), { rho: 0.5 })],
  "sam-adaptive": [0.05, (p) => new Sam(new Sgd(p), { rho: 2, adaptive: true })],
  lookahead: [0.1, (p) => new Lookahead(new Sgd(p, { momentum: 0.5 }))],
  "lookahead-options": [0.1, (p) => new Lookahead(new Sgd(p), { interval: 7, alpha: 0.8 })],
};

function expectTrace(name: string, actual: OptimizerTrace): void {
  const expected = optimizerTraces[name];
  for (const moment of ["first", "last"] as const)
    for (const [key, values] of Object.entries(expected[moment]))
      expectClose(`${moment} ${key}`, actual[moment][key], values, tolerances.f32 as number);
  expectClose("losses", actual.losses, expected.losses, tolerances.f32 as number);
}

test.each(Object.entries(cases))("%s takes the steps of the golden trace", async (name, [learningRate, create]) => {
  expectTrace(name, await traceOptimizer(create, { learningRate }));
});

describe("averages of weights", () => {
  const swap = (optimizer: Optimizer) => (optimizer as WeightAverage).swap();

  test("ema", async () => {
    const create = (p: Parameters) => new ExponentialAverage(new Sgd(p), { decay: 0.9 });
    expectTrace("ema", await traceOptimizer(create, { learningRate: 0.1 }, swap));
  });

  test("swa", async () => {
    const create = (p: Parameters) => new StochasticAverage(new Sgd(p), { start: 10, interval: 3 });
    expectTrace("swa", await traceOptimizer(create, { learningRate: 0.1 }, swap));
  });
});

test("states in 8 bits take the paper's steps, near those in f32", async () => {
  const create = (p: Parameters) => new Adam(p, { stateBits: 8 });
  const options = { learningRate: 0.03, isLarge: true };
  const eight = await traceOptimizer(create, options, async ({ state }) => {
    const dtypes = [...state].map(([name, { dtype, shape }]) => `${name} ${dtype}[${shape}]`);
    expect(dtypes).toEqual([
      ...["step f32[]", "table.mean.codes u8[18,256]", "table.mean.scales f32[18,1]"],
      ...["table.square.codes u8[18,256]", "table.square.scales f32[18,1]"],
      ...["bias.mean f32[7]", "bias.square f32[7]"],
    ]);
  });
  expectTrace("adam-8bit", eight);
  expectTrace("adam-32bit", await traceOptimizer((p) => new Adam(p), options));
});

test("the numbers of 8-bit states are the paper's", () => {
  for (const name of ["signed", "unsigned"]) {
    const map = dynamicMap(name === "unsigned");
    expect([map.length, map.at(-1)]).toEqual([256, 1]);
    expectClose(name, map, dynamicMaps[name], 1e-7); // a last digit of f32
  }
});
