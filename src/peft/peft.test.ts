/** Adapters that peft wrote, against what it answers with them: see golden/make_peft.py. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readSafetensors } from "../files/index.ts";
import { type CausalLM, fromPretrained, type PretrainedModel, type SequenceClassifier } from "../models/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { applyAdapter, readAdapter } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/peft/", import.meta.url));
interface Expected {
  inputIds: number[][];
  logits: { shape: number[]; data: number[] };
  adapters: Record<string, { data: number[] }>;
}
const bases = ["llama", "qwen2", "gpt2", "bert"];
const expectedOf = async (base: string) => (await readJson(join(golden, base, "expected.json"))) as unknown as Expected;
const expected = new Map(await Promise.all(bases.map(async (base) => [base, await expectedOf(base)] as const)));
const cases = bases.flatMap((base) =>
  Object.keys((expected.get(base) as Expected).adapters).map((name) => [base, name]),
);

let folder: string;
beforeAll(async () => {
  folder = process.env.KINDLING_KEEP ?? (await mkdtemp(join(tmpdir(), "kindling-peft-")));
});
afterAll(async () => {
  if (folder !== process.env.KINDLING_KEEP) await rm(folder, { recursive: true, force: true });
});

const open = (base: string, weights?: "stored") => fromPretrained(join(golden, base), { weights, onWarning: () => {} });
async function logitsOf(model: PretrainedModel, base: string): Promise<Float32Array> {
  const { inputIds } = expected.get(base) as Expected;
  const ids = tensor(Int32Array.from(inputIds.flat()), { shape: [inputIds.length, inputIds[0].length] });
  const { logits } = (model as CausalLM | SequenceClassifier).forward({ inputIds: ids }) as { logits: Tensor<"f32"> };
  return logits.read();
}
const right = (base: string, name: string) => Float32Array.from((expected.get(base) as Expected).adapters[name].data);

describe.each(cases)("%s, %s", (base, name) => {
  const silent = { onWarning: () => {} };
  test("applied: peft's logits; removed: the model's to the bit", async () => {
    const model = await open(base);
    const before = await logitsOf(model, base);
    const applied = applyAdapter(model, await readAdapter(join(golden, base, name)), silent);
    const during = await logitsOf(model, base);
    expectClose(name, during, right(base, name), tolerances.f32 as number);
    applied.remove();
    expect(await logitsOf(model, base)).toEqual(before);
    model.dispose();
  });

  test("saved: the same tensors by the same names, and the same config", async () => {
    const model = await open(base);
    const applied = applyAdapter(model, await readAdapter(join(golden, base, name)), silent);
    const path = join(folder, base, name);
    await applied.save(path);
    const [now, before] = await Promise.all(
      [path, join(golden, base, name)].map(async (place) => {
        const { tensors } = await readSafetensors(join(place, "adapter_model.safetensors"));
        return tensors;
      }),
    );
    const ofPeft = [...before].filter(([key]) => !key.includes("modules_to_save") && !key.includes("original_module"));
    const plain = new Map(ofPeft.map(([key, value]) => [key.replace(/(lora_[AB])\.default/, "$1"), value]));
    expect([...now.keys()].sort()).toEqual([...plain.keys()].sort());
    for (const [key, { data, shape }] of plain) {
      expect(now.get(key)?.shape).toEqual(shape);
      expect(now.get(key)?.data).toEqual(data);
    }
    const configs = await Promise.all([path, join(golden, base, name)].map(async (place) => readAdapter(place)));
    expect(configs[0].config).toEqual(configs[1].config);
    model.dispose();
  });
});

const mergeable = cases.filter(([, name]) => !["regex", "embedding"].includes(name));
test.each(mergeable)(
  "%s, %s merged: the same logits, and the first weights to the bit after that",
  async (base, name) => {
    const model = await open(base);
    const before = await logitsOf(model, base);
    const applied = applyAdapter(model, await readAdapter(join(golden, base, name)), { onWarning: () => {} });
    const during = await logitsOf(model, base);
    await applied.merge();
    expectClose(name, await logitsOf(model, base), right(base, name), tolerances.f32 as number);
    applied.unmerge();
    expect(await logitsOf(model, base)).toEqual(during);
    await applied.merge();
    applied.remove();
    expect(await logitsOf(model, base)).toEqual(before);
    model.dispose();
  },
);
