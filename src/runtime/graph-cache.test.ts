import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { add, compile, grad, mul, relu, sum, type Tensor, tanh, tensor, Variable } from "../tensor/index.ts";
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
