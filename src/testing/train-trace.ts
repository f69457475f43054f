/** Training of the golden models through `train`, beside the losses of PyTorch that golden/make_traces.py wrote. */
import { copyFile, cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { readJson, readSafetensors, writeJson } from "../files/index.ts";
import { fromPretrained, type PretrainedModel, type Trainable } from "../models/index.ts";
import { AdamW, constantSchedule, type Optimizer, Sgd } from "../optim/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { supervised, type TrainEvent, train } from "../train/index.ts";
import { inputsOf, readGoldenModel } from "./golden-model.ts";

export const goldenFolder = fileURLToPath(new URL("../../golden/", import.meta.url));
type Batch = Record<string, Tensor>;
type Model = PretrainedModel & Trainable<Batch>;

interface Settings {
  learningRate: number;
  gradientClip: number;
}
interface Traces {
  adamw: Settings & { betas: [number, number]; epsilon: number; weightDecay: number };
  sgd: Settings & { momentum: number };
  /** Losses of 20 steps by golden model, such as "models/vit-image-classification". */
  traces: Record<string, { adamw: number[]; sgd: number[] }>;
}
export const traces = (await readJson(join(goldenFolder, "train", "traces.json"))) as unknown as Traces;

/** The batch that a case is trained on. */
async function batchOf(name: string): Promise<Batch> {
  const [kind, model] = name.split("/");
  if (kind === "models") return inputsOf((await readGoldenModel(model)).loss?.inputs ?? {});
  const expected = await readJson(join(goldenFolder, name, "expected.json"));
  const [{ inputIds: rows }] = expected.batches as { inputIds: number[][] }[];
  const inputIds = tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });
  return { inputIds, labels: inputIds };
}

/** A config whose dropouts, of all kinds, are `probability`; those that are off by a missing value stay off. */
function withDropout(json: unknown, probability: number): unknown {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  const entries = Object.entries(json).map(([key, value]) => {
    const isDropout = /drop|pdrop$/.test(key) && !/layerdrop/.test(key) && typeof value === "number";
    return [key, isDropout ? probability : withDropout(value, probability)];
  });
  return Object.fromEntries(entries);
}

export interface TraceOptions {
  /** Folder that the run writes into. */
  folder: string;
  dropout: number;
  /** @default "adamw" */
  optimizer?: OptimizerName;
  /** @default the golden one */
  batch?: Batch;
  /** @default false */
  checkpointActivations?: boolean;
}
type OptimizerName = "adamw" | "sgd";

const STEPS = 20;
const HALF = 10;

function optimizerOf(kind: OptimizerName, trained: Optimizer["parameters"]): Optimizer {
  const { adamw, sgd } = traces;
  const { betas, epsilon, weightDecay } = adamw;
  return kind === "adamw"
    ? new AdamW(trained, { betas, epsilon, weightDecay })
    : new Sgd(trained, { momentum: sgd.momentum });
}

/** Trains a case from its golden weights, or from the checkpoint in the folder: the losses by step. */
async function trainCase(
  name: string,
  { folder, dropout, optimizer: kind = "adamw", batch: other, checkpointActivations }: TraceOptions,
  onHalf?: () => Promise<void>,
) {
  const start = join(folder, "start");
  await mkdir(start, { recursive: true });
  await copyFile(join(goldenFolder, name, "model.safetensors"), join(start, "model.safetensors"));
  await writeJson(
    join(start, "config.json"),
    withDropout(await readJson(join(goldenFolder, name, "config.json")), dropout),
  );
  const model = (await fromPretrained(start)) as Model;
  const batch = other ?? (await batchOf(name));
  const objective = supervised(model);
  const optimizer = optimizerOf(kind, objective.trained);
  const { learningRate, gradientClip: clipNorm } = traces[kind];
  const losses: number[] = [];
  const events: AsyncIterable<TrainEvent> = train({
    objective,
    optimizer,
    schedule: constantSchedule(learningRate),
    trainData: { batch: async () => batch },
    folder,
    steps: STEPS,
    checkpointInterval: HALF,
    clipNorm,
    checkpointActivations,
    seed: 3,
  });
  for await (const event of events) {
    if (event.type === "step") losses[event.step - 1] = event.loss;
    if (event.type === "checkpoint" && event.step === HALF) await onHalf?.();
  }
  model.dispose();
  for (const variable of optimizer.state.values()) variable.dispose();
  return losses;
}

/**
 * Trains a case twice: straight on, and from the checkpoint of the half way in another folder, as a run that was
 * stopped there goes on. Both must be one run, bit by bit. Gives its losses.
 */
export async function trainedAndResumed(name: string, options: TraceOptions): Promise<number[]> {
  const [straightFolder, resumedFolder] = ["straight", "resumed"].map((part) => join(options.folder, part));
  const straight = await trainCase(name, { ...options, folder: straightFolder }, () =>
    cp(join(straightFolder, "checkpoint"), join(resumedFolder, "checkpoint"), { recursive: true }),
  );
  const resumed = await trainCase(name, { ...options, folder: resumedFolder });
  expect(Object.keys(resumed).map(Number)).toEqual(Array.from({ length: HALF }, (_, i) => HALF + i));
  expect(resumed.slice(HALF)).toEqual(straight.slice(HALF));
  const weights = await Promise.all(
    [straightFolder, resumedFolder].map((folder) => readSafetensors(join(folder, "checkpoint", "model.safetensors"))),
  );
  expect(weights[1].tensors).toEqual(weights[0].tensors);
  return straight;
}

/** Asked, as of GPT-2's trace: losses agree with PyTorch's to this, relative to losses above 1. */
const TOLERANCE = 1e-4;

/** Expects PyTorch's losses, and that they fall as there. */
export function expectTrace(name: string, optimizer: OptimizerName, losses: readonly number[]): void {
  const expected = traces.traces[name][optimizer];
  const differences = losses.map((loss, i) => Math.abs(loss - expected[i]) / Math.max(1, Math.abs(expected[i])));
  const worst = Math.max(...differences);
  expect(losses).toHaveLength(STEPS);
  expect(worst, `step ${differences.indexOf(worst)}: ${losses} instead of ${expected}`).toBeLessThan(TOLERANCE);
}
