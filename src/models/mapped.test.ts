/** Weights that are the file's pages in memory. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eachSafetensor, isMapped, type StoredTensor } from "../files/index.ts";
import { Device } from "../runtime/index.ts";
import {
  compile,
  defaultDevice,
  grad,
  mul,
  randomKey,
  setDefaultDevice,
  sub,
  sum,
  type Tensor,
  tensor,
  Variable,
} from "../tensor/index.ts";
import { fromPretrained, LlamaForCausalLM, saveGguf, savePretrained } from "./index.ts";

const config = {
  vocabSize: 512,
  hiddenSize: 128,
  intermediateSize: 256,
  numLayers: 2,
  numHeads: 4,
  numKeyHeads: 2,
  maxPositionEmbeddings: 32,
};
const dtypes = ["f32", "f16", "bf16"] as const;
const ids = () => tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
let folder: string;
let expected: Float32Array;
let weightBytes: number;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = new LlamaForCausalLM(config, randomKey(1));
  for (const dtype of dtypes) await savePretrained(model, join(folder, dtype), { dtype });
  await saveGguf(model, join(folder, "model.gguf"), { type: "f32" });
  expected = await model.forward({ inputIds: ids() }).logits.read();
  weightBytes = 4 * model.parameterCount();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const hashOf = async (path: string) =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
const open = (name: string) => fromPretrained(join(folder, name), { task: "causal-lm" });

describe.skipIf(process.platform === "win32")("weights of a file", () => {
  test.each(dtypes)("in %s: mapped tensors have the numbers of read ones", async (dtype) => {
    const path = join(folder, dtype, "model.safetensors");
    const read = new Map<string, StoredTensor>();
    for await (const [name, stored] of eachSafetensor(path)) read.set(name, stored);
    let count = 0;
    for await (const [name, { data, ...type }] of eachSafetensor(path, { mayMap: true })) {
      const { data: plain, ...plainType } = read.get(name) as StoredTensor;
      expect(isMapped(plain)).toBe(false);
      expect(type).toEqual(plainType);
      expect(data).toEqual(plain);
      if (isMapped(data)) count++;
    }
    expect(count).toBeGreaterThan(5);
  });

  test.each(["f32", "model.gguf"])("of %s become a model's without being copied", async (name) => {
    const model = await open(name);
    const previous = defaultDevice();
    const device = new Device(); // not started yet when it is given the weights
    setDefaultDevice(device);
    try {
      const logits = await model.forward({ inputIds: ids() }).logits.read();
      expect(logits).toEqual(expected);
      // small ones are read, and so are in GGUF those of heads, whose rows lie in another order
      expect(device.copiedBytes).toBeLessThan(weightBytes / 5);
      model.dispose();
    } finally {
      setDefaultDevice(previous);
      await device.close();
    }
  });

  test.each(["f32", "model.gguf"])("of %s are trained in memory, and the file stays as it is", async (name) => {
    const file = name === "f32" ? join(folder, name, "model.safetensors") : join(folder, name);
    const before = await hashOf(file);
    const model = await open(name);
    const step = compile((input: Tensor<"i32">) => {
      const { logits } = model.forward({ inputIds: input });
      const loss = sum(mul(logits, logits));
      const parameters = model.parameters();
      grad(loss, parameters).forEach((gradient, i) => {
        parameters[i].assign(sub(parameters[i].value, mul(gradient, 1e-4)));
      });
      return loss;
    });
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) losses.push((await (await step(ids())).read())[0]);
    expect(losses[2]).toBeLessThan(losses[0]);
    expect(await hashOf(file)).toBe(before);
    expect(await (await open(name)).forward({ inputIds: ids() }).logits.read()).toEqual(expected);
    step.dispose();
    model.dispose();
  });

  test.each(["f32", "model.gguf"])("of %s are read at once where they are not to be mapped", async (name) => {
    const model = await fromPretrained(join(folder, name), { task: "causal-lm", mmap: false });
    expect(
      [...model.namedState().values()].some(
        ({ pendingInitial }) => pendingInitial instanceof Float32Array && isMapped(pendingInitial),
      ),
    ).toBe(false);
    expect(await model.forward({ inputIds: ids() }).logits.read()).toEqual(expected);
  });

  test("stay when the file is replaced or removed", async () => {
    await savePretrained(await open("f32"), join(folder, "gone"));
    const model = await open("gone");
    await savePretrained(new LlamaForCausalLM(config, randomKey(2)), join(folder, "gone"));
    const other = await open("gone");
    await rm(join(folder, "gone"), { recursive: true });
    expect(await model.forward({ inputIds: ids() }).logits.read()).toEqual(expected);
    expect(await other.forward({ inputIds: ids() }).logits.read()).not.toEqual(expected);
  });

  test("are two tensors when two variables begin with them", async () => {
    for await (const [, { shape, data }] of eachSafetensor(join(folder, "f32", "model.safetensors"), {
      mayMap: true,
    })) {
      if (!isMapped(data)) continue;
      const [a, b] = [1, 2].map(() => new Variable({ dtype: "f32", shape }, data as Float32Array));
      const change = compile(() => {
        a.assign(mul(a.value, 2));
        return sum(b.value);
      });
      const total = await (await change()).read();
      expect((await b.read())[5] * 2).toBe((await a.read())[5]);
      expect(await sum(b.value).read()).toEqual(total);
      const other = new Device();
      const [onOther, here] = await Promise.all(
        [other, defaultDevice()].map(async (device) => device.upload("f32", shape, data as Float32Array).read()),
      );
      expect(onOther).toEqual(here);
      await other.close();
      return;
    }
  });
});
