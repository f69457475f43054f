import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeGguf } from "../files/index.ts";
import { exportModel, fromPretrained, inspectModel, savePretrained } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/gpt2/a", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a folder in Hugging Face layout", async () => {
  const report = await inspectModel(golden);
  const parameters = (await fromPretrained(golden)).parameterCount();
  expect(report).toMatchObject({
    format: "Hugging Face",
    architecture: "GPT2LMHeadModel",
    parameters,
    dtypes: { f32: { parameters, bytes: 4 * parameters } },
  });
  expect(report.modules["transformer.h.*.attn.c_attn"]).toEqual({ parameters: 2 * (32 * 96 + 96), tensors: 4 });
  expect(report.memory).toEqual({ stored: 4 * parameters, run: 4 * parameters, train: 16 * parameters });
  expect((await inspectModel(join(golden, "model.safetensors"))).format).toBe("safetensors");
});

test("a GGUF file, with tokenizer and licence", async () => {
  const path = join(folder, "model.gguf");
  const metadata = new Map<string, string | string[]>([
    ["general.architecture", "llama"],
    ["general.license", "apache-2.0"],
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.tokens", ["a", "b", "c"]],
  ]);
  await writeGguf(
    path,
    metadata,
    new Map([["blk.0.attn_q.weight", { type: "q8_0", shape: [2, 32], data: new Float32Array(64) }]]),
  );
  expect(await inspectModel(path)).toEqual({
    format: "GGUF",
    architecture: "llama",
    parameters: 64,
    dtypes: { q8_0: { parameters: 64, bytes: 68 } },
    modules: { "blk.*.attn_q": { parameters: 64, tensors: 1 } },
    tokenizer: { kind: "gpt2", vocabSize: 3 },
    licence: "apache-2.0",
    memory: { stored: 68, run: 256, train: 1024 },
  });
});

test("torch and ONNX files", async () => {
  const torch = await inspectModel(fileURLToPath(new URL("../../golden/torch/ordered.pt", import.meta.url)));
  expect(torch.format).toBe("torch");
  expect(torch.parameters).toBeGreaterThan(0);
  const model = await fromPretrained(golden);
  await exportModel(model, folder);
  const onnx = await inspectModel(join(folder, "model.onnx"));
  expect(onnx).toMatchObject({ format: "ONNX", architecture: "kindling" });
  expect(onnx.parameters).toBe(model.parameterCount());
  expect(onnx.modules["transformer.h.*.attn.c_attn"]).toEqual({ parameters: 2 * (32 * 96 + 96), tensors: 4 });
});

test("a checkpoint counts without what its optimizer keeps", async () => {
  const checkpoint = join(folder, "checkpoint");
  const model = await fromPretrained(golden);
  await savePretrained(model, checkpoint);
  await copyFile(join(checkpoint, "model.safetensors"), join(checkpoint, "optimizer.safetensors"));
  expect((await inspectModel(checkpoint)).parameters).toBe(model.parameterCount());
});

test("what is no model is an error", async () => {
  await expect(inspectModel(join(folder, "nothing"))).rejects.toThrow(/nothing there/);
  const text = join(folder, "text.txt");
  await writeFile(text, "just a text that is not a model");
  await expect(inspectModel(text)).rejects.toThrow(
    /text\.txt: expected a model: .* received a file that begins with "just a t"/,
  );
  const empty = join(folder, "empty");
  await mkdir(empty);
  await expect(inspectModel(empty)).rejects.toThrow(/an empty folder/);
  await writeFile(join(empty, "some.gguf"), "");
  await expect(inspectModel(empty)).rejects.toThrow(/open .*some\.gguf/);
});
