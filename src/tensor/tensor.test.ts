import { expect, test } from "vitest";
import { compile, exp, gather, grad, matmul, mean, mul, normal, randomKey, sum, type Tensor, tanh, tensor, uniform, Variable } from "./index.ts";

test("reads what was put in", async () => {
  expect(
    await tensor([
      [1, 2],
      [3, 4],
    ]).toArray(),
  ).toEqual([
    [1, 2],
    [3, 4],
  ]);
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  expect(await mul(x, x).toArray()).toEqual([
    [1, 4],
    [9, 16],
  ]);
  expect(await x.add(1).matmul(x).toArray()).toEqual([
    [11, 16],
    [19, 28],
  ]);
});

test("gradients are graphs", async () => {
  const x = tensor([1, 2, 3]);
  const [dx] = grad(sum(mul(mul(x, x), x)), [x]);
  expect(await dx.toArray()).toEqual([3, 12, 27]);
  const [ddx] = grad(sum(dx), [x]);
  expect(await ddx.toArray()).toEqual([6, 12, 18]);
  const y = tensor([2]);
  expect(() => grad(sum(x), [y])).toThrow(/does not/);
});

test("compiled functions update variables", async () => {
  const w = new Variable({ name: "w", dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
  const step = compile((rate: Tensor<"f32">) => {
    const loss = sum(mul(w.value, w.value));
    const [dw] = grad(loss, [w]);
    w.assign(w.value.sub(dw.mul(rate)));
    return { loss };
  });
  const { loss } = await step(0.25);
  expect(await loss.item()).toBe(5);
  expect(Array.from(await w.read())).toEqual([0.5, 1]);
  await step(0.5);
  expect(Array.from(await w.read())).toEqual([0, 0]);
  step.dispose();
});

test("random numbers are a function of the key", async () => {
  const key = randomKey(1);
  const a = await uniform(key, [10000]).read();
  expect(Array.from(await uniform(key, [10000]).read())).toEqual(Array.from(a));
  const average = a.reduce((s, x) => s + x, 0) / a.length;
  expect(Math.abs(average - 0.5)).toBeLessThan(0.01);
  const b = await normal(randomKey(2), [10000]).read();
  expect(Math.abs(b.reduce((s, x) => s + x * x, 0) / b.length - 1)).toBeLessThan(0.05);
});
test("misc", async () => {
  const t = tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const idx = tensor([2, 0, 2], { dtype: "i32" });
  const [d] = grad(sum(mul(gather(t, idx), 2)), [t]);
  expect(await d.toArray()).toEqual([
    [2, 2],
    [0, 0],
    [4, 4],
  ]);
  const [e] = grad(mean(exp(tanh(matmul(t, t, { transposeB: true })))), [t]);
  expect((await e.read()).length).toBe(6);
});
