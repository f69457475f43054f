/** LoRA on a base in NF4, beside peft on one of bitsandbytes: see golden/make_nf4.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { memoryFile, readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained, quantizeWeights, savePretrained } from "../models/index.ts";
import { hasBlocks } from "../nn/index.ts";
import { AdamW } from "../optim/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { compileTrainStep, supervised } from "../train/index.ts";
import { adapterTraining } from "./index.ts";
import { requireTrainable } from "./parts/trainable.ts";

const golden = fileURLToPath(new URL("../../golden/nf4/", import.meta.url));
interface Numbers {
  shape: number[];
  data: number[];
}
interface Expected {
  inputIds: number[][][];
  logits: Numbers;
  training: { losses: number[]; logits: Numbers };
}
const expected = (await readJson(join(golden, "nf4", "expected.json"))) as unknown as Expected;
const LEARNING_RATE = 1e-2;
/** Asked: losses agree with peft's to this, relative. */
const TOLERANCE = 1e-4;

const open = () => fromPretrained(join(golden, "base"), { task: "causal-lm", weights: "nf4" });
const ids = (step: number) => {
  const rows = expected.inputIds[step % expected.inputIds.length];
  return tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });
};
const logitsOf = (model: CausalLM) => model.forward({ inputIds: ids(0) }).logits.read() as Promise<Float32Array>;

test("a base in NF4 answers as bitsandbytes' does, and LoRA beside it is trained as peft trains it", async () => {
  const model = await open();
  expect(hasBlocks(model)).toBe(true);
  expectClose("base", await logitsOf(model), Float32Array.from(expected.logits.data), tolerances.f32 as number);
  const before = await logitsOf(model);
  const applied = applyAdapter(model, await readAdapter(join(golden, "nf4", "adapter")), { onWarning: () => {} });
  const objective = adapterTraining(applied, supervised(model));
  const optimizer = new AdamW(objective.trained, { weightDecay: 0.01, decays: () => true });
  const step = compileTrainStep(objective, optimizer, { clipNorm: Number.POSITIVE_INFINITY });
  for (const [i, loss] of expected.training.losses.entries()) {
    const batch = { inputIds: ids(i), labels: ids(i) };
    const result = await step(batch as never, LEARNING_RATE, tensor(i, { dtype: "i32" }));
    expect(Math.abs((await result.loss.item()) / loss - 1)).toBeLessThan(TOLERANCE);
  }
  expectClose("trained", await logitsOf(model), Float32Array.from(expected.training.logits.data), 10 * TOLERANCE);
  applied.remove();
  expect(await logitsOf(model)).toEqual(before);
  await expect(savePretrained(model, join(golden, "nowhere"))).rejects.toThrow("weights in blocks");
  step.dispose();
  model.dispose();
});

test("a base in blocks without an adapter is refused before anything is trained", async () => {
  const model = await open();
  const adapter = { type: "lora" } as never;
  expect(() => requireTrainable(model, { adapter: undefined })).toThrow("weights in blocks and no adapter");
  expect(() => requireTrainable(model, { adapter })).not.toThrow();
  model.dispose();
});

test("what NF4 cannot be is refused by name", async () => {
  const place = join(golden, "base");
  await expect(fromPretrained(place, { weights: "nf4", activations: "int8" })).rejects.toThrow(
    'expected activations of "f32" with "nf4"',
  );
  const gguf = memoryFile("model.gguf", new Blob(["GGUF"]));
  await expect(fromPretrained(gguf, { weights: "nf4" })).rejects.toThrow("whose blocks are integers");
  const model = await fromPretrained(place, { task: "causal-lm" });
  await expect(quantizeWeights(model, { type: "fp4", activations: "int8" })).rejects.toThrow('"f32" with "nf4"');
  await expect(quantizeWeights(model, { type: "nf4", doubleQuant: true } as never)).rejects.toThrow("doubleQuant");
  model.dispose();
});
