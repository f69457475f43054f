import { describe, expect, test } from "vitest";
import { Parameter } from "../nn/index.ts";
import { compile, grad, mul, square, sum, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { AdamW, clipGradientNorm, constantSchedule, cosineSchedule, type Optimizer, Sgd } from "./index.ts";

/** Minimises (2 w)^2 summed, from w = [1, -3]. */
async function run(
  make: (parameters: Map<string, Parameter>) => Optimizer,
  steps: number,
  learningRate: number,
): Promise<number[]> {
  const w = new Parameter([2], Float32Array.of(1, -3));
  const optimizer = make(new Map([["w", w]]));
  const step = compile(() => {
    optimizer.update(grad(sum(square(mul(w.value, 2))), [w]), { learningRate });
  });
  for (let i = 0; i < steps; i++) await step();
  return Array.from(await w.read());
}

describe("the formulas, worked by hand in double precision", () => {
  test("Sgd with momentum and weight decay", async () => {
    const expected = [1, -3].map((start) => {
      let [w, m] = [start, 0];
      for (let i = 0; i < 5; i++) {
        m = 0.9 * m + 8 * w + 0.1 * w;
        w -= 0.01 * m;
      }
      return w;
    });
    expectClose("w", await run((p) => new Sgd(p, { momentum: 0.9, weightDecay: 0.1 }), 5, 0.01), expected, 1e-5);
  });

  test("AdamW", async () => {
    const expected = [1, -3].map((start) => {
      let [w, m, v] = [start, 0, 0];
      for (let t = 1; t <= 5; t++) {
        const g = 8 * w;
        m = 0.9 * m + 0.1 * g;
        v = 0.99 * v + 0.01 * g * g;
        w = w * (1 - 0.01 * 0.2) - (0.01 * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.99 ** t)) + 1e-8);
      }
      return w;
    });
    expectClose(
      "w",
      await run((p) => new AdamW(p, { betas: [0.9, 0.99], weightDecay: 0.2, decays: () => true }), 5, 0.01),
      expected,
      1e-5,
    );
  });
});

test("clipping scales all gradients together, and leaves small ones alone", async () => {
  const [a, b] = [tensor([3, 0]), tensor([[4]])];
  const clipped = clipGradientNorm([a, b], 1);
  expect(await clipped.norm.item()).toBe(5);
  expectClose("a", await clipped.gradients[0].read(), [0.6, 0], 1e-5);
  expectClose("b", await clipGradientNorm([a, b], 10).gradients[1].read(), [4], 0);
});

test("the cosine schedule rises, falls and stays", () => {
  const schedule = cosineSchedule({ learningRate: 1, minLearningRate: 0.1, warmupSteps: 4, totalSteps: 14 });
  expect([0, 3, 4, 9, 14, 99].map(schedule).map((rate) => Number(rate.toFixed(6)))).toEqual([
    0.2, 0.8, 1, 0.55, 0.1, 0.1,
  ]);
  expect(() => cosineSchedule({ learningRate: 1, warmupSteps: 5, totalSteps: 4 })).toThrow(
    /warmupSteps from 0 to totalSteps/,
  );
});

test("wrong options name the right ones", () => {
  expect(() => new AdamW(new Map(), { weightdecay: 1 } as object)).toThrow(/did you mean "weightDecay"/);
  expect(() => new AdamW(new Map(), { betas: [0.9, 1] })).toThrow(/betas from 0 to below 1/);
  expect(() => new Sgd(new Map(), { momentum: 1 })).toThrow(/momentum/);
});

test("numbers that make no update are refused", async () => {
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
  const none = new Map<string, Parameter>();
  const refused: [() => unknown, string][] = [
    [() => new Sgd(none, { momentum: nan }), "Sgd: expected momentum from 0 to below 1; received NaN"],
    [() => new Sgd(none, { weightDecay: infinity }), "Sgd: expected weightDecay of at least 0; received Infinity"],
    [() => new AdamW(none, { epsilon: nan }), "AdamW: expected epsilon above 0; received NaN"],
    [() => new AdamW(none, { epsilon: 0 }), "AdamW: expected epsilon above 0; received 0"],
    [() => new AdamW(none, { weightDecay: -1 }), "AdamW: expected weightDecay of at least 0; received -1"],
    [() => new AdamW(none, { betas: [0.9, nan] }), 'expected two betas from 0 to below 1; received [0.9,"NaN"]'],
    [() => new AdamW(none, { betas: [0.9] as never }), "expected two betas from 0 to below 1; received [0.9]"],
    [() => new AdamW(none).update([], { learningRate: nan }), "AdamW.update: expected learningRate of at least 0"],
    [() => new Sgd(none).update([], { learningRate: -1 }), "Sgd.update: expected learningRate of at least 0"],
    [() => constantSchedule(nan), "constantSchedule: expected learningRate of at least 0; received NaN"],
    [() => constantSchedule("1" as never), 'constantSchedule: expected learningRate of at least 0; received "1"'],
    [() => cosineSchedule({ learningRate: nan, totalSteps: 9 }), "cosineSchedule: expected learningRate above 0"],
    [() => cosineSchedule({ learningRate: 1, totalSteps: nan }), "cosineSchedule: expected totalSteps above 0"],
    [() => cosineSchedule({ learningRate: 1, totalSteps: 9, warmupSteps: nan }), "warmupSteps of at least 0"],
    [() => cosineSchedule({ learningRate: 1, totalSteps: 9, minLearningRate: -1 }), "minLearningRate of at least 0"],
    ...[0, -1, nan].map((norm): [() => unknown, string] => [
      () => clipGradientNorm([tensor([3])], norm),
      `clipFactor: expected maxNorm above 0, or Infinity for no limit; received ${norm}`,
    ]),
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
  expect(await clipGradientNorm([tensor([3, 4])], infinity).gradients[0].toArray()).toEqual([3, 4]);
});
