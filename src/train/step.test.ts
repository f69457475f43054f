/** What a compiled training step gives to optimizers. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BatchNorm2d, dropout, Linear, Module } from "../nn/index.ts";
import {
  AdamW,
  constantSchedule,
  ExponentialAverage,
  isWeightAverage,
  Lookahead,
  type Optimizer,
  Sam,
  Sgd,
} from "../optim/index.ts";
import {
  compile,
  grad,
  LossScaler,
  matmul,
  mean,
  mul,
  normal,
  type RandomKey,
  randomKey,
  square,
  sum,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { compileTrainStep, type StepOptions, supervised, train, withPenalty } from "./index.ts";

interface Batch {
  x: Tensor<"f32">;
  key?: RandomKey;
  isTraining?: boolean;
}

/** BatchNorm, dropout, and a loss that is small where the output is. */
class Net extends Module {
  readonly norm = new BatchNorm2d({ channels: 3 }, randomKey(1));
  readonly head = new Linear({ inFeatures: 12, outFeatures: 5 }, randomKey(2));

  loss({ x, key, isTraining }: Batch): Tensor<"f32"> {
    const hidden = this.norm.forward(x, { isTraining }).reshape([x.shape[0], -1]);
    return mean(square(dropout(this.head.forward(hidden), 0.5, key)));
  }
}

const batch = { x: normal(randomKey(3), [8, 3, 2, 2], { mean: 1, standardDeviation: 2 }) };
const at = (step: number) => tensor(step, { dtype: "i32" });
const numbersOf = async (model: Module) =>
  Object.fromEntries(await Promise.all([...model.namedState()].map(async ([key, value]) => [key, await value.read()])));

async function stepped(create: (model: Net) => Optimizer, options: Partial<StepOptions> = {}) {
  const model = new Net();
  const step = compileTrainStep(supervised(model), create(model), {
    clipNorm: Number.POSITIVE_INFINITY,
    key: randomKey(7),
    ...options,
  });
  const { gradientNorm } = await step(batch, 0.1, at(4));
  return { numbers: await numbersOf(model), gradientNorm: await gradientNorm.item() };
}

test("SAM's second gradients have the same dropout, and move BatchNorm's statistics once", async () => {
  const rho = 0.7;
  const { numbers } = await stepped((model) => new Sam(new Sgd(model.namedParameters()), { rho }));
  const plain = await stepped((model) => new Sgd(model.namedParameters()));
  expect(numbers["norm.running_mean"]).toEqual(plain.numbers["norm.running_mean"]);
  expect(numbers["norm.running_var"]).toEqual(plain.numbers["norm.running_var"]);

  const model = new Net();
  const parameters = model.parameters();
  const gradientsOf = compile(() =>
    grad(model.loss({ ...batch, key: randomKey(7).fold(at(4)), isTraining: true }), parameters),
  );
  const read = async () => Promise.all((await gradientsOf()).map((gradient) => gradient.read()));
  const start = await Promise.all(parameters.map((parameter) => parameter.read()));
  const first = await read();
  const norm = Math.sqrt(first.flatMap((values) => [...values]).reduce((a, b) => a + b * b, 0));
  parameters.forEach((parameter, i) => {
    parameter.set(start[i].map((value, j) => value + (rho * first[i][j]) / norm));
  });
  const second = await read();
  [...model.namedParameters().keys()].forEach((key, i) => {
    const expected = start[i].map((value, j) => value - 0.1 * second[i][j]);
    expectClose(key, numbers[key], expected, 2e-5);
    expect(numbers[key]).not.toEqual(plain.numbers[key]);
  });
});

test("with f16 a step whose second gradients overflow changes the loss' scale alone", async () => {
  class Product extends Module {
    readonly layer = new Linear({ inFeatures: 4, outFeatures: 4, bias: false }, randomKey(1));
    loss({ x }: Batch): Tensor<"f32"> {
      return sum(square(matmul(x, this.layer.weight)));
    }
  }
  const run = async (rho: number) => {
    const model = new Product();
    const before = await model.layer.weight.read();
    const scaler = new LossScaler({ initialScale: 16 });
    const optimizer = new Sam(new Sgd(model.namedParameters()), { rho });
    const step = compileTrainStep(supervised(model), optimizer, { clipNorm: 1, precision: "f16", scaler });
    await step({ x: normal(randomKey(2), [4, 4]) }, 0.1, at(0));
    const isSame = String(await model.layer.weight.read()) === String(before);
    return { isSame, scale: await scaler.scale.item() };
  };
  expect(await run(0.1)).toEqual({ isSame: false, scale: 16 });
  expect(await run(1e38)).toEqual({ isSame: true, scale: 8 });
});

test("SAM and layers that are computed again give the same weights", async () => {
  const create = (model: Net) => new Sam(new Sgd(model.namedParameters()), { rho: 0.7 });
  const [plain, again] = [await stepped(create), await stepped(create, { checkpointActivations: true })];
  for (const key of Object.keys(plain.numbers)) expectClose(key, again.numbers[key], plain.numbers[key], 1e-6);
});

test("SAM needs a step with a batch", () => {
  const optimizer = new Sam(new Sgd(new Net().namedParameters()));
  expect(() => optimizer.update([], { learningRate: 1 })).toThrow("Sam.update: expected gradientsAgain");
});

test("gradients are clipped by value, and the norm is that before", async () => {
  const plain = await stepped((model) => new Sgd(model.namedParameters()));
  const start = await numbersOf(new Net());
  const most = 0.01;
  const cut = await stepped((model) => new Sgd(model.namedParameters()), { clipValue: most });
  expect(cut.gradientNorm).toBe(plain.gradientNorm);
  for (const key of ["norm.weight", "head.weight", "head.bias"]) {
    const gradient = start[key].map((value: number, i: number) => (value - plain.numbers[key][i]) / 0.1);
    const expected = start[key].map(
      (value: number, i: number) => value - 0.1 * Math.min(most, Math.max(-most, gradient[i])),
    );
    expectClose(key, cut.numbers[key], expected, 2e-6);
  }
  const both = await stepped((model) => new Sgd(model.namedParameters()), { clipValue: most, clipNorm: 1e-3 });
  const keys = ["norm.weight", "norm.bias", "head.weight", "head.bias"];
  const moved = keys.flatMap((key) => Array.from(both.numbers[key], (value: number, i) => value - start[key][i]));
  expect(Math.hypot(...moved) / 0.1).toBeCloseTo(1e-3, 5);
  await expect(stepped((model) => new Sgd(model.namedParameters()), { clipValue: 0 })).rejects.toThrow("clipValue");
});

/** A layer that is large enough for states in 8 bits. */
class Wide extends Module {
  readonly layer = new Linear({ inFeatures: 64, outFeatures: 64 }, randomKey(2));
  loss({ x }: Batch): Tensor<"f32"> {
    return mean(square(this.layer.forward(x)));
  }
}

test("a penalty is in training's loss and gradients, and not in evaluation's", async () => {
  const model = new Wide();
  const weight = await model.layer.weight.read();
  const plain = supervised<Batch>(model);
  const objective = withPenalty(plain, { l1: 0.5, l2: 3, matches: "layer.weight" });
  const run = { isTraining: true };
  const wide = { x: normal(randomKey(3), [8, 64]) };
  const [before, after] = [plain.loss(wide, run), objective.loss(wide, run)];
  const expected = weight.reduce((total, w) => total + 0.5 * Math.abs(w) + 1.5 * w * w, 0);
  expect((await after.loss.item()) - (await before.loss.item())).toBeCloseTo(expected, 4);
  expect(await after.metrics?.penalty.item()).toBeCloseTo(expected, 4);
  expect(objective.loss(wide, {}).metrics).toBeUndefined();
  const [pull] = grad(after.metrics?.penalty as Tensor<"f32">, [model.layer.weight]);
  expectClose(
    "gradient",
    await pull.read(),
    weight.map((w) => 0.5 * Math.sign(w) + 3 * w),
    1e-6,
  );
  expect(objective.count(wide)).toBe(8);
  expect(() => withPenalty(plain, { l1: -1 })).toThrow("l1Penalty: expected strength of at least 0; received -1");
  expect(() => withPenalty(plain, { matches: "none" })).toThrow("expected a pattern of trained parameters");
});

test("8-bit states, slow weights and averages are resumed bit by bit", async () => {
  const root = await mkdtemp(join(tmpdir(), "kindling-"));
  const create = (model: Module) =>
    new ExponentialAverage(
      new Lookahead(new Sam(new AdamW(model.namedParameters(), { stateBits: 8 })), { interval: 3 }),
      { decay: 0.5 },
    );
  const run = async (name: string, steps: number) => {
    const model = new Wide();
    const optimizer = create(model);
    const events = train({
      ...{ objective: supervised<Batch>(model), optimizer, schedule: constantSchedule(0.01), steps },
      ...{
        trainData: { batch: async (i) => ({ x: mul(normal(randomKey(i), [8, 64]), 3) }) },
        folder: join(root, name),
      },
    });
    for await (const _ of events);
    const state = await Promise.all([...optimizer.state].map(async ([key, value]) => [key, await value.read()]));
    return { model: await numbersOf(model), state: Object.fromEntries(state) };
  };
  try {
    const straight = await run("straight", 7);
    await run("cut", 4);
    expect(await run("cut", 7)).toEqual(straight);
    expect(straight.state["layer.weight.mean.codes"]).toBeInstanceOf(Uint8Array);
    expect(straight.state["layer.weight.slow"]).not.toEqual(straight.model["layer.weight"]);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("a model has its averaged weights for as long as an evaluation", async () => {
  const model = new Wide();
  const optimizer = new ExponentialAverage(new Sgd(model.namedParameters()), { decay: 0.5 });
  expect([isWeightAverage(optimizer), isWeightAverage(new Sgd(new Map()))]).toEqual([true, false]);
  const step = compileTrainStep(supervised<Batch>(model), optimizer, { clipNorm: 1 });
  const x = normal(randomKey(3), [8, 64]);
  for (let i = 0; i < 3; i++) await step({ x }, 1, at(i));
  const trained = await model.layer.weight.read();
  const average = await (optimizer.state.get("layer.weight.average") as Linear["weight"]).read();
  await expect(
    optimizer.withAverages(async () => {
      expect(optimizer.isSwapped).toBe(true);
      expect(await model.layer.weight.read()).toEqual(average);
      throw new Error("the evaluation failed");
    }),
  ).rejects.toThrow("the evaluation failed");
  expect(optimizer.isSwapped).toBe(false);
  expect(await model.layer.weight.read()).toEqual(trained);
  expect(average).not.toEqual(trained);
});
