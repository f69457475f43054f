/** Decoders of transformers: the same logits, loss, gradients and greedy tokens. */

import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readSafetensors, writeJson, writeSafetensors } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { compile, grad, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { Differences } from "../testing/differences.ts";
import type { Olmo3Config } from "./decoders/olmo3.ts";
import { fromConfig, fromPretrained, LlamaForCausalLM, savePretrained } from "./index.ts";

const root = fileURLToPath(new URL("../../golden/decoders/", import.meta.url));
const TOLERANCE = 1e-4;

interface Expected {
  batches: { inputIds: number[][]; mask?: number[][]; positions?: number[][]; logits: { data: number[] } }[];
  targets: number[][];
  loss: number;
  greedy: { inputIds: number[]; maxNewTokens: number; outputIds: number[] }[];
}

const ints = (rows: number[][]) => tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
const differences = new Differences();
afterAll(async () => {
  differences.save();
  await rm(folder, { recursive: true });
});

describe.each(readdirSync(root))("%s", (name) => {
  const load = async () => ({
    model: await fromPretrained(join(root, name), { task: "causal-lm" }),
    expected: (await readJson(join(root, name, "expected.json"))) as unknown as Expected,
  });

  // of a text longer than Phi-3's first context all angles are others: the row is, and each document is not
  test.skipIf(name === "phi3-longrope-long")("documents that share a row do not see one another", async () => {
    const { model } = await load();
    const documents = [
      [3, 1, 4, 1, 5],
      [9, 2, 6],
    ];
    const numbers = (of: (document: number[], i: number) => number[]) => ints([documents.flatMap(of)]);
    const together = await model
      .forward({
        inputIds: numbers((ids) => ids),
        positionIds: numbers((ids) => [...ids.keys()]),
        segmentIds: numbers((ids, i) => ids.map(() => i)),
      })
      .logits.read();
    const alone = await Promise.all(documents.map((ids) => model.forward({ inputIds: ints([ids]) }).logits.read()));
    expectClose(
      "logits",
      together,
      alone.flatMap((logits) => [...logits]),
      TOLERANCE,
    );
  });

  test("logits, also with padding at either side", async () => {
    const { model, expected } = await load();
    for (const { inputIds, mask, positions, logits } of expected.batches) {
      const padding = mask && {
        attentionMask: tensor(Uint8Array.from(mask.flat()), { dtype: "bool", shape: [mask.length, mask[0].length] }),
        positionIds: ints(positions as number[][]),
      };
      const actual = await model.forward({ inputIds: ints(inputIds), ...padding }).logits.read();
      const { vocabSize } = model.config;
      const isToken = (_: number, i: number) => !mask || mask.flat()[Math.floor(i / vocabSize)] === 1;
      differences.note(
        model.architecture,
        "outputs",
        expectClose("logits", actual.filter(isToken), logits.data.filter(isToken), TOLERANCE),
      );
    }
  });

  test("loss and the gradient of every parameter", async () => {
    const { model, expected } = await load();
    const parameters = model.namedParameters();
    const step = compile((inputIds: Tensor<"i32">, shiftLabels: Tensor<"i32">) => {
      const loss = model.loss({ inputIds, shiftLabels });
      return { loss, gradients: grad(loss, [...parameters.values()]) };
    });
    const { loss, gradients } = await step(ints(expected.batches[0].inputIds), ints(expected.targets));
    differences.note(
      model.architecture,
      "gradients",
      expectClose("loss", [await loss.item()], [expected.loss], TOLERANCE),
    );
    const { tensors } = await readSafetensors(join(root, name, "gradients.safetensors"));
    expect([...parameters.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [i, key] of [...parameters.keys()].entries()) {
      const difference = expectClose(key, await gradients[i].read(), tensors.get(key)?.data as Float32Array, TOLERANCE);
      differences.note(model.architecture, "gradients", difference);
    }
    step.dispose();
  });

  test("greedy tokens through the cache", async () => {
    const { model, expected } = await load();
    const generator = new Generator(model);
    for (const { inputIds, maxNewTokens, outputIds } of expected.greedy) {
      const newIds: number[] = [];
      for await (const id of generator.generate(inputIds, { maxNewTokens, temperature: 0, stopTokens: [] }))
        newIds.push(id);
      expect([...inputIds, ...newIds]).toEqual(outputIds);
    }
    generator.dispose();
  });

  test("is saved and loaded again", async () => {
    const { model, expected } = await load();
    await savePretrained(model, folder);
    const again = await fromPretrained(folder, { task: "causal-lm" });
    const ids = ints(expected.batches[0].inputIds);
    expect(await again.forward({ inputIds: ids }).logits.read()).toEqual(
      await model.forward({ inputIds: ids }).logits.read(),
    );
    const [ours, theirs] = await Promise.all(
      [folder, join(root, name)].map((path) => readJson(join(path, "config.json"))),
    );
    for (const key of [
      "architectures",
      "model_type",
      "rope_parameters",
      "num_key_value_heads",
      "tie_word_embeddings",
    ]) {
      expect([key, ours[key]]).toEqual([key, theirs[key]]);
    }
  });
});

test("config.json of transformers 4: rope_theta and rope_scaling", async () => {
  const json = await readJson(join(root, "llama", "config.json"));
  const { rope_theta, rope_type, ...scaling } = json.rope_parameters as Record<string, unknown>;
  const old = { ...json, rope_parameters: undefined, rope_theta, rope_scaling: { type: rope_type, ...scaling } };
  await writeJson(join(folder, "config.json"), old);
  await writeFile(join(folder, "model.safetensors"), await readFile(join(root, "llama", "model.safetensors")));
  const ids = ints([[1, 2, 3, 4, 5, 6]]);
  const [a, b] = await Promise.all(
    [folder, join(root, "llama")].map(async (path) =>
      (await fromPretrained(path, { task: "causal-lm" })).forward({ inputIds: ids }).logits.read(),
    ),
  );
  expect(a).toEqual(b);
});

test("config.json of OLMo 3 in transformers 4: what extends the context is of the full layers alone", async () => {
  const json = await readJson(join(root, "olmo3", "config.json"));
  const scaling = { rope_type: "yarn", factor: 8, original_max_position_embeddings: 16, attention_factor: 1.2 };
  const model = fromConfig(
    { ...json, rope_parameters: undefined, rope_theta: 500_000, rope_scaling: scaling },
    { task: "causal-lm" },
  );
  expect((model.config as unknown as Olmo3Config).rope).toEqual({
    full_attention: { ...scaling, rope_theta: 500_000 },
    sliding_attention: { rope_type: "default", rope_theta: 500_000 },
  });
});

test("shards, and an index that points elsewhere", async () => {
  const path = join(folder, "sharded");
  const { tensors } = await readSafetensors(join(root, "qwen2", "model.safetensors"));
  const entries = [...tensors];
  const map: Record<string, string> = {};
  for (const [i, part] of [entries.slice(0, 9), entries.slice(9)].entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    await writeSafetensors(join(path, file), new Map(part));
    for (const [key] of part) map[key] = file;
  }
  await writeFile(join(path, "config.json"), await readFile(join(root, "qwen2", "config.json")));
  await writeJson(join(path, "model.safetensors.index.json"), { metadata: {}, weight_map: map });
  const ids = ints([[1, 2, 3]]);
  expect(await (await fromPretrained(path, { task: "causal-lm" })).forward({ inputIds: ids }).logits.read()).toEqual(
    await (await fromPretrained(join(root, "qwen2"), { task: "causal-lm" })).forward({ inputIds: ids }).logits.read(),
  );
  await writeJson(join(path, "model.safetensors.index.json"), { weight_map: { ...map, x: "../model.safetensors" } });
  await expect(fromPretrained(path, { task: "causal-lm" })).rejects.toThrow(/files beside it; received "\.\.\/model/);
});

test("configs that cannot be followed are errors", async () => {
  const create = (config: object) => () =>
    new LlamaForCausalLM(
      { vocabSize: 9, hiddenSize: 8, numLayers: 1, numHeads: 2, intermediateSize: 8, ...config },
      randomKey(0),
    );
  expect(create({})).not.toThrow();
  expect(create({ numKeyHeads: 3 })).toThrow(/multiple of numKeyHeads/);
  expect(create({ rope: { rope_type: "yarm" } })).toThrow(/did you mean "yarn"/);
  expect(create({ rope: { fast_factor: [1] } })).toThrow(/rope_parameters.*fast_factor/s);
  expect(create({ layerTypes: [] })).toThrow(/received layerTypes/);
  const json = await readJson(join(root, "llama", "config.json"));
  await writeJson(join(folder, "config.json"), { ...json, quantization_config: { quant_method: "gptq" } });
  await expect(fromPretrained(folder, { task: "causal-lm" })).rejects.toThrow(/not quantized/);
});
