import { expect, test } from "vitest";
import { dropout } from "../nn/index.ts";
import * as ops from "../ops/index.ts";
import { evaluate, hostTensor } from "../ops/index.ts";
import { bernoulli, compile, grad, normal, RandomKey, randomKey, sum, Tensor, uniform, zeros } from "./index.ts";

const COUNT = 100_000;

test("uniform numbers fill [0, 1) evenly (chi-squared over 100 bins)", async () => {
  for (const seed of [0, 1, 2, -1, 2 ** 31]) {
    const numbers = await uniform(randomKey(seed), [COUNT]).read();
    const bins = new Array<number>(100).fill(0);
    for (const x of numbers) bins[Math.floor(x * 100)]++;
    const chi = bins.reduce((sum, count) => sum + (count - COUNT / 100) ** 2 / (COUNT / 100), 0);
    expect(chi).toBeGreaterThan(50); // 99 degrees of freedom: the 0.001 % and 99.999 % points are 48 and 167
    expect(chi).toBeLessThan(170);
  }
});

test("neighbours, and streams of related keys, are not correlated", async () => {
  const correlation = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, x, i) => sum + (x - 0.5) * (b[i] - 0.5), 0) / (a.length / 12);
  const keys = [randomKey(7), randomKey(8), ...randomKey(7).split(2), randomKey(7).fold(1).fold(0)];
  const streams = await Promise.all(keys.map((key) => uniform(key, [COUNT]).read()));
  const limit = 5 / Math.sqrt(COUNT);
  for (const [i, a] of streams.entries()) {
    for (const b of streams.slice(i + 1))
      if (i !== 2 || b !== streams[4]) expect(Math.abs(correlation(a, b))).toBeLessThan(limit);
    for (const lag of [1, 2, 64]) expect(Math.abs(correlation(a.slice(lag), a.slice(0, -lag)))).toBeLessThan(limit);
  }
});

test("normal numbers have the moments of the normal distribution", async () => {
  const x = await normal(randomKey(3), [COUNT]).read();
  const moment = (n: number) => x.reduce((sum, v) => sum + v ** n, 0) / COUNT;
  for (const [i, expected] of [0, 1, 0, 3].entries()) expect(Math.abs(moment(i + 1) - expected)).toBeLessThan(0.06);
});

test("the runtime and the reference draw the same numbers, on the host and in a graph", async () => {
  const key = randomKey(11).fold(5);
  const drawn = uniform(key, [3, 4]);
  const [plain] = evaluate([drawn.ir], new Map([[key.bits.ir, hostTensor([2], Array.from(await key.bits.read()))]]));
  expect(Array.from(await drawn.read())).toEqual(Array.from(plain.data));
  const inGraph = compile((bits: Tensor<"i32">, step: Tensor<"i32">) => new RandomKey(bits).fold(step).bits);
  const { tensor } = await import("./index.ts");
  const folded = await inGraph(randomKey(11).bits, tensor(5, { dtype: "i32" }));
  expect(Array.from(await folded.read())).toEqual(Array.from(await key.bits.read()));
});

test("bernoulli is true as often as asked", async () => {
  const x = await bernoulli(randomKey(5), [COUNT], 0.3).read();
  expect(Math.abs(x.reduce((a, b) => a + b, 0) / COUNT - 0.3)).toBeLessThan(0.01);
});

test("tensors without elements are drawn as those with some", async () => {
  const key = randomKey(1);
  for (const shape of [[0], [3, 0], [2, 0, 3]]) {
    for (const drawn of [uniform(key, shape), normal(key, shape), bernoulli(key, shape, 0.5)]) {
      expect(drawn.shape).toEqual(shape);
      expect(await drawn.read()).toHaveLength(0);
    }
    expect(await dropout(zeros(shape), 0.5, key).read()).toHaveLength(0);
    const x = zeros(shape);
    expect(await grad(sum(dropout(x, 0.5, key)), [x])[0].read()).toHaveLength(0);
  }
  for (const value of [
    ops.randomGumbel(key.bits.ir, [2, 0]),
    ops.randomExponential(key.bits.ir, [2, 0]),
    ops.randomInteger(key.bits.ir, [2, 0], 0, 9),
    ops.randomPermutation(key.bits.ir, 0),
    ops.randomCategorical(key.bits.ir, zeros([0, 3]).ir),
  ])
    expect(await new Tensor(value).read()).toHaveLength(0);
  expect(await normal(key, []).read()).toHaveLength(1);
});

test("a size that is 0 when a compiled function is called is drawn too", async () => {
  const drop = compile((x: Tensor<"f32">) => dropout(x, 0.5, randomKey(1)));
  for (const rows of [4, 2, 0]) expect((await drop(zeros([rows, 3]))).shape).toEqual([rows, 3]);
  expect(await (await drop(zeros([0, 3]))).read()).toHaveLength(0);
});

test("a key keeps its numbers when the array it was made of changes", async () => {
  const bits: [number, number] = [1, 2];
  const key = new RandomKey(bits);
  const before = [await uniform(key, [4]).read(), await normal(key, [4]).read(), await key.fold(1).bits.read()];
  bits[0] = 99;
  expect([await uniform(key, [4]).read(), await normal(key, [4]).read(), await key.fold(1).bits.read()]).toEqual(
    before,
  );
});
