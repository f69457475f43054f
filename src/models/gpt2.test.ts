import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readSafetensors, writeJson, writeSafetensors } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { Differences } from "../testing/differences.ts";
import { fromPretrained, GPT2LMHeadModel, savePretrained } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/gpt2/${path}`, import.meta.url));
/** Asked of the whole model: logits within this of transformers. */
const LOGITS_TOLERANCE = 1e-4;

interface Expected {
  batches: { inputIds: number[][]; logits: { data: number[] } }[];
  greedy: { inputIds: number[]; maxNewTokens: number; outputIds: number[] }[];
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
const differences = new Differences();
afterAll(async () => {
  differences.save();
  await rm(folder, { recursive: true });
});

describe.each(["a", "b", "c", "d"])("case %s of transformers", (name) => {
  test("gives the same logits", async () => {
    const model = await fromPretrained(golden(name), { task: "causal-lm" });
    const { batches } = (await readJson(join(golden(name), "expected.json"))) as unknown as Expected;
    for (const { inputIds, logits } of batches) {
      const ids = tensor(Int32Array.from(inputIds.flat()), { shape: [inputIds.length, inputIds[0].length] });
      differences.note(
        model.architecture,
        "outputs",
        expectClose("logits", await model.forward({ inputIds: ids }).logits.read(), logits.data, LOGITS_TOLERANCE),
      );
    }
  });

  test("continues greedily with the same tokens, through the cache", async () => {
    const generator = new Generator(await fromPretrained(golden(name), { task: "causal-lm" }));
    const { greedy } = (await readJson(join(golden(name), "expected.json"))) as unknown as Expected;
    for (const { inputIds, maxNewTokens, outputIds } of greedy) {
      const newIds: number[] = [];
      for await (const id of generator.generate(inputIds, { maxNewTokens, temperature: 0, stopTokens: [] }))
        newIds.push(id);
      expect([...inputIds, ...newIds]).toEqual(outputIds);
    }
    generator.dispose();
  });

  test("is saved as transformers saves it", async () => {
    const model = await fromPretrained(golden(name), { task: "causal-lm" });
    await savePretrained(model, folder);
    const ours = await readSafetensors(join(folder, "model.safetensors"));
    const theirs = await readSafetensors(join(golden(name), "model.safetensors"));
    expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
    for (const [key, { shape, data }] of theirs.tensors) {
      expect(ours.tensors.get(key)?.shape).toEqual(shape);
      expect(ours.tensors.get(key)?.data).toEqual(data);
    }
    expect(ours.metadata).toEqual(theirs.metadata);
    const config = await readJson(join(folder, "config.json"));
    const reference = await readJson(join(golden(name), "config.json"));
    for (const [key, value] of Object.entries(config)) {
      const expected = key === "n_inner" && reference[key] === null ? 4 * (reference.n_embd as number) : reference[key];
      expect([key, value]).toEqual([key, expected]);
    }
  });
});

describe("damaged checkpoints", () => {
  const damage = async (
    change: (tensors: Awaited<ReturnType<typeof readSafetensors>>["tensors"]) => void,
    strict = true,
  ) => {
    const { tensors } = await readSafetensors(join(golden("a"), "model.safetensors"));
    change(tensors);
    await writeSafetensors(join(folder, "model.safetensors"), tensors);
    await writeFile(join(folder, "config.json"), await readFile(join(golden("a"), "config.json")));
    return fromPretrained(folder, { task: "causal-lm", strict });
  };

  test("a missing tensor is named", async () => {
    await expect(damage((tensors) => tensors.delete("transformer.h.0.ln_1.weight"))).rejects.toThrow(
      /without transformer\.h\.0\.ln_1\.weight/,
    );
  });

  test("an extra tensor is named", async () => {
    await expect(
      damage((tensors) => tensors.set("transformer.h.9.x", { dtype: "f32", shape: [1], data: new Float32Array(1) })),
    ).rejects.toThrow(/extra transformer\.h\.9\.x/);
  });

  test("a misshapen tensor is named with both shapes", async () => {
    const promise = damage(
      (tensors) => tensors.set("transformer.ln_f.bias", { dtype: "f32", shape: [3], data: new Float32Array(3) }),
      false,
    );
    await expect(promise).rejects.toThrow(/transformer\.ln_f\.bias: expected shape \[32\]; received \[3\]/);
  });

  test("a truncated file is refused", async () => {
    const bytes = await readFile(join(golden("a"), "model.safetensors"));
    await writeFile(join(folder, "model.safetensors"), bytes.subarray(0, bytes.length - 100));
    await expect(fromPretrained(folder, { task: "causal-lm" })).rejects.toThrow(/bytes, as the header says/);
  });

  test("another architecture is named", async () => {
    await writeFile(join(folder, "config.json"), JSON.stringify({ model_type: "gpt_2" }));
    await expect(fromPretrained(folder, { task: "causal-lm" })).rejects.toThrow(/did you mean "gpt2"/);
  });
});

test("checkpoints of the original release load: no prefix, mask buffers, f16", async () => {
  const { tensors } = await readSafetensors(join(golden("a"), "model.safetensors"));
  const old = new Map([...tensors].map(([key, stored]) => [key.replace("transformer.", ""), stored]));
  old.set("h.0.attn.bias", { dtype: "u8", shape: [1], data: new Uint8Array(1) });
  await writeSafetensors(join(folder, "model.safetensors"), old);
  await writeFile(join(folder, "config.json"), await readFile(join(golden("a"), "config.json")));
  const model = await fromPretrained(folder, { task: "causal-lm" });
  expect(model.parameterCount()).toBe((await fromPretrained(golden("a"), { task: "causal-lm" })).parameterCount());
});

test("attention that transformers would compute in f32 besides is the same here", async () => {
  const path = join(folder, "upcast");
  await cp(golden("a"), path, { recursive: true });
  const json = await readJson(join(path, "config.json"));
  await writeJson(join(path, "config.json"), { ...json, reorder_and_upcast_attn: true });
  const model = await fromPretrained(path, { task: "causal-lm" });
  const { batches } = (await readJson(join(golden("a"), "expected.json"))) as unknown as Expected;
  const { inputIds, logits } = batches[0];
  const ids = tensor(inputIds, { dtype: "i32" });
  expectClose("logits", await model.forward({ inputIds: ids }).logits.read(), logits.data, LOGITS_TOLERANCE);
});

test("a config that contradicts itself is refused", () => {
  expect(() => new GPT2LMHeadModel({ hiddenSize: 10, numHeads: 3 }, randomKey(0))).toThrow(/multiple of numHeads/);
});
