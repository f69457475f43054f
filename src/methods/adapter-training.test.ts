/** Adapters trained as peft trains them: see golden/make_peft_training.py. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import {
  type CausalLM,
  fromPretrained,
  type PretrainedModel,
  type SequenceClassifier,
  savePretrained,
} from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { compileTrainStep, supervised } from "../train/index.ts";
import { adapterTraining } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/peft/", import.meta.url));
interface Numbers {
  shape: number[];
  data: number[];
}
interface Training {
  inputIds: number[][][];
  labels: (number[][] | number[])[];
  learningRate: number;
  cases: Record<string, { logits: Numbers; losses: number[]; final: Record<string, Numbers> }>;
}
const bases = ["llama", "qwen2", "gpt2", "bert"];
const trainings = new Map(
  await Promise.all(
    bases.map(async (base) => {
      const training = (await readJson(join(golden, base, "training.json"))) as unknown as Training;
      return [base, training] as const;
    }),
  ),
);
const trainingOf = (base: string) => trainings.get(base) as Training;
const cases = bases.flatMap((base) => Object.keys(trainingOf(base).cases).map((name) => [base, name]));
/** Asked: losses of 30 steps agree with peft's to this, relative. */
const TOLERANCE = 1e-4;
const silent = { onWarning: () => {} };

let folder: string;
beforeAll(async () => {
  folder = process.env.KINDLING_KEEP ?? (await mkdtemp(join(tmpdir(), "kindling-peft-")));
  const llama = await fromPretrained(join(golden, "llama"), silent);
  await savePretrained(llama, join(folder, "llama-f16"), { dtype: "f16" });
  llama.dispose();
});
afterAll(async () => {
  if (folder !== process.env.KINDLING_KEEP) await rm(folder, { recursive: true, force: true });
});

const isHalf = (name: string) => name === "train-f16";
const open = (base: string, name: string) =>
  isHalf(name)
    ? fromPretrained(join(folder, "llama-f16"), { ...silent, weights: "stored" })
    : fromPretrained(join(golden, base), silent);
const ids = (numbers: number[][]) =>
  tensor(Int32Array.from(numbers.flat()), { shape: [numbers.length, numbers[0].length] });
const labelsOf = (numbers: number[][] | number[]) =>
  typeof numbers[0] === "number" ? tensor(Int32Array.from(numbers as number[])) : ids(numbers as number[][]);
const logitsOf = (model: PretrainedModel, base: string) => {
  const { logits } = (model as CausalLM | SequenceClassifier).forward({ inputIds: ids(trainingOf(base).inputIds[0]) });
  return (logits as Tensor<"f32">).read();
};

describe.each(cases)("%s, %s", (base, name) => {
  const { inputIds, labels, learningRate, cases } = trainingOf(base);
  const { logits, losses, final } = cases[name];

  test("peft's logits; 30 steps with peft's losses and its numbers at the end; the base as it was", async () => {
    const model = await open(base, name);
    const before = await logitsOf(model, base);
    const applied = applyAdapter(model, await readAdapter(join(golden, base, name)), silent);
    expectClose(name, await logitsOf(model, base), Float32Array.from(logits.data), tolerances.f32 as number);
    const objective = adapterTraining(applied, supervised(model as CausalLM));
    const optimizer = new AdamW(objective.trained, { weightDecay: 0.01, decays: () => true });
    const step = compileTrainStep(objective, optimizer, { clipNorm: Number.POSITIVE_INFINITY });
    for (const [i, expected] of losses.entries()) {
      const batch = { inputIds: ids(inputIds[i % inputIds.length]), labels: labelsOf(labels[i % labels.length]) };
      const { loss } = await step(batch as never, learningRate, tensor(i, { dtype: "i32" }));
      expect(Math.abs((await loss.item()) / expected - 1)).toBeLessThan(TOLERANCE);
    }
    for (const [key, parameter] of objective.trained)
      expectClose(key, await parameter.read(), Float32Array.from(final[key].data), 10 * TOLERANCE);
    expect(objective.trained.size).toBe(Object.keys(final).length);
    await applied.save(join(folder, base, name));
    applied.remove();
    expect(await logitsOf(model, base)).toEqual(before);
    step.dispose();
    model.dispose();
  });
});
