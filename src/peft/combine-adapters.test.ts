/** Adapters combined as peft's add_weighted_adapter does (golden/make_peft_training.py), and several on one model. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { applyAdapter, combineAdapters, newAdapter, readAdapter } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/peft/llama/", import.meta.url));
const silent = { onWarning: () => {} };
const expected = (await readJson(join(golden, "training.json"))) as unknown as {
  inputIds: number[][][];
  combined: Record<"linear" | "cat", { data: number[] }>;
};
const inputIds = tensor(Int32Array.from(expected.inputIds[0].flat()), { shape: [2, 9] });
const open = () => fromPretrained(golden, { ...silent, task: "causal-lm" });
const logitsOf = (model: CausalLM) => model.forward({ inputIds }).logits.read();
const two = () => Promise.all(["mix-a", "mix-b"].map((name) => readAdapter(join(golden, name))));

test.each(["linear", "cat"] as const)("%s", async (kind) => {
  const model = await open();
  const [a, b] = await two();
  const parts = [
    { adapter: a, weight: 0.7 },
    { adapter: b, weight: -0.4 },
  ];
  const applied = applyAdapter(model, combineAdapters(parts, { kind }), silent);
  const right = Float32Array.from(expected.combined[kind].data);
  expectClose(kind, await logitsOf(model), right, tolerances.f32 as number);
  await applied.merge();
  expectClose(kind, await logitsOf(model), right, tolerances.f32 as number);
  model.dispose();
});

test("several adapters of one model: each is active in its turn, and traced while another waits", async () => {
  const model = await open();
  const plain = await logitsOf(model);
  const [a, b] = (await two()).map((adapter) => applyAdapter(model, adapter, { ...silent, isActive: false }));
  expect(await logitsOf(model)).toEqual(plain);
  a.activate();
  const ofA = await logitsOf(model);
  expect(() => b.activate()).toThrow("combineAdapters makes one of several");
  a.remove();
  b.activate();
  const ofB = await logitsOf(model);
  b.remove();
  expect(ofA).not.toEqual(ofB);
  const inTurn = [a, b].map((applied) => applied.within({}, () => logitsOf(model)));
  expect(await Promise.all(inTurn)).toEqual([ofA, ofB]);
  expect(await logitsOf(model)).toEqual(plain);
  await expect(a.merge()).rejects.toThrow("activate it first");
  model.dispose();
});

test("what cannot be combined is refused", async () => {
  const model = await open();
  const [a] = await two();
  const other = await newAdapter(model, { rank: 3, targetModules: ["q_proj"] }, randomKey(0));
  const dora = await newAdapter(model, { targetModules: ["q_proj"], useDora: true }, randomKey(0));
  const ia3 = await newAdapter(model, { type: "IA3", targetModules: ["q_proj"] }, randomKey(0));
  const of = (...adapters: (typeof a)[]) => adapters.map((adapter) => ({ adapter, weight: 1 }));
  expect(() => combineAdapters(of(a, other), { kind: "linear" })).toThrow('use { kind: "cat" }');
  const { config, layers } = combineAdapters(of(a, other));
  expect([config.rank, layers.size]).toEqual([5, 4]);
  applyAdapter(model, combineAdapters(of(a, other)), silent);
  for (const adapter of [dora, ia3]) expect(() => combineAdapters(of(a, adapter))).toThrow("updates of layers alone");
  expect(() => combineAdapters([])).toThrow("give one adapter or more");
  model.dispose();
});
