/** Models whose weights stay in the dtype of their file. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSafetensorsHeader } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { hasBlocks } from "../nn/index.ts";
import { Sgd } from "../optim/index.ts";
import { compile, grad, randomKey, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { type CausalLM, fromPretrained, LlamaForCausalLM, loadPretrained, saveGguf, savePretrained } from "./index.ts";

const config = {
  vocabSize: 512,
  hiddenSize: 128,
  intermediateSize: 256,
  numLayers: 2,
  numHeads: 4,
  maxPositionEmbeddings: 32,
};
const dtypes = ["f16", "bf16"] as const;
const ids = () => tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = new LlamaForCausalLM(config, randomKey(1));
  for (const dtype of dtypes) await savePretrained(model, join(folder, dtype), { dtype });
  for (const type of ["f16", "bf16", "q4_0"] as const) await saveGguf(model, join(folder, `${type}.gguf`), { type });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (name: string, weights: "f32" | "stored", options = {}) =>
  fromPretrained(join(folder, name), { task: "causal-lm", weights, ...options });

async function textOf(model: CausalLM): Promise<number[]> {
  const written: number[] = [];
  for await (const id of new Generator(model).generate([5, 6, 7], { maxNewTokens: 8, temperature: 0, stopTokens: [] }))
    written.push(id);
  return written;
}

describe.each([...dtypes, "f16.gguf", "bf16.gguf"])('weights: "stored" of %s', (name) => {
  const dtype = name.replace(".gguf", "") as (typeof dtypes)[number];

  test("large ones are kept in 16 bits, and give the logits, the loss and the text of those that were widened once", async () => {
    const [kept, wide] = [await open(name, "stored"), await open(name, "f32")];
    const stores = new Map([...kept.namedParameters()].map(([key, { stored }]) => [key, stored]));
    expect(stores.get("model.embed_tokens.weight")).toBe(dtype);
    expect(stores.get("model.layers.1.mlp.down_proj.weight")).toBe(dtype);
    expect(stores.get("model.norm.weight")).toBe("f32");
    expect([...wide.namedParameters().values()].every(({ stored }) => stored === "f32")).toBe(true);
    expectClose(
      "logits",
      await kept.forward({ inputIds: ids() }).logits.read(),
      await wide.forward({ inputIds: ids() }).logits.read(),
      1e-5,
    );
    expect(await textOf(kept)).toEqual(await textOf(wide));
  });

  test("a step of training changes them to what the step of wide ones is, rounded", async () => {
    const [kept, wide] = [await open(name, "stored"), await open(name, "f32")];
    for (const model of [kept, wide]) {
      const optimizer = new Sgd(model.namedParameters());
      const step = compile(() => {
        const loss = model.loss({ inputIds: ids(), labels: ids() });
        optimizer.update(grad(loss, model.parameters()), { learningRate: 0.5 });
        return loss;
      });
      await step();
    }
    const relative = dtype === "f16" ? 2 ** -11 : 2 ** -8;
    for (const [key, parameter] of kept.namedParameters()) {
      const reference = (await wide.namedParameters().get(key)?.read()) as Float32Array;
      const numbers = await parameter.read();
      const off = numbers.findIndex((x, i) => Math.abs(x - reference[i]) > relative * Math.abs(reference[i]) + 1e-5);
      expect(off, key).toBe(-1);
    }
  });
});

test("the file's map is not changed by training, and is not copied", async () => {
  const model = await open("bf16", "stored");
  const before = await (await open("bf16", "f32")).forward({ inputIds: ids() }).logits.read();
  const update = compile(() => {
    for (const parameter of model.parameters()) parameter.assign(parameter.value.mul(2));
  });
  await update();
  expect(await (await open("bf16", "f32")).forward({ inputIds: ids() }).logits.read()).toEqual(before);
});

test("they are saved as they are kept, or in another dtype when that is said, and load into models of either kind", async () => {
  const model = await open("bf16", "stored");
  const logits = await model.forward({ inputIds: ids() }).logits.read();
  const dtypesIn = async (path: string) => {
    const { tensors } = await readSafetensorsHeader(join(path, "model.safetensors"));
    return ["model.embed_tokens.weight", "model.norm.weight"].map((key) => tensors.get(key)?.dtype);
  };
  await savePretrained(model, join(folder, "kept"));
  expect(await dtypesIn(join(folder, "kept"))).toEqual(["bf16", "f32"]);
  await savePretrained(model, join(folder, "wide"), { dtype: "f32" });
  expect(await dtypesIn(join(folder, "wide"))).toEqual(["f32", "f32"]);
  const [again, other] = [await open("kept", "stored"), new LlamaForCausalLM(config, randomKey(2))];
  expect(await again.forward({ inputIds: ids() }).logits.read()).toEqual(logits);
  await loadPretrained(other, join(folder, "kept"));
  expectClose("logits", await other.forward({ inputIds: ids() }).logits.read(), logits, 1e-5);
  await loadPretrained(again, join(folder, "wide"));
  expect(await again.forward({ inputIds: ids() }).logits.read()).toEqual(logits);
});

test("blocks of a GGUF file stay blocks, and options that are none are refused", async () => {
  const model = await open("q4_0.gguf", "stored");
  expect(hasBlocks(model)).toBe(true);
  await expect(open("bf16", "f16" as "f32")).rejects.toThrow(/"f32", "stored", "blocks" or "nf4"/);
});
