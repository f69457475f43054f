/** What `train` does for any objective and any source. */
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { batchesOf, type Source } from "../data/index.ts";
import { Mlp, type RunOptions } from "../models/index.ts";
import { dropout, Linear, Module, type Parameter } from "../nn/index.ts";
import { AdamW, constantSchedule, Sgd } from "../optim/index.ts";
import {
  argmax,
  cast,
  crossEntropy,
  equal,
  mean,
  randomKey,
  relu,
  square,
  sub,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { compileTrainStep, type Objective, supervised, type TrainEvent, type TrainOptions, train } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

interface Points {
  x: Tensor<"f32">;
  labels: Tensor<"i32">;
}

/** A module of one's own with a loss: dropout in training, and a layer that the loss does not use. */
class Classifier extends Module {
  readonly hidden: Linear;
  readonly head: Linear;
  readonly unused: Linear;
  constructor(seed: number) {
    super();
    const [hidden, head, unused] = randomKey(seed).split(3);
    this.hidden = new Linear({ inFeatures: 2, outFeatures: 8 }, hidden);
    this.head = new Linear({ inFeatures: 8, outFeatures: 2 }, head);
    this.unused = new Linear({ inFeatures: 2, outFeatures: 2 }, unused);
  }
  forward({ x, key }: { x: Tensor<"f32"> } & RunOptions): Tensor<"f32"> {
    return this.head.forward(dropout(relu(this.hidden.forward(x)), 0.1, key));
  }
  loss({ labels, ...inputs }: Points & RunOptions): Tensor<"f32"> {
    return crossEntropy(this.forward(inputs), labels);
  }
}

/** Points on both sides of a line. */
const examples = Array.from({ length: 24 }, (_, i) => {
  const [x, y] = [Math.sin(3 * i), Math.cos(7 * i)];
  return { point: [x, y], label: x > y ? 1 : 0 };
});
const collate = (rows: readonly (typeof examples)[number][]): Points => ({
  x: tensor(rows.map(({ point }) => point)),
  labels: tensor(
    rows.map(({ label }) => label),
    { dtype: "i32" },
  ),
});
const shuffled = batchesOf(examples, { batchSize: 8, collate, seed: 4 });

/** All events of a run with AdamW. */
async function run<B>(
  name: string,
  objective: Objective<B>,
  trainData: Source<B>,
  options: Partial<TrainOptions<B>> = {},
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  const base = { optimizer: new AdamW(objective.trained), schedule: constantSchedule(0.05), steps: 12 };
  const folder = join(root, name);
  for await (const event of train({ ...base, objective, trainData, folder, ...options })) events.push(event);
  return events;
}
const lossesOf = (events: readonly TrainEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
const read = (parameters: Iterable<Parameter>) => Promise.all([...parameters].map((parameter) => parameter.read()));

test("a module of one's own is trained, saved and resumed, and counts examples", async () => {
  const straight = await run("straight", supervised(new Classifier(1)), shuffled, { steps: 60 });
  expect(lossesOf(straight)[59]).toBeLessThan(lossesOf(straight)[0] / 3);
  const step = straight.find((event) => event.type === "step");
  expect(step).toMatchObject({ metrics: {}, throughput: expect.any(Number) });
  const [line] = (await readFile(join(root, "straight", "metrics.jsonl"), "utf8")).split("\n");
  expect(Object.keys(JSON.parse(line))).toEqual(["step", "loss", "gradientNorm", "learningRate", "examplesPerSecond"]);
  expect(straight.at(-1)).toMatchObject({ type: "finished", validationLoss: null, validationStep: null });
  await run("resumed", supervised(new Classifier(1)), shuffled, { steps: 25 });
  const second = await run("resumed", supervised(new Classifier(9)), shuffled, { steps: 60 });
  expect(second[0]).toMatchObject({ type: "resumed", step: 25 });
  expect(lossesOf(second)).toEqual(lossesOf(straight).slice(25));
});

test("what is not trained, and what the loss does not use, stays as it is", async () => {
  const model = new Classifier(1);
  const before = await read(model.parameters());
  const objective = supervised(model, { trained: model.head.namedParameters("head.") });
  expect([...objective.trained.keys()]).toEqual(["head.weight", "head.bias"]);
  await run("part", objective, shuffled);
  const after = await read(model.parameters());
  const names = [...model.namedParameters().keys()];
  const changed = names.filter((_, i) => after[i].some((value, j) => value !== before[i][j]));
  expect(changed).toEqual(["head.weight", "head.bias"]);

  const whole = new Classifier(1);
  await run("whole", supervised(whole), shuffled);
  expect(await read(whole.unused.parameters())).toEqual(await read(new Classifier(1).unused.parameters()));
});

test("metrics are measured with the loss, in training and in validation", async () => {
  const model = new Classifier(2);
  const objective: Objective<Points> = {
    ...supervised<Points>(model),
    loss: ({ x, labels }, options) => {
      const logits = model.forward({ x, ...options });
      const isRight = equal(cast(argmax(logits, { axis: -1 }), "i32"), labels);
      return { loss: crossEntropy(logits, labels), metrics: { accuracy: mean(cast(isRight, "f32")) } };
    },
  };
  const validationData = batchesOf(examples, { batchSize: 10, collate, isShuffled: false });
  const options = { validationData, evaluationInterval: 40, steps: 80 };
  const events = await run("metrics", objective, shuffled, options);
  const measured = events.flatMap((event) => (event.type === "evaluation" ? [event] : []));
  expect(measured.map(({ step }) => step)).toEqual([40, 80]);
  expect(measured[1].metrics.accuracy).toBeGreaterThan(0.9);
  const lines = (await readFile(join(root, "metrics", "metrics.jsonl"), "utf8")).trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line));
  expect(entries.at(-1)).toEqual({
    step: 80,
    validationLoss: measured[1].validationLoss,
    metrics: measured[1].metrics,
  });
  expect(entries[0].metrics.accuracy).toBeLessThanOrEqual(1);
  // three batches of 10, the last of which begins anew after 4
  const means = await Promise.all(
    [0, 1, 2].map(async (i) => {
      const { x, labels } = await validationData.batch(i);
      return crossEntropy(model.forward({ x }), labels).item();
    }),
  );
  expect(measured[1].validationLoss).toBeCloseTo((means[0] + means[1] + means[2]) / 3, 5);
});

test("a batch may be nested, of several dtypes, and of other shapes than the last; data that ends begins anew", async () => {
  const model = new Mlp({ sizes: [1, 1] }, randomKey(3));
  interface Nested {
    parts: { x: Tensor<"f32"> }[];
    isCounted: Tensor<"bool">;
    kind: string;
  }
  const seen: string[] = [];
  const objective: Objective<Nested> = {
    trained: model.namedParameters(),
    state: model.namedState(),
    unit: "points",
    count: ({ parts }) => parts.reduce((total, { x }) => total + Number(x.shape[0]), 0),
    loss: ({ parts, isCounted, kind }) => {
      seen.push(`${kind} ${parts.map(({ x }) => x.shape.join("x"))} ${isCounted.dtype}`);
      const errors = parts.map(({ x }) => mean(square(sub(model.forward(x), 2))));
      return { loss: errors.reduce((a, b) => a.add(b)) };
    },
    save: async () => {},
    load: async () => {},
  };
  const rows = (count: number) => ({ x: tensor(Array.from({ length: count }, (_, i) => [i])) });
  const batches: Nested[] = [
    { parts: [rows(1), rows(2)], isCounted: tensor([1], { dtype: "bool" }), kind: "a" },
    { parts: [rows(3)], isCounted: tensor([0], { dtype: "bool" }), kind: "b" },
  ];
  const asked: number[] = [];
  const source: Source<Nested> = {
    count: 2,
    batch: async (index) => {
      asked.push(index);
      return batches[index];
    },
  };
  await run("nested", objective, source, { steps: 5 });
  expect(asked.slice(0, 5)).toEqual([0, 1, 0, 1, 0]);
  expect(seen).toEqual(["a 1x1,2x1 bool", "b 3x1 bool"]); // each combination of shapes is traced once
});

test.each<[keyof TrainOptions<Points>, number[], string]>([
  ["steps", [Number.NaN, 1.5, -1, Number.POSITIVE_INFINITY], "to be an integer of at least 0"],
  ["clipNorm", [Number.NaN, -1, 0], "above 0, or Infinity for no limit"],
  ["seed", [Number.NaN, 0.5], "to be an integer"],
  ["evaluationInterval", [Number.NaN, 0, -1, 2.5], "to be a positive integer, or Infinity for never"],
  ["checkpointInterval", [Number.NaN, 0, -1, 2.5], "to be a positive integer, or Infinity for never"],
  ["evaluationBatches", [Number.NaN, 0, 1.5], "to be a positive integer"],
  ["maxSeconds", [Number.NaN, 0, -1], "above 0, or Infinity for no limit"],
])("%s of %j is refused before anything is written", async (name, values, range) => {
  const objective = supervised(new Classifier(1));
  for (const value of values) {
    await expect(run(`refused-${name}`, objective, shuffled, { [name]: value })).rejects.toThrow(
      `train: expected ${name} ${range}; received ${value}. Fix: choose a value in the range`,
    );
  }
  await expect(access(join(root, `refused-${name}`))).rejects.toThrow(/ENOENT/);
});

test("steps that are left out are refused, and Infinity stands for never and no limit", async () => {
  const objective = supervised(new Classifier(1));
  await expect(run("left-out", objective, shuffled, { steps: undefined })).rejects.toThrow(
    "train: expected steps to be an integer of at least 0; received undefined",
  );
  const never = { evaluationInterval: Number.POSITIVE_INFINITY, checkpointInterval: Number.POSITIVE_INFINITY };
  const unlimited = { clipNorm: Number.POSITIVE_INFINITY, maxSeconds: Number.POSITIVE_INFINITY };
  const events = await run("never", objective, shuffled, { ...never, ...unlimited, steps: 3 });
  expect(events.map(({ type }) => type)).toEqual(["step", "step", "step", "checkpoint", "finished"]);
});

test("a schedule without a number ends training before the weights change", async () => {
  const objective = supervised(new Classifier(1));
  const schedule = (step: number) => (step === 2 ? Number.NaN : 0.05);
  await expect(run("no-rate", objective, shuffled, { schedule })).rejects.toThrow(
    "train, step 2: expected learningRate of at least 0; received NaN. Fix: correct the schedule",
  );
  for (const parameter of objective.trained.values())
    expect((await parameter.read()).every((value) => Number.isFinite(value))).toBe(true);
});

test("a compiled step needs a norm to clip to, and says so", () => {
  const objective = supervised(new Classifier(1));
  const optimizer = new AdamW(objective.trained);
  for (const clipNorm of [undefined, Number.NaN, 0, -1])
    expect(() => compileTrainStep(objective, optimizer, { clipNorm: clipNorm as number })).toThrow(
      `compileTrainStep: expected clipNorm above 0, or Infinity for no limit; received ${clipNorm}`,
    );
  expect(() => compileTrainStep(objective, optimizer, { clipnorm: 1 } as never)).toThrow(/did you mean "clipNorm"/);
});

test("a label that is no class, such as -1 for padding, stops training and leaves the weights", async () => {
  const objective = supervised(new Classifier(1));
  const before = await Promise.all([...objective.trained.values()].map((parameter) => parameter.read()));
  const trainData: Source<Points> = {
    batch: async () => ({ x: tensor([[1, 2]]), labels: tensor([-1], { dtype: "i32" }) }),
  };
  await expect(run("no-class", objective, trainData)).rejects.toThrow(
    /check the indices: .*labels must be at least 0/s,
  );
  const after = await Promise.all([...objective.trained.values()].map((parameter) => parameter.read()));
  expect(after).toEqual(before);
});

test("data without a batch is refused", async () => {
  const objective = supervised(new Classifier(1));
  const empty: Source<Points> = { ...shuffled, count: 0 };
  await expect(run("empty", objective, empty)).rejects.toThrow(/trainData of a batch or more; received 0/);
  await expect(run("empty", objective, shuffled, { validationData: empty })).rejects.toThrow(
    /validationData of a batch/,
  );
  await expect(run("empty", objective, shuffled, { evaluationBatches: 0 })).rejects.toThrow(
    /evaluationBatches to be a positive integer/,
  );
});

test("an optimizer of other parameters is refused, and a loss that uses none", async () => {
  const objective = supervised(new Classifier(1));
  const other = new Sgd(new Classifier(1).namedParameters());
  await expect(run("other", objective, shuffled, { optimizer: other })).rejects.toThrow(
    /optimizer of the 6 parameters that the objective trains; received one of 6, with hidden\.weight.*objective\.trained/,
  );
  const constant = { ...objective, loss: ({ x }: Points) => ({ loss: mean(x) }) };
  await expect(run("constant", constant, shuffled)).rejects.toThrow(/depends on none of the 6/);
});

test("what a module saved is loaded into one like it alone", async () => {
  const [saved, target] = [new Classifier(1), new Classifier(5)];
  const before = await read(target.parameters());
  const folder = join(root, "saved");
  await supervised(saved).save(folder);
  await expect(supervised(new Mlp({ sizes: [2, 8, 2] }, randomKey(1)) as never).load(folder)).rejects.toThrow(
    /exactly the 4 tensors of the model/,
  );
  await supervised(target).load(folder);
  expect(await read(target.parameters())).toEqual(await read(saved.parameters()));
  expect(await read(target.parameters())).not.toEqual(before);
});
