import { describe, expect, test } from "vitest";
import { OptionError } from "../base/index.ts";
import { compile, grad, HIDDEN_SCORE, randomKey, softmax, sum, type Tensor, tensor, uniform } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import {
  BatchNorm2d,
  Conv1D,
  Conv2d,
  checkpointKey,
  constantInit,
  dropout,
  Embedding,
  type EmbeddingConfig,
  heNormal,
  heUniform,
  type Initializer,
  LayerNorm,
  Linear,
  linearInit,
  loadStateDict,
  MultiHeadAttention,
  multiHeadAttention,
  normalInit,
  Recurrent,
  RMSNorm,
  xavierNormal,
  xavierUniform,
} from "./index.ts";

const key = randomKey(1);

test("checkpoint keys follow one rule", () => {
  expect(["gateProj", "ln1", "lnF", "cAttn", "lmHead", "weight", "conv12"].map(checkpointKey)).toEqual([
    "gate_proj",
    "ln_1",
    "ln_f",
    "c_attn",
    "lm_head",
    "weight",
    "conv_12",
  ]);
});

describe("initialisers have the variance they promise", () => {
  const [fanOut, fanIn] = [300, 200];
  test.each<[string, Initializer, number]>([
    ["normal", normalInit(0.02), 0.02 ** 2],
    ["xavierUniform", xavierUniform, 2 / (fanIn + fanOut)],
    ["xavierNormal", xavierNormal, 2 / (fanIn + fanOut)],
    ["heNormal", heNormal, 2 / fanIn],
    ["heUniform", heUniform, 2 / fanIn],
    ["linear", linearInit, 1 / (3 * fanIn)],
  ])("%s", async (_, init, variance) => {
    const numbers = await init(key, [fanOut, fanIn]).read();
    const measured = numbers.reduce((total, x) => total + x * x, 0) / numbers.length;
    expect(measured / variance).toBeGreaterThan(0.97);
    expect(measured / variance).toBeLessThan(1.03);
  });

  test("two layers of one key differ, and the same key gives the same layer", async () => {
    const make = (seed: number) => new Linear({ inFeatures: 3, outFeatures: 4 }, randomKey(seed)).weight.read();
    expect(await make(1)).toEqual(await make(1));
    expect(await make(1)).not.toEqual(await make(2));
  });
});

test("Linear and Conv1D keep their layouts", async () => {
  const linear = new Linear({ inFeatures: 2, outFeatures: 3, init: constantInit(0) }, key);
  linear.weight.set(Float32Array.of(1, 2, 3, 4, 5, 6)); // [3, 2]
  linear.bias?.set(Float32Array.of(1, 0, 0));
  expect(await linear.forward(tensor([[1, 10]])).toArray()).toEqual([[22, 43, 65]]);
  const conv = new Conv1D({ inFeatures: 2, outFeatures: 3 }, key);
  conv.weight.set(Float32Array.of(1, 3, 5, 2, 4, 6)); // [2, 3], the transpose
  conv.bias.set(Float32Array.of(1, 0, 0));
  expect(await conv.forward(tensor([[1, 10]])).toArray()).toEqual([[22, 43, 65]]);
  expect([...conv.namedParameters().keys()]).toEqual(["weight", "bias"]);
});

test("cutting the weight gives what cutting the output gives", async () => {
  const conv = new Conv1D({ inFeatures: 4, outFeatures: 6, init: normalInit(1) }, key);
  const many = uniform(key, [8, 4]);
  const parts = await Promise.all(conv.forwardParts(many, 3).map((part) => part.read()));
  const whole = await conv.forward(many).read();
  parts.forEach((part, i) => {
    expectClose(
      `part ${i}`,
      part,
      Array.from({ length: 16 }, (_, j) => whole[Math.floor(j / 2) * 6 + 2 * i + (j % 2)]),
      1e-6,
    );
  });
});

test("Embedding and LayerNorm", async () => {
  const embedding = new Embedding({ numEmbeddings: 3, embeddingDim: 2 }, key);
  embedding.weight.set(Float32Array.of(0, 1, 2, 3, 4, 5));
  expect(await embedding.forward(tensor([[2, 0]], { dtype: "i32" })).toArray()).toEqual([
    [
      [4, 5],
      [0, 1],
    ],
  ]);
  const normed = await new LayerNorm({ width: 4 }, key).forward(tensor([[1, 2, 3, 4]])).read();
  expectClose("normalised", normed, [-1.3416, -0.4472, 0.4472, 1.3416], 1e-4);
});

test.each<[string, () => unknown]>([
  ["Linear: expected inFeatures", () => new Linear({ inFeatures: -3, outFeatures: 2 }, key)],
  ["Linear: expected outFeatures", () => new Linear({ inFeatures: 3, outFeatures: 2.5 }, key)],
  ["Conv1D: expected outFeatures", () => new Conv1D({ inFeatures: 3, outFeatures: Number.NaN }, key)],
  ["Embedding: expected numEmbeddings", () => new Embedding({ numEmbeddings: -3, embeddingDim: 2 }, key)],
  ["Embedding: expected embeddingDim", () => new Embedding({ numEmbeddings: 3 } as EmbeddingConfig, key)],
  ["LayerNorm: expected width", () => new LayerNorm({ width: 0 }, key)],
  ["RMSNorm: expected width", () => new RMSNorm({ width: "4" as never }, key)],
  ["BatchNorm2d: expected channels", () => new BatchNorm2d({ channels: 1.5 }, key)],
  ["Conv2d: expected groups", () => new Conv2d({ inChannels: 4, outChannels: 4, kernelSize: 1, groups: 0 }, key)],
  ["Conv2d: expected width", () => new Conv2d({ inChannels: 4, outChannels: 4, kernelSize: [1, -1] }, key)],
  [
    "Conv2d: expected inChannels and",
    () => new Conv2d({ inChannels: 5, outChannels: 4, kernelSize: 1, groups: 2 }, key),
  ],
  [
    "Conv2d: expected inChannels and",
    () => new Conv2d({ inChannels: 4, outChannels: 5, kernelSize: 1, groups: 2 }, key),
  ],
  ["Recurrent: expected hiddenSize", () => new Recurrent({ kind: "gru", inputSize: 2, hiddenSize: -1 }, key)],
])("sizes of layers that cannot be are refused: %s", (message, make) => {
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});

test("dropout keeps the mean, is off without a key, and its gradient has the same mask", async () => {
  const x = tensor(new Float32Array(10000).fill(1));
  expect(dropout(x, 0.5, undefined)).toBe(x);
  const run = compile((ones: Tensor<"f32">) => {
    const y = dropout(ones, 0.25, key);
    return { y, dx: grad(sum(y), [ones])[0] };
  });
  const { y, dx } = await run(x);
  const numbers = await y.read();
  expect(Math.abs(numbers.reduce((a, b) => a + b, 0) / 10000 - 1)).toBeLessThan(0.03);
  expect(new Set(numbers)).toEqual(new Set([0, Math.fround(4 / 3)]));
  expect(await dx.read()).toEqual(numbers);
});

test("of large tensors both halves are dropped as often, and not together", async () => {
  const count = 2 ** 18;
  const numbers = await dropout(tensor(new Float32Array(count).fill(1)), 0.1, key).read();
  const isDropped = Array.from(numbers, (x) => x === 0);
  const [first, second] = [isDropped.slice(0, count / 2), isDropped.slice(count / 2)];
  const both = first.filter((dropped, i) => dropped && second[i]).length / (count / 2);
  const shares = [first, second].map((half) => half.filter(Boolean).length / half.length);
  for (const share of shares) expect(Math.abs(share - 0.1)).toBeLessThan(0.003); // three standard deviations
  expect(Math.abs(both - 0.01)).toBeLessThan(0.001);
});

test("dropout of everything is 0, and what is no probability is refused", async () => {
  const x = tensor([1, -2, 3]);
  expect(await dropout(x, 1, key).toArray()).toEqual([0, 0, 0]);
  for (const probability of [-0.1, 1.1, Number.NaN, "0.5", undefined] as number[])
    for (const one of [key, undefined]) expect(() => dropout(x, probability, one)).toThrow(OptionError);
  expect(() => dropout(x, Number.NaN, key)).toThrow(
    "dropout: expected a probability from 0 to 1; received NaN. Fix: correct the probability.",
  );
  const attention = new MultiHeadAttention({ hiddenSize: 8, numHeads: 2, dropoutProbability: 1 }, key);
  const output = await attention.forward(uniform(key, [1, 3, 8]), { key }).read();
  expect(Array.from(output)).not.toContain(Number.NaN);
});

test("attention that is causal does not look ahead", async () => {
  const attention = new MultiHeadAttention({ hiddenSize: 8, numHeads: 2, isCausal: true }, key);
  const x = uniform(key, [1, 6, 8]);
  const [first] = [await attention.forward(x).read()];
  const numbers = await x.read();
  numbers.fill(9, 40); // the last token
  const changed = await attention.forward(tensor(numbers, { shape: [1, 6, 8] })).read();
  expectClose("earlier tokens", changed.slice(0, 40), Array.from(first.slice(0, 40)), 1e-6);
  expect(changed.slice(40)).not.toEqual(first.slice(40));
});

test("scores are what the weights of attention are the softmax of", async () => {
  const [q, k] = [uniform(key, [2, 5, 12]), uniform(key.fold(1), [2, 5, 6])];
  const seen: Record<string, Tensor<"f32">> = {};
  const options = { numHeads: 4, numKeyHeads: 2, isCausal: true, slidingWindow: 3, softCap: 0.5, scale: 2 };
  const onScores = (scores: Tensor<"f32">) => Object.assign(seen, { scores });
  const onWeights = (weights: Tensor<"f32">) => Object.assign(seen, { weights });
  const plain = await multiHeadAttention(q, k, k, options).read();
  expectClose("output", await multiHeadAttention(q, k, k, { ...options, onScores }).read(), plain, 0);
  multiHeadAttention(q, k, k, { ...options, onWeights });
  expect(seen.scores.shape).toEqual([2, 4, 5, 5]);
  expectClose("weights", await softmax(seen.scores).read(), await seen.weights.read(), 1e-6);
  const scores = await seen.scores.read();
  expect(Array.from(scores.slice(15, 20), (score) => score === HIDDEN_SCORE)).toEqual([
    true,
    false,
    false,
    false,
    true,
  ]);
});

test("loading is strict, and all or nothing", async () => {
  const layer = new Linear({ inFeatures: 1, outFeatures: 1, init: constantInit(3) }, key);
  const one = (shape: number[]) => ({ dtype: "f32" as const, shape, data: Float32Array.of(7) });
  const parameters = layer.namedParameters();
  expect(() => loadStateDict("x", parameters, new Map([["weight", one([1, 1])]]))).toThrow(/without bias/);
  expect(() =>
    loadStateDict(
      "x",
      parameters,
      new Map([
        ["weight", one([1, 1])],
        ["bias", one([1, 1])],
      ]),
    ),
  ).toThrow(/tensor bias: expected shape \[1\]/);
  expect(Array.from(await layer.weight.read())).toEqual([3]);
});
