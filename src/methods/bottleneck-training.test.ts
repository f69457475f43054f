/** Bottleneck adapters trained as Python's adapters trains them: see golden/make_bottleneck.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { compileTrainStep, supervised } from "../train/index.ts";
import { adapterTraining } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
interface Training {
  base: string;
  inputIds: number[][][];
  labels: (number[][] | number[])[];
  learningRate: number;
  adapters: Record<string, { losses: number[]; final: Record<string, { data: number[] }> }>;
}
/** Asked: losses of 30 steps agree to this, relative. */
const TOLERANCE = 1e-4;
const silent = { onWarning: () => {} };
const integers = (rows: number[][] | number[]) =>
  tensor(Int32Array.from(rows.flat()), { shape: [rows.length, ...(Array.isArray(rows[0]) ? [rows[0].length] : [])] });

const bases = ["llama", "gpt2", "bert"];
const cases = bases.flatMap((base) => ["pfeiffer", "houlsby"].map((name) => [base, name]));
test.each(cases)("%s, %s: 30 steps with its losses and its numbers at the end", async (base, name) => {
  const training = (await readJson(join(golden, "bottleneck", `${base}.json`))) as unknown as Training;
  const { inputIds, labels, learningRate, adapters } = training;
  const { losses, final } = adapters[name];
  const model = (await fromPretrained(join(golden, training.base), silent)) as CausalLM;
  const applied = applyAdapter(model, await readAdapter(join(golden, "bottleneck", base, name)), silent);
  const objective = adapterTraining(applied, supervised(model));
  const optimizer = new AdamW(objective.trained, { weightDecay: 0.01, decays: () => true });
  const step = compileTrainStep(objective, optimizer, { clipNorm: Number.POSITIVE_INFINITY });
  for (const [i, expected] of losses.entries()) {
    const at = i % inputIds.length;
    const batch = { inputIds: integers(inputIds[at]), labels: integers(labels[at]) };
    const { loss } = await step(batch, learningRate, tensor(i, { dtype: "i32" }));
    expect(Math.abs((await loss.item()) / expected - 1)).toBeLessThan(TOLERANCE);
  }
  expect([...objective.trained.keys()].sort()).toEqual(Object.keys(final).sort());
  for (const [key, parameter] of objective.trained)
    expectClose(key, await parameter.read(), Float32Array.from(final[key].data), 10 * TOLERANCE);
  step.dispose();
  model.dispose();
});
