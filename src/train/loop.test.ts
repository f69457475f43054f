/** What the loop does besides steps: accumulation, what is kept, when it ends, what it goes back on. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IGNORED_LABEL } from "../base/index.ts";
import { batchesOf, type Source } from "../data/index.ts";
import { readSafetensors } from "../files/index.ts";
import type { RunOptions } from "../models/index.ts";
import { dropout, Linear, Module } from "../nn/index.ts";
import { AdamW, constantSchedule, Sgd } from "../optim/index.ts";
import { argmax, crossEntropy, log, mean, mul, randomKey, relu, type Tensor, tensor } from "../tensor/index.ts";
import { DivergedError, type Objective, supervised, type TrainEvent, type TrainOptions, train } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

interface Rows {
  x: Tensor<"f32">;
  labels: Tensor<"i32">;
}

class Classifier extends Module {
  readonly hidden: Linear;
  readonly head: Linear;
  private readonly dropout: number;
  constructor(dropout = 0) {
    super();
    this.dropout = dropout;
    const [hidden, head] = randomKey(1).split(2);
    this.hidden = new Linear({ inFeatures: 2, outFeatures: 8 }, hidden);
    this.head = new Linear({ inFeatures: 8, outFeatures: 2 }, head);
  }
  forward({ x, key }: { x: Tensor<"f32"> } & RunOptions): Tensor<"f32"> {
    return this.head.forward(dropout(relu(this.hidden.forward(x)), this.dropout, key));
  }
  loss({ labels, ...inputs }: Rows & RunOptions): Tensor<"f32"> {
    return crossEntropy(this.forward(inputs), labels);
  }
}

const examples = Array.from({ length: 24 }, (_, i) => {
  const [x, y] = [Math.sin(3 * i), Math.cos(7 * i)];
  return { point: [x, y], label: i % 5 === 2 ? IGNORED_LABEL : x > y ? 1 : 0 };
});
const collate = (rows: readonly (typeof examples)[number][]): Rows => ({
  x: tensor(rows.map(({ point }) => point)),
  labels: tensor(
    rows.map(({ label }) => label),
    { dtype: "i32" },
  ),
});
const inOrder = (batchSize: number) => batchesOf(examples, { batchSize, collate, isShuffled: false });

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
const weightsOf = async (model: Module) =>
  (await Promise.all([...model.parameters()].map((parameter) => parameter.read()))).flatMap((values) => [...values]);

test.each(["f32", "f16"] as const)(
  "batches that are accumulated make the step of one large batch (%s)",
  async (precision) => {
    const [whole, parts] = [new Classifier(), new Classifier()];
    const optimizer = (model: Module) => new Sgd(model.namedParameters(), { momentum: 0.9 });
    const options = { precision, schedule: constantSchedule(0.1), steps: 6 };
    const straight = await run(`whole-${precision}`, supervised(whole), inOrder(12), {
      ...options,
      optimizer: optimizer(whole),
    });
    const accumulated = await run(`parts-${precision}`, supervised(parts), inOrder(3), {
      ...options,
      optimizer: optimizer(parts),
      accumulation: 4,
    });
    const digits = precision === "f32" ? 6 : 3; // halves round each product
    lossesOf(accumulated).forEach((loss, i) => {
      expect(loss).toBeCloseTo(lossesOf(straight)[i], digits);
    });
    const [a, b] = [await weightsOf(whole), await weightsOf(parts)];
    for (const [i, value] of a.entries())
      expect(Math.abs(b[i] - value)).toBeLessThan(precision === "f32" ? 1e-5 : 2e-3);
  },
);

test("a run of accumulated batches with dropout that is resumed is the run that was not interrupted", async () => {
  const options = { accumulation: 2, steps: 9, clipValue: 0.05 };
  const straight = await run("straight", supervised(new Classifier(0.2)), inOrder(4), options);
  await run("resumed", supervised(new Classifier(0.2)), inOrder(4), { ...options, steps: 4 });
  const second = await run("resumed", supervised(new Classifier(0.2)), inOrder(4), options);
  expect(lossesOf(second)).toEqual(lossesOf(straight).slice(4));
});

test("batches without a label add nothing, and a step of such batches alone says what is wrong", async () => {
  const none: Rows = { x: tensor([[1, 2]]), labels: tensor([IGNORED_LABEL], { dtype: "i32" }) };
  const source: Source<Rows> = { batch: async (i) => (i % 2 === 0 ? none : inOrder(8).batch(0)) };
  const events = await run("half", supervised(new Classifier()), source, { accumulation: 2 });
  expect(lossesOf(events).every((loss) => Number.isFinite(loss))).toBe(true);
  const nothing: Source<Rows> = { batch: async () => none };
  await expect(run("nothing", supervised(new Classifier()), nothing)).rejects.toThrow(
    /every label is ignored.*leave such rows out/s,
  );
  const measured = await run("measured", supervised(new Classifier()), inOrder(8), {
    validationData: { ...source, count: 2 },
  });
  expect(measured.at(-1)).toMatchObject({ validationLoss: expect.closeTo(Number(lossesOf(measured).at(-1)), 0) });
});

/** Validation whose loss is what the test says, by the number of the evaluation. */
function scripted(values: readonly number[]): Objective<Rows> {
  const objective = supervised(new Classifier());
  let evaluation = 0;
  return {
    ...objective,
    scorer: () => ({
      outputs: ({ x, labels }) => ({ labels, classes: argmax(new Classifier().forward({ x }), { axis: -1 }) }),
      add: ({ labels, classes }) => expect(labels.data.length).toBe(classes.data.length),
      result: () => ({ score: values[evaluation++] }),
    }),
  };
}

test("the best checkpoint and the best three stay, and training ends when nothing becomes better", async () => {
  const scores = [0.2, 0.5, 0.4, 0.6, 0.55, 0.6, 0.3];
  const events = await run("best", scripted(scores), inOrder(8), {
    validationData: inOrder(8),
    monitor: { metric: "score", mode: "max" },
    earlyStopping: { patience: 3 },
    ...{ keepBest: true, keepCheckpoints: 3, evaluationInterval: 2, checkpointInterval: 2, steps: 100 },
  });
  expect(events.at(-1)).toMatchObject({
    type: "finished",
    reason: "patience",
    step: 14,
    best: { step: 8, value: 0.6 },
  });
  const measured = events.flatMap((event) => (event.type === "evaluation" ? [event.isBest] : []));
  expect(measured).toEqual([true, true, false, true, false, false, false]);
  const folder = join(root, "best");
  const step = async (name: string) =>
    JSON.parse(await readFile(join(folder, name, "training_state.json"), "utf8")).step;
  expect(await step("best")).toBe(8);
  const kept = (await readdir(join(folder, "checkpoints"))).sort();
  expect(kept).toEqual(["kept.json", "step-00000008", "step-00000010", "step-00000012"]);
  // one file on the disk, with two names
  const [a, b] = [join(folder, "best"), join(folder, "checkpoints", "step-00000008")];
  expect((await stat(join(a, "model.safetensors"))).ino).toBe((await stat(join(b, "model.safetensors"))).ino);
  expect((await readSafetensors(join(a, "model.safetensors"))).tensors.size).toBe(4);
});

test("checkpoints that are kept stay below a size, and the last ones stay without validation", async () => {
  const options = { checkpointInterval: 2, steps: 8, keepCheckpoints: 2 };
  await run("last", supervised(new Classifier()), inOrder(8), options);
  expect((await readdir(join(root, "last", "checkpoints"))).sort()).toEqual([
    ...["kept.json", "step-00000006", "step-00000008"],
  ]);
  await run("small", supervised(new Classifier()), inOrder(8), { ...options, maxCheckpointBytes: 10 });
  expect(await readdir(join(root, "small", "checkpoints"))).toEqual(["kept.json"]);
});

test("what needs validation data is refused without, and a metric that is not there is named", async () => {
  const objective = supervised(new Classifier());
  await expect(run("needs", objective, inOrder(8), { keepBest: true })).rejects.toThrow(/validationData for keepBest/);
  const monitor = { metric: "f1", mode: "max" } as const;
  await expect(run("needs", objective, inOrder(8), { validationData: inOrder(8), monitor })).rejects.toThrow(
    /monitor: expected one of validationLoss; received f1/,
  );
  await expect(run("needs", objective, inOrder(8), { monitor: { metric: "x", mode: "up" as never } })).rejects.toThrow(
    /mode that is "min" or "max"/,
  );
});

/** A batch on which the loss leaps. */
const leaping = (batchNumber: number): Source<Rows> => ({
  batch: async (i) =>
    i === batchNumber
      ? { ...(await inOrder(8).batch(0)), x: tensor(Array(8).fill([1e4, 1e4])) }
      : inOrder(8).batch(i % 3),
});

test("after a leap of the loss training goes back and passes over the batches since, also when it is resumed", async () => {
  const options = { spikes: { window: 8 }, checkpointInterval: 3, steps: 20 };
  const events = await run("leaps", supervised(new Classifier()), leaping(10), options);
  expect(events.find((event) => event.type === "rolledBack")).toMatchObject({ step: 9, from: 11, skippedSteps: 2 });
  expect(events.at(-1)).toMatchObject({ type: "finished", step: 20 });
  const lines = (await readFile(join(root, "leaps", "metrics.jsonl"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  await run("leaps-resumed", supervised(new Classifier()), leaping(10), { ...options, steps: 13 });
  const second = await run("leaps-resumed", supervised(new Classifier()), leaping(10), options);
  expect(lossesOf(second)).toEqual(lossesOf(events).slice(-7));
});

test("training that leaps again and again is ended", async () => {
  const wild: Source<Rows> = {
    batch: async (i) => ({
      ...(await inOrder(8).batch(0)),
      x: tensor(Array(8).fill([i > 5 ? Number.NaN : 1, 1])),
    }),
  };
  const options = { spikes: { mostRollbacks: 2 }, checkpointInterval: 2 };
  await expect(run("wild", supervised(new Classifier()), wild, options)).rejects.toThrow(DivergedError);
});

test("a callback sees each event, and ends training, saves and evaluates", async () => {
  const seen: string[] = [];
  await run("called", supervised(new Classifier()), inOrder(8), {
    validationData: inOrder(8),
    callbacks: [
      async (event, control) => {
        seen.push(`${event.type} ${event.step}`);
        if (event.type !== "step") return;
        if (event.step === 2) control.save();
        if (event.step === 3) control.evaluate();
        if (event.step === 4) control.stop();
      },
    ],
  });
  expect(seen).toEqual([
    ...["step 1", "step 2", "checkpoint 2", "step 3", "evaluation 3", "step 4", "evaluation 4", "checkpoint 4"],
    "finished 4",
  ]);
});

test("a schedule that follows the validation is told of it, and remembers when training is resumed", async () => {
  const schedule = () => {
    const state = { seen: 0 };
    return Object.assign(() => 0.05 / (1 + state.seen), {
      observe: () => {
        state.seen++;
      },
      state,
      restore: (saved: unknown) => Object.assign(state, saved),
    });
  };
  const options = { validationData: inOrder(8), evaluationInterval: 2 };
  const rates = (events: readonly TrainEvent[]) =>
    events.flatMap((event) => (event.type === "step" ? [event.learningRate] : []));
  const first = await run("plateau", supervised(new Classifier()), inOrder(8), {
    ...options,
    schedule: schedule(),
    steps: 4,
  });
  expect(rates(first)).toEqual([0.05, 0.05, 0.025, 0.025]);
  const second = await run("plateau", supervised(new Classifier()), inOrder(8), {
    ...options,
    schedule: schedule(),
    steps: 6,
  });
  expect(rates(second)).toEqual([0.05 / 3, 0.05 / 3]);
});

test("an operation that makes a NaN is named", async () => {
  const model = new Classifier();
  const objective: Objective<Rows> = {
    ...supervised<Rows>(model),
    loss: ({ x, labels }) => ({ loss: mean(mul(log(crossEntropy(model.forward({ x }), labels)), Number.NaN)) }),
  };
  await expect(run("nan", objective, inOrder(8), { detectAnomaly: true })).rejects.toThrow(/NaN/);
});

test("a batch is prepared with the model as it is before each step", async () => {
  const prepared: number[] = [];
  const objective: Objective<Rows> = {
    ...supervised<Rows>(new Classifier()),
    prepare: async (batch, { step }) => {
      prepared.push(step);
      return batch;
    },
  };
  await run("prepared", objective, inOrder(8), { steps: 3, accumulation: 2 });
  expect(prepared).toEqual([0, 0, 1, 1, 2, 2]);
});

test("layers that are frozen until a step stay as they are until then, also when training is resumed", async () => {
  const read = async (model: Classifier) => [...(await model.hidden.weight.read())];
  const frozenUntil = new Map([
    ["hidden.weight", 3],
    ["hidden.bias", 3],
  ]);
  const [model, before] = [new Classifier(), await read(new Classifier())];
  const weights: number[][] = [];
  const callbacks = [
    async ({ type }: TrainEvent) => {
      if (type === "step") weights.push(await read(model));
    },
  ];
  const straight = await run("frozen", supervised(model), inOrder(8), { frozenUntil, callbacks, steps: 5 });
  expect(weights.slice(0, 3)).toEqual([before, before, before]);
  expect(weights[3]).not.toEqual(before);
  await run("frozen-resumed", supervised(new Classifier()), inOrder(8), { frozenUntil, steps: 2 });
  const second = await run("frozen-resumed", supervised(new Classifier()), inOrder(8), { frozenUntil, steps: 5 });
  expect(lossesOf(second)).toEqual(lossesOf(straight).slice(2));
  const all = new Map([...new Classifier().namedParameters().keys()].map((name) => [name, 1]));
  await expect(run("x", supervised(new Classifier()), inOrder(8), { frozenUntil: all })).rejects.toThrow(
    /from step 0 on/,
  );
});
