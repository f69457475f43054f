/** Runs of training with adapters: on bases in blocks, cut and resumed, with dropout. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type CausalLM,
  fromPretrained,
  LlamaForCausalLM,
  llamaConfig,
  quantizeWeights,
  savePretrained,
} from "../models/index.ts";
import { Linear, mapModules, Projection } from "../nn/index.ts";
import { AdamW, constantSchedule } from "../optim/index.ts";
import { type AdapterOptions, applyAdapter, newAdapter } from "../peft/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { languageModel, train } from "../train/index.ts";
import { adapterTraining } from "./index.ts";

let folder: string;
let base: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-adapters-"));
  base = join(folder, "base");
  const sizes = { vocabSize: 40, hiddenSize: 64, intermediateSize: 96, numLayers: 2, numHeads: 4, numKeyHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig({ ...sizes, maxPositionEmbeddings: 32 }), randomKey(3));
  await savePretrained(model, base, { dtype: "bf16" });
  model.dispose();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = () => fromPretrained(base, { task: "causal-lm", weights: "stored" });
const batch = async (step: number) => {
  const ids = Int32Array.from({ length: 24 }, (_, i) => (i * (step + 3) + 5 * step) % 40);
  const inputIds = tensor(ids, { shape: [2, 12] });
  return { inputIds, labels: inputIds };
};

interface Run {
  options: AdapterOptions;
  name: string;
  steps: number;
}

/** Losses of a run of training, with the objective that it had. */
async function losses(model: CausalLM, { options, name, steps }: Run) {
  const applied = applyAdapter(model, await newAdapter(model, options, randomKey(4)));
  const objective = adapterTraining(applied, languageModel(model));
  const optimizer = new AdamW(objective.trained);
  const [schedule, trainData] = [constantSchedule(1e-2), { batch }];
  const result: number[] = [];
  for await (const event of train({ objective, optimizer, schedule, trainData, steps, folder: join(folder, name) }))
    if (event.type === "step") result.push(event.loss);
  return { applied, losses: result };
}

const kinds: [string, AdapterOptions][] = [
  ["LoRA", { rank: 4, targetModules: "all-linear", dropout: 0.2 }],
  ["DoRA", { rank: 4, targetModules: "all-linear", useDora: true, dropout: 0.2 }],
  ["IA3", { type: "IA3", targetModules: ["k_proj", "down_proj"], feedforwardModules: ["down_proj"] }],
  ["bottleneck", { type: "BOTTLENECK", reductionFactor: 8, mhAdapter: true, dropout: 0.2 }],
  ["prefix", { type: "PREFIX_TUNING", numVirtualTokens: 3 }],
];

test.each(kinds)("%s, cut and resumed: the losses of a run that was not cut, to the bit", async (name, options) => {
  const models = await Promise.all([open(), open(), open()]);
  const whole = await losses(models[0], { options, name: `${name}-whole`, steps: 6 });
  const first = await losses(models[1], { options, name: `${name}-cut`, steps: 3 });
  const second = await losses(models[2], { options, name: `${name}-cut`, steps: 6 });
  expect([...first.losses, ...second.losses]).toEqual(whole.losses);
  expect(new Set(whole.losses).size).toBe(6);
  for (const [key, parameter] of whole.applied.parameters)
    expect(await second.applied.parameters.get(key)?.read()).toEqual(await parameter.read());
  const other = applyAdapter(models[2], await newAdapter(models[2], { targetModules: ["q_proj"] }, randomKey(1)), {
    isActive: false,
  });
  await expect(other.load(join(folder, `${name}-cut`, "checkpoint"))).rejects.toThrow("that it was saved with");
  for (const model of models) model.dispose();
});

test("dropout is on in training alone, and drops others at each step", async () => {
  const model = await open();
  const adapter = await newAdapter(model, { rank: 4, targetModules: "all-linear", dropout: 0.5 }, randomKey(4));
  const applied = applyAdapter(model, adapter);
  for (const [key, parameter] of applied.parameters)
    if (key.includes("lora_B")) parameter.set(new Float32Array(parameter.shape[0] * 4).fill(0.1));
  const objective = adapterTraining(applied, languageModel(model));
  const inputs = await batch(0);
  const lossOf = (step?: number) =>
    objective.loss(inputs, step === undefined ? {} : { key: randomKey(step) }).loss.item();
  const [plain, again, one, two, oneAgain] = await Promise.all([lossOf(), lossOf(), lossOf(1), lossOf(2), lossOf(1)]);
  expect([plain, one]).toEqual([again, oneAgain]);
  expect(new Set([plain, one, two]).size).toBe(3);
  model.dispose();
});

test("QLoRA: on a base in blocks, the losses of the numbers that the blocks stand for", async () => {
  const [inBlocks, widened] = await Promise.all([open(), open()]);
  await quantizeWeights(inBlocks);
  await quantizeWeights(widened);
  const layers = new Map<string, Linear>();
  mapModules(widened, (path, module) => {
    if (!(module instanceof Projection) || module instanceof Linear) return undefined;
    const linear = new Linear(
      { inFeatures: module.inFeatures, outFeatures: module.outFeatures, bias: false },
      randomKey(0),
    );
    linear.weight.set(module.matrix());
    layers.set(path, linear);
    return linear;
  });
  expect(layers.size).toBe(14); // all but the head
  const options = { rank: 4, targetModules: "all-linear" };
  const quantized = await losses(inBlocks, { options, name: "blocks", steps: 8 });
  const plain = await losses(widened, { options, name: "widened", steps: 8 });
  quantized.losses.forEach((loss, i) => {
    expect(Math.abs(loss / plain.losses[i] - 1)).toBeLessThan(1e-4);
  });
  await expect(quantized.applied.merge()).rejects.toThrow("a weight that is a parameter");
  await expect(quantizeWeights(widened, { type: "nf5" as "q4_0" })).rejects.toThrow("q8_0, nf4, fp4");
  for (const model of [inBlocks, widened]) model.dispose();
});
