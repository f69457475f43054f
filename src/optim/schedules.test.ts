/** Learning rates beside those of torch.optim.lr_scheduler and transformers: golden/make_optimizers.py. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { expectClose } from "../testing/close.ts";
import {
  constantSchedule,
  cosineRestartsSchedule,
  cosineSchedule,
  exponentialSchedule,
  inverseSquareRootSchedule,
  isAdaptive,
  linearSchedule,
  multiStepSchedule,
  oneCycleSchedule,
  plateauSchedule,
  polynomialSchedule,
  type Schedule,
  stableDecaySchedule,
  stepSchedule,
  warmup,
} from "./index.ts";

const golden = JSON.parse(readFileSync(new URL("../../golden/train/schedules.json", import.meta.url), "utf8"));
const learningRate = 0.3;
/** Rates are written with 12 digits. */
const TOLERANCE = 1e-11;

const schedules: Record<string, Schedule> = {
  constant: constantSchedule(0.3),
  "constant-warm": warmup(constantSchedule(0.3), 12),
  step: stepSchedule({ learningRate, interval: 15, gamma: 0.5 }),
  "multi-step": multiStepSchedule({ learningRate, milestones: [10, 35, 35, 80], gamma: 0.4 }),
  exponential: exponentialSchedule({ learningRate, gamma: 0.95 }),
  polynomial: polynomialSchedule({ learningRate, totalSteps: 70, power: 2 }),
  "polynomial-warm": warmup(
    polynomialSchedule({ learningRate, minLearningRate: 0.01, totalSteps: 70, power: 1.5 }),
    10,
  ),
  linear: linearSchedule({ learningRate, minLearningRate: 0.075, totalSteps: 60 }),
  "linear-warm": warmup(linearSchedule({ learningRate, totalSteps: 70 }), 10),
  cosine: cosineSchedule({ learningRate, minLearningRate: 0.02, totalSteps: 99 }),
  "cosine-warm": warmup(cosineSchedule({ learningRate, minLearningRate: 0, totalSteps: 95 }), 10),
  restarts: cosineRestartsSchedule({ learningRate, minLearningRate: 0.02, cycleSteps: 10, cycleFactor: 2 }),
  "restarts-warm": warmup(cosineRestartsSchedule({ learningRate, cycleSteps: 80 / 3, numCycles: 3 }), 10),
  "one-cycle": oneCycleSchedule({ maxLearningRate: 0.3, totalSteps: 101 }),
  "one-cycle-three": oneCycleSchedule({
    ...({ maxLearningRate: 0.3, totalSteps: 101, riseShare: 0.25, anneal: "linear" } as const),
    ...{ divFactor: 10, finalDivFactor: 100, threePhase: true },
  }),
  "inverse-square-root": warmup(inverseSquareRootSchedule({ learningRate, timescale: 16 }), 16),
  "stable-decay": warmup(
    stableDecaySchedule({ learningRate, minLearningRate: 0.03, stableSteps: 50, decaySteps: 30 }),
    10,
    { startFactor: 0.1 }, // transformers' warm-up begins at the least rate too
  ),
  "stable-decay-linear": stableDecaySchedule({ learningRate, stableSteps: 40, decaySteps: 50, decay: "linear" }),
  "stable-decay-sqrt": warmup(
    stableDecaySchedule({ learningRate, stableSteps: 50, decaySteps: 30, decay: "1-sqrt" }),
    10,
  ),
  "linear-warm-then-exponential": warmup(exponentialSchedule({ learningRate, gamma: 0.95 }), 8, { startFactor: 0.25 }),
};

test.each(Object.entries(golden.schedules as Record<string, number[]>))("%s", (name, rates) => {
  expectClose(
    name,
    rates.map((_, step) => schedules[name](step)),
    rates,
    TOLERANCE,
  );
});

describe("the plateau schedule", () => {
  const settings = {
    plateau: { patience: 3, factor: 0.5 },
    "plateau-options": {
      ...({ mode: "max", patience: 2, factor: 0.3, threshold: 0.01, thresholdMode: "absolute" } as const),
      ...{ cooldown: 4, minLearningRate: 0.001 },
    },
    "plateau-relative": { patience: 0, factor: 0.9, threshold: 0.05, cooldown: 1, epsilon: 0.02 },
  };

  test.each(Object.entries(settings))("%s falls as torch's, and goes on from its state", (name, options) => {
    const { values, rates } = golden.plateaus[name] as { values: number[]; rates: number[] };
    let schedule = plateauSchedule({ learningRate, ...options });
    const actual = values.map((value, i) => {
      if (i === 47) {
        const saved = JSON.parse(JSON.stringify(schedule.state));
        schedule = plateauSchedule({ learningRate: 9, ...options });
        schedule.restore(saved);
      }
      schedule.observe(value);
      return schedule(i);
    });
    expectClose(name, actual, rates, TOLERANCE);
    expect(new Set(actual).size).toBeGreaterThan(2);
  });

  test("a value that is no number is no progress", () => {
    const schedule = plateauSchedule({ learningRate: 1, patience: 1 });
    for (const value of [Number.NaN, 5, Number.NaN, Number.NaN]) schedule.observe(value);
    expect(schedule(0)).toBe(0.1);
  });

  test("adapts under a warm-up too", () => {
    const schedule = warmup(plateauSchedule({ learningRate: 1, patience: 0 }), 2);
    expect(isAdaptive(schedule)).toBe(true);
    for (const value of [2, 3]) schedule.observe(value);
    expect([0, 1, 2, 3].map(schedule)).toEqual([0, 0.05, 0.1, 0.1]);
    const other = warmup(plateauSchedule({ learningRate: 1 }), 2);
    other.restore(schedule.state);
    expect(other(2)).toBe(0.1);
    expect(isAdaptive(constantSchedule(1))).toBe(false);
  });

  test("another state is refused", () => {
    expect(() => plateauSchedule({ learningRate: 1 }).restore({ best: 3 })).toThrow(
      'plateauSchedule.restore: expected what its state was; received {"best":3}',
    );
    expect(() => plateauSchedule({ learningRate: 1 }).restore(null)).toThrow("received null");
  });
});

test("numbers that make no schedule are refused", () => {
  const refused: [() => unknown, string][] = [
    [() => stepSchedule({ learningRate, interval: 0.5 }), "stepSchedule: expected interval to be a positive integer"],
    [() => multiStepSchedule({ learningRate, milestones: [9, 3] }), "expected milestones that are rising steps"],
    [() => exponentialSchedule({ learningRate, gamma: -1 }), "exponentialSchedule: expected gamma above 0"],
    [() => polynomialSchedule({ learningRate, totalSteps: 0 }), "polynomialSchedule: expected totalSteps above 0"],
    [() => linearSchedule({ learningRate, totalSteps: 5, power: 2 } as never), "linearSchedule: expected one of the"],
    [() => cosineRestartsSchedule({ learningRate, cycleSteps: 5, cycleFactor: 0.5 }), "cycleFactor of at least 1"],
    [() => oneCycleSchedule({ maxLearningRate: 1, totalSteps: 9, riseShare: 1 }), "riseShare above 0 and below 1"],
    [() => oneCycleSchedule({ maxLearningRate: 1, totalSteps: 9, anneal: "cos" as never }), 'anneal to be "cosine" or'],
    [() => inverseSquareRootSchedule({ learningRate, timescale: 0 }), "expected timescale above 0"],
    [() => stableDecaySchedule({ learningRate, stableSteps: -1, decaySteps: 5 }), "stableSteps of at least 0"],
    [() => plateauSchedule({ learningRate, factor: 1 }), "plateauSchedule: expected factor above 0 and below 1"],
    [() => plateauSchedule({ learningRate, mode: "low" as never }), 'mode to be "min" or "max"; received "low"'],
    [() => warmup(constantSchedule(1), 1.5), "warmup: expected steps to be an integer of at least 0; received 1.5"],
    [() => warmup(constantSchedule(1), 5, { startFactor: 2 }), "warmup: expected startFactor from 0 to 1"],
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
});
