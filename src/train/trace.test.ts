import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { AdamW, cosineSchedule } from "../optim/index.ts";
import { tensor } from "../tensor/index.ts";
import { compileTrainStep, languageModel } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/train", import.meta.url));
/** Asked: losses of 30 steps agree with PyTorch's to this, relative. */
const TOLERANCE = 1e-4;

test.each([false, true])("30 steps give PyTorch's losses (keepPreviousState %s)", async (keepPreviousState) => {
  const trace = (await readJson(join(golden, "trace.json"))) as unknown as {
    inputs: number[][][];
    targets: number[][][];
    learningRates: number[];
    losses: number[];
    gradNorms: number[];
  };
  const model = await fromPretrained(join(golden, "init"), { task: "causal-lm" });
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 });
  const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1, keepPreviousState });
  const schedule = cosineSchedule({ learningRate: 3e-3, minLearningRate: 3e-4, warmupSteps: 5, totalSteps: 30 });
  const [rows, length] = [trace.inputs[0].length, trace.inputs[0][0].length];
  for (const [i, expected] of trace.losses.entries()) {
    const batch = (ids: number[][]) => tensor(Int32Array.from(ids.flat()), { shape: [rows, length] });
    expect(Math.abs(schedule(i) / trace.learningRates[i] - 1)).toBeLessThan(1e-9);
    const { loss, gradientNorm } = await step(
      { inputIds: batch(trace.inputs[i]), shiftLabels: batch(trace.targets[i]) },
      schedule(i),
      tensor(i, { dtype: "i32" }),
    );
    expect(Math.abs((await loss.item()) / expected - 1)).toBeLessThan(TOLERANCE);
    expect(Math.abs((await gradientNorm.item()) / trace.gradNorms[i] - 1)).toBeLessThan(10 * TOLERANCE);
  }
  step.dispose();
});
