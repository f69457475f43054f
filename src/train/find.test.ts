/** The finders of learning rates and batch sizes: what they suggest, and that they leave everything as it was. */
import { expect, test } from "vitest";
import { Mlp } from "../models/index.ts";
import { AdamW, Sgd } from "../optim/index.ts";
import type { Variable } from "../tensor/index.ts";
import { crossEntropy, mean, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { findBatchSize, findLearningRate, supervised } from "./index.ts";

const classes = 3;
const inputsOf = (count: number, seed: number) =>
  Float32Array.from({ length: count * 4 }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * 2);

/** Points, and which of their first numbers is the largest. */
async function batch(size: number, seed: number) {
  const numbers = inputsOf(size, seed);
  const labels = Int32Array.from({ length: size }, (_, i) => {
    const row = [...numbers.subarray(4 * i, 4 * i + classes)];
    return row.indexOf(Math.max(...row));
  });
  return { inputs: tensor(numbers, { shape: [size, 4] }), labels: tensor(labels) };
}

class Classifier extends Mlp {
  loss({ inputs, labels }: { inputs: Tensor<"f32">; labels: Tensor<"i32"> }): Tensor<"f32"> {
    return mean(crossEntropy(this.forward(inputs), labels));
  }
}

const problem = () => {
  const model = new Classifier({ sizes: [4, 16, classes] }, randomKey(0));
  return { model, objective: supervised(model as never) };
};
const snapshot = async (variables: Iterable<Variable>) =>
  Promise.all([...variables].map(async (variable) => [...(await variable.read())]));

test("a rate is found between too slow and divergence, and nothing has changed", async () => {
  const { objective } = problem();
  const optimizer = new Sgd(objective.trained, { momentum: 0.9 });
  const all = () => snapshot([...objective.state.values(), ...optimizer.state.values()] as Variable[]);
  const before = await all();
  const trainData = { batch: (i: number) => batch(32, i) as never };
  const range = await findLearningRate({
    ...{ objective, optimizer, trainData, clipNorm: 1e9 },
    ...{ lowest: 1e-5, highest: 1e4, steps: 80 },
  });
  expect(await all()).toEqual(before);
  const { trials, steepest, tenthOfMinimum, hasDiverged } = range;
  expect(hasDiverged).toBe(true);
  expect(trials.length).toBeLessThan(80);
  trials.slice(1).forEach(({ learningRate }, i) => {
    expect(learningRate / trials[i].learningRate).toBeCloseTo(1e9 ** (1 / 79), 6);
  });
  for (const rate of [steepest, tenthOfMinimum]) {
    expect(rate).toBeGreaterThan(1e-3);
    expect(rate).toBeLessThan(10);
  }
});

test("batches are doubled up to the limit of memory, and nothing has changed", async () => {
  const { objective } = problem();
  const optimizer = new AdamW(objective.trained);
  const all = () => snapshot([...objective.state.values(), ...optimizer.state.values()] as Variable[]);
  const before = await all();
  const options = { objective, optimizer, batch: (size: number) => batch(size, 0) as never, leastGain: 0 };
  const { trials } = await findBatchSize({ ...options, limitBytes: 1e9, largest: 2 });
  const [one] = trials;
  expect(one.itemsPerSecond).toBeGreaterThan(0);
  const limited = await findBatchSize({ ...options, limitBytes: 4 * one.bytes, largest: 1 << 16 });
  const last = limited.trials[limited.trials.length - 1];
  if (last.itemsPerSecond === undefined) expect(last.bytes).toBeGreaterThan(4 * one.bytes);
  expect(limited.trials.map(({ batchSize }) => batchSize)).toEqual(limited.trials.map((_, i) => 2 ** i));
  expect(limited.trials.find(({ batchSize }) => batchSize === limited.batchSize)?.bytes).toBeLessThan(4 * one.bytes);
  expect(await all()).toEqual(before);
  await expect(findBatchSize({ ...options, limitBytes: 10 })).rejects.toThrow(
    /findBatchSize: expected a batch of 1 within 10 bytes; received \d+ bytes/,
  );
});

test("what is wrong is refused", async () => {
  const { objective } = problem();
  const optimizer = new AdamW(objective.trained);
  const trainData = { batch: (i: number) => batch(4, i) as never };
  const options = { objective, optimizer, trainData };
  await expect(findLearningRate({ ...options, lowest: 1, highest: 0.1 })).rejects.toThrow("highest above lowest (1)");
  await expect(findLearningRate({ ...options, steps: 5 })).rejects.toThrow("10 steps or more");
  await expect(findLearningRate({ ...options, stepps: 5 } as never)).rejects.toThrow('"steps"');
  const broken = { ...objective, loss: () => ({ loss: tensor(Number.NaN).add(0) }) };
  await expect(findLearningRate({ ...options, objective: broken as never })).rejects.toThrow();
});
