/** Bottleneck adapters of Python's adapters, against what it answers with them: see golden/make_bottleneck.py. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderAt, memoryFolder, readJson, readSafetensors, readTorch } from "../files/index.ts";
import { type CausalLM, fromPretrained, type SequenceClassifier } from "../models/index.ts";
import { randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { type Adapter, applyAdapter, newAdapter, readAdapter } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const bottlenecks = join(golden, "bottleneck");
interface Expected {
  base: string;
  inputIds: number[][][];
  adapters: Record<string, { logits: { data: number[] } }>;
}
const bases = ["llama", "gpt2", "bert", "mistral", "roberta", "electra", "distilbert", "albert", "deberta-v2"];
const expected = new Map(
  await Promise.all(
    bases.map(async (base) => {
      return [base, (await readJson(join(bottlenecks, `${base}.json`))) as unknown as Expected] as const;
    }),
  ),
);
const expectedOf = (base: string) => expected.get(base) as Expected;
const cases = bases.flatMap((base) => Object.keys(expectedOf(base).adapters).map((name) => [base, name]));
const silent = { onWarning: () => {} };

let folder: string;
beforeAll(async () => {
  folder = process.env.KINDLING_KEEP ?? (await mkdtemp(join(tmpdir(), "kindling-bottleneck-")));
});
afterAll(async () => {
  if (folder !== process.env.KINDLING_KEEP) await rm(folder, { recursive: true, force: true });
});

type Model = CausalLM | SequenceClassifier;
const open = async (base: string) => (await fromPretrained(join(golden, expectedOf(base).base), silent)) as Model;
function logitsOf(model: Model, base: string): Promise<Float32Array> {
  const [rows] = expectedOf(base).inputIds;
  const inputIds = tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });
  return (model.forward({ inputIds }) as { logits: Tensor<"f32"> }).logits.read();
}

describe.each(cases)("%s, %s", (base, name) => {
  test("its logits; removed: the model's to the bit; saved: the same numbers by the same names", async () => {
    const model = await open(base);
    const before = await logitsOf(model, base);
    const place = join(bottlenecks, base, name);
    const applied = applyAdapter(model, await readAdapter(place), silent);
    const right = Float32Array.from(expectedOf(base).adapters[name].logits.data);
    expectClose(name, await logitsOf(model, base), right, tolerances.f32 as number);
    applied.remove();
    expect(await logitsOf(model, base)).toEqual(before);
    const saved = join(folder, base, name);
    await applied.save(saved);
    const isTorch = await folderAt(place).has("pytorch_adapter.bin");
    const stored = isTorch
      ? new Map(await readTorch(folderAt(place).file("pytorch_adapter.bin")))
      : (await readSafetensors(join(place, "adapter.safetensors"))).tensors;
    const { tensors } = await readSafetensors(join(saved, "adapter.safetensors"));
    expect([...tensors.keys()].sort()).toEqual([...stored.keys()].sort());
    for (const [key, { data, shape }] of stored) expect(tensors.get(key)).toMatchObject({ data, shape });
    expect((await readAdapter(saved)).config).toEqual((await readAdapter(place)).config);
    model.dispose();
  });
});

test("several on one model, in turns; one at a time", async () => {
  const model = await open("bert");
  const [first, second] = await Promise.all(
    ["pfeiffer", "houlsby"].map(async (name) => readAdapter(join(bottlenecks, "bert", name))),
  );
  const one = applyAdapter(model, first, silent);
  const two = applyAdapter(model, second, { ...silent, isActive: false });
  expect(() => two.activate()).toThrow("remove that one first");
  const { adapters } = expectedOf("bert");
  const check = async (name: string) =>
    expectClose(name, await logitsOf(model, "bert"), Float32Array.from(adapters[name].logits.data), 2e-5);
  await check("pfeiffer");
  one.remove();
  two.activate();
  await check("houlsby");
  await expect(two.merge()).rejects.toThrow("leave it beside the weights: it is no linear map");
  two.remove();
  one.activate();
  await check("pfeiffer");
  model.dispose();
});

test("a new one: sizes and first numbers", async () => {
  const model = await open("llama");
  const make = (options: object) => newAdapter(model, { type: "BOTTLENECK", ...options }, randomKey(1));
  const { layers, config } = await make({ mhAdapter: true, reductionFactor: { 1: 2, default: 100 }, name: "sql" });
  expect([...layers].map(([path, { down }]) => [path, down?.shape])).toEqual([
    ["model.layers.0.attention_adapters", [1, 16]],
    ["model.layers.0.output_adapters", [1, 16]],
    ["model.layers.1.attention_adapters", [8, 16]],
    ["model.layers.1.output_adapters", [8, 16]],
  ]);
  expect(config).toMatchObject({ name: "sql", modelType: "llama", modelClass: "LlamaForCausalLM", hiddenSize: 16 });
  const deviation = async (adapter: Adapter, part: "down" | "up") => {
    const numbers = [...adapter.layers.values()].flatMap((parts) => [...(parts[part] as { data: Float32Array }).data]);
    return { of: Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length), most: Math.max(...numbers) };
  };
  expect((await deviation(await make({ reductionFactor: 1 }), "up")).of).toBeCloseTo(0.02, 2);
  const houlsby = await deviation(await make({ reductionFactor: 1, initWeights: "houlsby" }), "down");
  expect(houlsby.most).toBeLessThanOrEqual(0.02);
  expect(houlsby.of).toBeCloseTo(0.0088, 3); // of a normal distribution that is cut at two deviations
  expect((await deviation(await make({ initWeights: "mam_adapter" }), "up")).of).toBe(0);
  await expect(make({ leaveOut: [0, 1] })).rejects.toThrow("leaveOut with all 2 layers");
  await expect(make({ outputAdapter: false })).rejects.toThrow("mhAdapter or outputAdapter");
  await expect(make({ reductionFactor: { 0: 2 } })).rejects.toThrow('a factor of layer 1, or "default"');
  model.dispose();
});

const json = { config: { mh_adapter: false, output_adapter: true, reduction_factor: 4 }, name: "a", hidden_size: 16 };
test.each<[object, RegExp]>([
  [{ architecture: "lora" }, /architecture: expected none: a bottleneck adapter/],
  [{ is_parallel: true }, /is_parallel/],
  [{ ln_after: true }, /ln_after/],
  [{ phm_layer: true }, /phm_layer/],
  [{ use_gating: true }, /use_gating/],
  [{ inv_adapter: "nice" }, /inv_adapter: expected nothing there/],
  [{ scaling: "learned" }, /scaling: expected a number/],
  [{ residual_before_ln: "post_add" }, /residual_before_ln: expected true or false/],
  [{ non_linearity: "leakyrelu" }, /non_linearity/],
  [{ something_new: 1 }, /something_new: expected nothing there/],
])("what is not followed is refused by name: %j", async (change, message) => {
  const text = JSON.stringify({ ...json, config: { ...json.config, ...change } });
  await expect(readAdapter(memoryFolder({ "adapter_config.json": text }))).rejects.toThrow(message);
});

test("an adapter of another model, or of other places", async () => {
  const model = await open("llama");
  const adapter = await readAdapter(join(bottlenecks, "llama", "pfeiffer"));
  const albert = await open("albert");
  await expect(newAdapter(albert, { type: "BOTTLENECK", mhAdapter: true }, randomKey(1))).rejects.toThrow(
    "received ALBERT, whose adapter of the attention reads the layer's input in Python's adapters",
  );
  albert.dispose();
  const apply = (changes: object) => () =>
    applyAdapter(model, { ...adapter, config: { ...adapter.config, ...changes } } as Adapter, silent);
  expect(apply({ hiddenSize: 20 })).toThrow("hidden_size: expected 16");
  expect(apply({ leaveOut: [0] })).toThrow("one more, model.layers.0.output_adapters");
  expect(apply({ mhAdapter: true })).toThrow("none at model.layers.0.attention_adapters");
  expect(apply({ reductionFactor: 8 })).toThrow("down of model.layers.0.output_adapters: expected shape [2, 16]");
  model.dispose();
});
