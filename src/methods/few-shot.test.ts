/** New classes from a few pictures: each algorithm learns, and runs resume. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawsOf } from "../augment/index.ts";
import { type MethodEvent, methods, resolveConfig, runMethod } from "./index.ts";

const [SIDE, CLASSES, EACH] = [8, 12, 8];
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-few-"));
  const count = CLASSES * EACH;
  const images = Buffer.alloc(16 + count * SIDE * SIDE);
  for (const [i, value] of [0x803, count, SIDE, SIDE].entries()) images.writeUInt32BE(value, 4 * i);
  const labels = Buffer.alloc(8 + count);
  for (const [i, value] of [0x801, count].entries()) labels.writeUInt32BE(value, 4 * i);
  for (let i = 0; i < count; i++) {
    const label = i % CLASSES;
    labels[8 + i] = label;
    const [pattern, noise] = [drawsOf(1, label), drawsOf(2, i)];
    for (let at = 0; at < SIDE * SIDE; at++)
      images[16 + i * SIDE * SIDE + at] = (pattern.isLikely(0.5) ? 150 : 30) + noise.integer(90);
  }
  await writeFile(join(root, "train-images-idx3-ubyte"), images);
  await writeFile(join(root, "train-labels-idx1-ubyte"), labels);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function run(name: string, method: object, training: object): Promise<MethodEvent[]> {
  const input = {
    method: { name: "few-shot", ways: 3, shots: 2, queries: 2, image: { size: SIDE }, measuredTasks: 10, ...method },
    model: {
      new: { model_type: "convnet", num_channels: 1, hidden_sizes: [8, 16, 16], depths: [1, 1, 1], norm_type: "layer" },
    },
    data: { train: join(root, "train-images-idx3-ubyte") },
    optimizer: { learningRate: 5e-3 },
    schedule: { name: "constant" },
    evaluation: { interval: 40 },
    training: { batchSize: 2, ...training },
    output: join(root, "runs", name),
  };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name });
  const events: MethodEvent[] = [];
  for await (const event of runMethod(resolved, { onWarning: () => {} })) events.push(event);
  return events;
}

const metricsOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "evaluation" ? [event.metrics] : [])).at(-1);
const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));

test("prototypical networks tell held-out classes apart; cut and resumed they are the same run", async () => {
  const method = { algorithm: "prototypical", vectorSize: 16 };
  const whole = await run("prototypical", method, { steps: 40 });
  expect(metricsOf(whole)?.accuracy).toBeGreaterThan(0.8); // 1/3 by chance
  const cut = [
    ...lossesOf(await run("cut", method, { steps: 3 })),
    ...lossesOf(await run("cut", method, { steps: 6 })),
  ];
  expect(cut).toEqual(lossesOf(whole).slice(0, 6));
});

test.each(["maml", "fomaml", "reptile"])("%s: steps inside of a task help", async (algorithm) => {
  const events = await run(algorithm, { algorithm, innerRate: 0.3 }, { steps: 40 });
  const { accuracy, accuracyBefore } = metricsOf(events) ?? {};
  expect(accuracy).toBeGreaterThan((accuracyBefore as number) + 0.1);
});

test("classes of too few pictures are refused", async () => {
  await expect(run("few", { shots: 6, queries: 4 }, { steps: 1 })).rejects.toThrow("class 0");
});
