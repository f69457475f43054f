import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readBytes } from "../../files/index.ts";
import { parseModel } from "../../lower/format.ts";
import { exportOnnx } from "../../onnx/index.ts";
import { mul, Variable } from "../../tensor/index.ts";
import { exportModel, fromConfig } from "../index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const weightNames = async (file: string) =>
  parseModel(await readBytes(join(folder, file))).graph?.initializer.map(({ name }) => name) ?? [];

test("weights have their checkpoint keys, whoever asked a part of the model for its names before", async () => {
  const model = fromConfig(
    { model_type: "gpt2", n_embd: 8, n_layer: 3, n_head: 2, vocab_size: 11, n_positions: 6 },
    { task: "causal-lm" },
  );
  const keys = [...model.namedState().keys()];
  for (const part of Object.values(model)) part?.namedState?.();
  for (const part of Object.values(model)) for (const block of part?.h ?? []) block.namedState();
  const [file] = await exportModel(model, folder);
  const written = await weightNames(file);
  expect(written.filter((name) => keys.includes(name)).sort()).toEqual([...keys].sort());
  expect(new Set(written).size).toBe(written.length);
});

test("variables without a name get one each", async () => {
  const [a, b] = [1, 2].map((value) => new Variable({ dtype: "f32", shape: [1] }, Float32Array.of(value)));
  await exportOnnx(join(folder, "product.onnx"), ({ x }) => ({ y: mul(mul(x, a.value), b.value) }), {
    x: { dtype: "f32", shape: [1] },
  });
  expect(await weightNames("product.onnx")).toEqual(["weight_0", "weight_1"]);
  const names = new Map([["weight_0", b]]);
  await exportOnnx(
    join(folder, "product.onnx"),
    ({ x }) => ({ y: mul(mul(x, a.value), b.value) }),
    { x: { dtype: "f32", shape: [1] } },
    { names },
  );
  expect((await weightNames("product.onnx")).sort()).toEqual(["weight_0", "weight_1"]);
});
