/** Adapters as sources of `convert`: merged into the model that they were made for, in one command. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { writeJson } from "../files/index.ts";
import { type CausalLM, fromPretrained, LlamaForCausalLM, llamaConfig, savePretrained } from "../models/index.ts";
import { applyAdapter, newAdapter } from "../peft/index.ts";
import { normal, randomKey, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { convertCommand } from "./convert.ts";

let folder: string;
let base: string;
let adapter: string;
let expected: Float32Array;
vi.spyOn(process.stdout, "write").mockImplementation(() => true);
vi.spyOn(process.stderr, "write").mockImplementation(() => true);

const inputIds = tensor(Int32Array.of(3, 1, 4, 1, 5), { shape: [1, 5] });
const logitsOf = async (model: CausalLM) => (await model.forward({ inputIds }).logits.read()).slice();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  base = join(folder, "base");
  adapter = join(folder, "runs", "chat", "model");
  const sizes = { vocabSize: 40, hiddenSize: 64, intermediateSize: 96, numLayers: 2, numHeads: 4, numKeyHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig({ ...sizes, maxPositionEmbeddings: 32 }), randomKey(3));
  await savePretrained(model, base);
  const opened = await fromPretrained(base, { task: "causal-lm" });
  const applied = applyAdapter(
    opened,
    await newAdapter(opened, { rank: 4, targetModules: "all-linear" }, randomKey(4)),
  );
  let i = 0;
  for (const parameter of applied.parameters.values())
    parameter.set(normal(randomKey(100 + i++), parameter.shape).mul(0.1));
  expected = await logitsOf(opened);
  await applied.save(adapter);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const runs = () => join(folder, "runs");

test("alone it is refused, with the way out", async () => {
  const convert = convertCommand("chat", join(folder, "no"), { runs: runs() });
  await expect(convert).rejects.toThrow(/an adapter for .*base\. Fix: .*add --merge/);
});

test.each(["folder", "gguf", "onnx"] as const)("with its base, as %s", async (to) => {
  const target = join(folder, to === "gguf" ? "chat.gguf" : `chat-${to}`);
  const form = { folder: {}, gguf: { type: "f32" }, onnx: { to: "onnx" } } as const;
  await convertCommand("chat", target, { runs: runs(), merge: true, ...form[to] });
  const converted = await fromPretrained(target, { task: "causal-lm" });
  expectClose("logits", await logitsOf(converted), expected, 1e-4);
  if (to === "onnx") expect(await readdir(target)).toContain("model.onnx");
});

test("a base that is named, and what is wrong", async () => {
  const target = join(folder, "named");
  await convertCommand(adapter, target, { runs: runs(), merge: true, base });
  const converted = await fromPretrained(target, { task: "causal-lm" });
  expectClose("logits", await logitsOf(converted), expected, 1e-4);
  const lost = join(folder, "lost");
  await applyLost(lost);
  const options = { runs: runs(), merge: true };
  await expect(convertCommand(lost, join(folder, "x"), options)).rejects.toThrow("name it with --base");
  await expect(convertCommand(base, join(folder, "x"), options)).rejects.toThrow("this is a model");
  await expect(convertCommand(base, join(folder, "x"), { runs: runs(), base })).rejects.toThrow(
    "--base is for adapters",
  );
});

/** An adapter whose base nobody has. */
async function applyLost(path: string): Promise<void> {
  const model = await fromPretrained(base, { task: "causal-lm" });
  const applied = applyAdapter(model, await newAdapter(model, { rank: 2, targetModules: ["q_proj"] }, randomKey(5)));
  await applied.save(path);
  const { readJson } = await import("../files/index.ts");
  const config = await readJson(join(path, "adapter_config.json"));
  await writeJson(join(path, "adapter_config.json"), { ...config, base_model_name_or_path: join(folder, "gone") });
}
