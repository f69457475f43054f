import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hashNumbers, noteHash } from "../base/index.ts";
import { add, compile, constant, grad, mul, relu, sum, type Tensor, tanh, tensor, Variable } from "../tensor/index.ts";
import { Device } from "./index.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kindling-cache-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Three steps of a function with enough nodes to be kept, on a device of its own; `depth` makes it another function.
 */
async function train(depth = 150, cache: string | false = folder): Promise<number[]> {
  const device = new Device({ threads: 1, cache });
  const w = new Variable({ dtype: "f32", shape: [4] }, Float32Array.of(0.1, 0.2, 0.3, 0.4));
  const step = compile(
    (x: Tensor<"f32">) => {
      let y = x;
      for (let i = 0; i < depth; i++) y = tanh(add(mul(y, w.value), relu(y)));
      const loss = sum(mul(y, y));
      const [gradient] = grad(loss, [w]);
      w.assign(add(w.value, mul(gradient, -0.1)));
      return loss;
    },
    { device },
  );
  const losses: number[] = [];
  for (let i = 0; i < 3; i++) losses.push(await (await step(tensor([0.5, 0.6, 0.7, 0.8]))).item());
  await device.close();
  return losses;
}
/** What is kept; waits for the writing, which nothing else waits for. */
async function kept(count: number): Promise<string[]> {
  for (let i = 0; i < 200; i++) {
    const names = readdirSync(folder);
    if (names.filter((name) => name.endsWith(".json")).length >= count) return names.sort();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return readdirSync(folder);
}

test("a second start loads what the first has compiled, and computes the same", async () => {
  const plain = await train(150, false);
  expect(await kept(0)).toEqual([]);
  expect(await train()).toEqual(plain);
  const names = await kept(1);
  expect(names.map((name) => name.replace(/^[0-9a-f]{64}/, ""))).toEqual([".0.onnx", ".json"]);
  // that it is loaded shows when the model is another one's
  await train(140);
  const [other] = (await kept(2)).filter((name) => !names.includes(name) && name.endsWith(".onnx"));
  const model = readFileSync(join(folder, other));
  const { createHash } = await import("node:crypto");
  const plan = JSON.parse(readFileSync(join(folder, names[1]), "utf8"));
  plan.stages[0].sha256 = createHash("sha256").update(model).digest("hex");
  writeFileSync(join(folder, names[0]), model);
  writeFileSync(join(folder, names[1]), JSON.stringify(plan));
  expect(await train()).toEqual(await train(140));
});

test("what is damaged or cannot be written is compiled again", async () => {
  const plain = await train();
  const [model, plan] = await kept(1);
  truncateSync(join(folder, model), 100);
  expect(await train()).toEqual(plain);
  writeFileSync(join(folder, plan), "{");
  expect(await train()).toEqual(plain);
  expect(await train(150, "/dev/null/nowhere")).toEqual(plain);
});

/** A run over constants that are not in the model, on a device of its own, in a process that has made them anew. */
async function runOverWeights(cache: string | false, { scale = 1, isHashTold = true } = {}): Promise<number> {
  const device = new Device({ threads: 1, cache });
  const { binding } = await device.picked;
  if (binding !== "C API") return Number.NaN;
  const size = 2 ** 19;
  const weights = [1, 2].map((n) => new Float32Array(size).fill((n * scale) / 8));
  if (isHashTold) for (const data of weights) noteHash(data, hashNumbers(data));
  const [a, b] = weights.map((data) => constant("f32", [size], data));
  const run = compile(
    (x: Tensor<"f32">) => {
      let y = mul(x, a);
      for (let i = 0; i < 150; i++) y = tanh(add(mul(y, 0.5), relu(y)));
      return sum(add(y, b));
    },
    { device },
  );
  const result = await (await run(tensor([1]))).item();
  await device.close();
  return result;
}

test("graphs over weights are kept without them, and are of the weights that the hashes tell", async () => {
  const plain = [await runOverWeights(false), await runOverWeights(false, { scale: 2 })];
  if (Number.isNaN(plain[0])) return; // by onnxruntime-node weights are in their models
  expect(plain[0]).not.toBe(plain[1]);
  expect(await runOverWeights(folder, { isHashTold: false })).toBe(plain[0]);
  expect(await kept(0)).toEqual([]); // nobody computes hashes of large arrays for this alone
  expect(await runOverWeights(folder)).toBe(plain[0]);
  const names = await kept(1);
  expect(names.map((name) => name.replace(/^[0-9a-f]{64}/, ""))).toEqual([".0.onnx", ".json"]);
  expect(readFileSync(join(folder, names[0])).length).toBeLessThan(100_000);
  const { mtimeMs } = statSync(join(folder, names[0]));
  expect(await runOverWeights(folder)).toBe(plain[0]);
  expect(await runOverWeights(folder, { scale: 2 })).toBe(plain[1]);
  expect(await kept(2)).toHaveLength(4);
  expect(statSync(join(folder, names[0])).mtimeMs).toBe(mtimeMs); // it was loaded, and not written again
  // a constant that the plan names and the graph has not
  const plan = JSON.parse(readFileSync(join(folder, names[1]), "utf8"));
  plan.stages[0].constants[0].hash = "none";
  writeFileSync(join(folder, names[1]), JSON.stringify(plan));
  expect(await runOverWeights(folder)).toBe(plain[0]);
});
