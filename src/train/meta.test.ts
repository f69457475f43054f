/** Meta-learning: gradients are PyTorch's, and classes of digits that were not trained on are learned from few. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { flipImage, rotateImage } from "../augment/index.ts";
import { type EpisodeBatch, episodesOf } from "../data/index.ts";
import { Mlp, type RunOptions } from "../models/index.ts";
import { BatchNorm2d, Conv2d, functionalCall, Linear, loadStateDict, Module } from "../nn/index.ts";
import { AdamW, constantSchedule, type Optimizer, Sgd } from "../optim/index.ts";
import type { RawImage } from "../processors/index.ts";
import {
  compile,
  grad,
  maxPool,
  type NestedNumbers,
  randomKey,
  relu,
  reshape,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import {
  classifierLoss,
  compileEvaluation,
  type LabelledInputs,
  maml,
  measure,
  type Objective,
  prototypical,
  reptile,
  train,
} from "./index.ts";

interface Expected {
  loss?: number;
  accuracy?: number;
  gradients: Record<string, number[]>;
}
interface PackedExamples {
  inputs: NestedNumbers;
  labels: number[];
}
interface Tested {
  parameters: Record<string, { shape: number[]; data: number[] }>;
  episodes: Record<"support" | "query", PackedExamples>[];
}
interface Golden extends Tested, Record<"maml" | "firstOrder" | "reptile" | "prototypical", Expected> {
  sizes: number[];
  innerRate: number;
  innerSteps: number;
  convolutional: Tested & { maml: Expected };
}
type Tasks = EpisodeBatch<LabelledInputs>;

const read = async (name: string) =>
  JSON.parse(await readFile(new URL(`../../golden/train/${name}`, import.meta.url), "utf8"));
const golden: Golden = await read("meta.json");
const digits: { classes: string[] } = await read("digits.json");

const examplesOf = ({ inputs, labels }: PackedExamples): LabelledInputs => ({
  inputs: tensor(inputs),
  labels: tensor(labels, { dtype: "i32" }),
});

function withParameters<M extends Module>(model: M, parameters: Tested["parameters"]): M {
  const state = Object.entries(parameters).map(
    ([name, { shape, data }]) => [name, { dtype: "f32" as const, shape, data: Float32Array.from(data) }] as const,
  );
  loadStateDict("golden", model.namedParameters(), new Map(state));
  return model;
}
const goldenModel = () =>
  withParameters(new Mlp({ sizes: golden.sizes, activation: "tanh" }, randomKey(0)), golden.parameters);

/** As in golden/make_meta.py: with batch norm. */
class ConvolutionalNetwork extends Module {
  readonly conv = new Conv2d({ inChannels: 1, outChannels: 3, kernelSize: 3, padding: 1 }, randomKey(0));
  readonly norm = new BatchNorm2d({ channels: 3 }, randomKey(1));
  readonly head = new Linear({ inFeatures: 12, outFeatures: 2 }, randomKey(2));

  forward(images: Tensor<"f32">, run: RunOptions): Tensor<"f32"> {
    const maps = maxPool(relu(this.norm.forward(this.conv.forward(images), run)), { kernelSize: 2 });
    return this.head.forward(reshape(maps, [-1, 12]));
  }
}

const goldenEpisodes = ({ episodes }: Tested = golden) =>
  episodes.map(({ support, query }) => ({ support: examplesOf(support), query: examplesOf(query) }));

const lossOf = (model: Mlp) => classifierLoss((x, run) => model.forward(x, run));
const { innerRate, innerSteps } = golden;
const inner = { innerRate, innerSteps };
const objectives: Record<string, (model: Mlp) => Objective<Tasks>> = {
  maml: (model) => maml(model, lossOf(model), inner),
  firstOrder: (model) => maml(model, lossOf(model), { ...inner, isFirstOrder: true }),
  reptile: (model) => reptile(model, lossOf(model), inner),
  prototypical: (model) => prototypical(model, (x, run) => model.forward(x, run), { shots: 2 }),
};

describe("the loss and the outer gradients are PyTorch's", () => {
  async function expectSame(objective: Objective<Tasks>, batch: Tasks, expected: Expected) {
    const names = [...objective.trained.keys()];
    const step = compile((batch: Tasks) => {
      const { loss, metrics = {} } = objective.loss(batch, { isTraining: true });
      return { loss, metrics, gradients: grad(loss, [...objective.trained.values()]) };
    });
    const { loss, metrics, gradients } = step(batch as never);
    const tolerance = tolerances.f32 as number;
    for (const [i, gradient] of gradients.entries())
      expectClose(names[i], await gradient.read(), expected.gradients[names[i]], tolerance);
    if (expected.loss !== undefined) expectClose("loss", [await loss.item()], [expected.loss], tolerance);
    if (expected.accuracy !== undefined)
      expectClose("accuracy", [await metrics.accuracy.item()], [expected.accuracy], tolerance);
  }

  test.each(Object.keys(objectives))("%s", async (name) => {
    const objective = objectives[name](goldenModel());
    const batch = { episodes: goldenEpisodes() };
    await expectSame(objective, batch, golden[name as "maml"]);
    expect(objective.count(batch)).toBe(20);
  });

  test("maml through convolution, batch norm and max pooling", async () => {
    const { convolutional } = golden;
    const model = withParameters(new ConvolutionalNetwork(), convolutional.parameters);
    const loss = classifierLoss((x, run) => model.forward(x, run));
    await expectSame(maml(model, loss, inner), { episodes: goldenEpisodes(convolutional) }, convolutional.maml);
  });

  test("second and first order differ, so the test tells them apart", () => {
    const [second, first] = [golden.maml, golden.firstOrder].map(({ gradients }) => gradients["layers.0.weight"]);
    expect(Math.max(...second.map((x, i) => Math.abs(x - first[i])))).toBeGreaterThan(1e-3);
  });
});

/** 8 x 8 pictures of digits. What is turned or flipped is another class, as with Omniglot: 80 of 24 pictures each. */
const SIDE = 8;
const numbersOf = ({ data }: RawImage) => Array.from(data, (value) => value / 16);
const classesOf = (base64: string): number[][][] => {
  const bytes = new Uint8Array(Buffer.from(base64, "base64"));
  const images = Array.from({ length: bytes.length / SIDE ** 2 }, (_, i) => {
    const data = bytes.subarray(i * SIDE ** 2, (i + 1) * SIDE ** 2);
    return { width: SIDE, height: SIDE, channels: 1, data };
  });
  const flipped = images.map((image) => flipImage(image, "horizontal"));
  return [0, 90, 180, 270].flatMap((angle) =>
    [images, flipped].map((list) => list.map((image) => numbersOf(rotateImage(image, angle)))),
  );
};
/** Digits that no objective is trained on. */
const heldOut = [2, 4, 7];
const classes = (isHeldOut: boolean) =>
  digits.classes.flatMap((base64, digit) => (heldOut.includes(digit) === isHeldOut ? classesOf(base64) : []));

const ways = 5;
const tasks = {
  ...{ ways, shots: 1, queries: 5 },
  collate: (inputs: readonly number[][], labels: readonly number[]) =>
    examplesOf({ inputs: [...inputs], labels: [...labels] }),
};
const trainData = episodesOf(classes(false), { ...tasks, episodesPerBatch: 4, seed: 1 });
const testData = episodesOf(classes(true), { ...tasks, episodesPerBatch: 8, seed: 2, count: 20 });

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

async function metricsOf(objective: Objective<Tasks>): Promise<Record<string, number>> {
  const evaluate = compileEvaluation(objective);
  try {
    return (await measure(evaluate, { source: testData })).metrics;
  } finally {
    evaluate.dispose();
  }
}

interface Method {
  make(model: Mlp): Objective<Tasks>;
  optimizer(objective: Objective<Tasks>): Optimizer;
  rate: number;
  steps: number;
  outputs: number;
  /** Accuracy to reach on new digits, where chance is 0.2, and by how much more than without training. */
  least: number;
  gain: number;
}
const inTasks = { innerRate: 0.2, innerSteps: 5 };
const adam = ({ trained }: Objective<Tasks>) => new AdamW(trained);
const methods: Record<string, Method> = {
  maml: {
    ...{ rate: 1e-3, steps: 100, outputs: ways, least: 0.72, gain: 0.15, optimizer: adam },
    make: (model) => maml(model, lossOf(model), inTasks),
  },
  "first-order maml": {
    ...{ rate: 1e-3, steps: 100, outputs: ways, least: 0.72, gain: 0.15, optimizer: adam },
    make: (model) => maml(model, lossOf(model), { ...inTasks, isFirstOrder: true }),
  },
  reptile: {
    ...{ rate: 0.5, steps: 100, outputs: ways, least: 0.68, gain: 0.12 },
    make: (model) => reptile(model, lossOf(model), inTasks),
    optimizer: ({ trained }) => new Sgd(trained),
  },
  prototypical: {
    ...{ rate: 2e-3, steps: 150, outputs: 32, least: 0.72, gain: 0.03, optimizer: adam },
    make: (model) => prototypical(model, (x, run) => model.forward(x, run), { shots: 1 }),
  },
};

test.each(Object.entries(methods))("%s learns new digits from one picture of each", async (name, method) => {
  const { make, optimizer, rate, steps, outputs, least, gain } = method;
  const model = new Mlp({ sizes: [SIDE ** 2, 64, outputs] }, randomKey(3));
  const objective = make(model);
  const before = await metricsOf(objective);
  const run = { objective, optimizer: optimizer(objective), schedule: constantSchedule(rate), trainData, steps };
  for await (const event of train({ ...run, folder: join(root, name), clipNorm: Number.POSITIVE_INFINITY }))
    if (event.type === "step") expect(Object.keys(event.metrics)).toEqual(["accuracy"]);
  const after = await metricsOf(objective);
  expect(after.accuracy).toBeGreaterThan(least);
  expect(after.accuracy).toBeGreaterThan(before.accuracy + gain);
  if (name !== "prototypical") expect(after.accuracyBefore).toBeLessThan(0.3); // of tasks it has not looked at
  model.dispose();
});

test("only what is adapted changes inside of a task, and all that is trained learns", async () => {
  const model = goldenModel();
  const adapted = new Map([...model.namedParameters()].filter(([name]) => name.startsWith("layers.1")));
  const objective = maml(model, lossOf(model), { ...inner, adapted });
  const step = compile((batch: Tasks) => {
    const { loss } = objective.loss(batch, { isTraining: true });
    return grad(loss, [...objective.trained.values()]);
  });
  const gradients = await Promise.all(step({ episodes: goldenEpisodes() } as never).map((gradient) => gradient.read()));
  expect(gradients.every((gradient) => gradient.some((x) => x !== 0))).toBe(true);
  expect(Array.from(gradients[0])).not.toEqual(golden.maml.gradients["layers.0.weight"]);
});

test("wrong options and batches are refused", () => {
  const model = goldenModel();
  const loss = lossOf(model);
  const forward = (x: Tensor<"f32">) => model.forward(x);
  const episodes = goldenEpisodes();
  const refused: [() => unknown, string][] = [
    [() => maml(model, loss, { innerRate: 0 }), "maml: expected innerRate above 0; received 0"],
    [() => maml(model, loss, { innerRate: 1, innerSteps: 0.5 }), "maml: expected innerSteps to be a positive integer"],
    [() => reptile(model, loss, { innerRate: 1, isFirstOrder: true } as never), "reptile: expected one of the options"],
    [
      () => maml(model, loss, inner).loss({ episodes: [] }, {}),
      "meta-learning: expected a batch with an episode or more",
    ],
    [
      () => prototypical(model, forward, { shots: 3 }).loss({ episodes }, {}),
      "prototypical: expected vectors [n, D] of 3 examples of each class; received [4, 2]",
    ],
    [
      () => functionalCall(new Map([[model.parameters()[0], tensor([1])]]), () => []),
      "functionalCall: expected a value f32[5, 3], as the parameter; received f32[1]",
    ],
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
});
