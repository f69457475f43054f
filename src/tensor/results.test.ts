/** Compiled functions give their results at once: what waits, who is told of errors, and what state is in between. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { GraphError, ShapeError } from "../base/index.ts";
import { Connection } from "../runtime/connection.ts";
import type { DeviceBuffer } from "../runtime/index.ts";
import {
  add,
  compile,
  concat,
  defaultDevice,
  gather,
  grad,
  matmul,
  mul,
  ones,
  readTensors,
  reshape,
  sum,
  type Tensor,
  tensor,
  Variable,
  zeros,
} from "./index.ts";
import type { Leaf } from "./leaf.ts";

type F = Tensor<"f32">;
type I = Tensor<"i32">;

const rejections: unknown[] = [];
process.on("unhandledRejection", (cause) => rejections.push(cause));
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(rejections).toEqual([]);
});

const at = (...indices: number[]) => tensor(Int32Array.from(indices));
const look = () => {
  const table = new Variable({ dtype: "f32", shape: [3] }, Float32Array.of(10, 20, 30));
  return compile((indices: I) => gather(table, indices));
};

test("results are tensors at once, nested as the function returned them", async () => {
  const f = compile((x: F) => ({ double: mul(x, 2), parts: [sum(x), { shifted: add(x, 1) }] as const }));
  const { double, parts } = f(tensor([[1, 2, 3]]));
  expect([double.shape, parts[0].shape, parts[1].shifted.dtype]).toEqual([[1, 3], [], "f32"]);
  expect(await double.toArray()).toEqual([[2, 4, 6]]);
  expect(await parts[0].item()).toBe(6);
  expect(await parts[1].shifted.toArray()).toEqual([[2, 3, 4]]);
  const awaited = await f(tensor([[1, 2, 3]]));
  expect(await awaited.double.at(0).at(-1).item()).toBe(6);
});

test("sizes that differ between calls are those of the arguments", async () => {
  const f = compile((x: F, y: F) => [concat([x, y]), reshape(matmul(x, y, { transposeB: true }), [-1])] as const, {
    symbolicSizes: [
      ["N", null],
      ["M", null],
    ],
  });
  for (const [n, m] of [
    [2, 3],
    [1, 4],
  ]) {
    const [joined, products] = f(ones([n, 2]), ones([m, 2]));
    expect([joined.shape, products.shape]).toEqual([[n + m, 2], [n * m]]);
    expect(await products.read()).toEqual(new Float32Array(n * m).fill(2));
  }
});

test("a result is an argument of the next call before it is computed, small or large, and of eager functions", async () => {
  const next = compile((x: F) => add(x, 1));
  for (const size of [1, 100, 100_000]) {
    let x: F = zeros([size]);
    for (let i = 0; i < 20; i++) x = next(x);
    expect((await x.read())[size - 1]).toBe(20);
    expect(await sum(mul(next(x), 2)).item()).toBe(42 * size);
  }
  const held = next(tensor([4]));
  const captures = compile((x: F) => mul(x, held));
  expect(await captures(tensor([2])).item()).toBe(10);
});

test("errors of tracing are thrown at the call, those of a run to all who read its results, as often as they do", async () => {
  const product = compile((x: F) => matmul(x, x));
  expect(() => product(zeros([2, 3]))).toThrow(ShapeError);
  await expect(product.run(zeros([2, 3]))).rejects.toThrow(ShapeError);
  const f = look();
  const wrong = f(at(7));
  await expect(wrong.read()).rejects.toThrow(/check the indices/);
  await expect(wrong.item()).rejects.toThrow(/check the indices/);
  await expect(sum(wrong).item()).rejects.toThrow(/check the indices/);
  await expect(f.run(at(7))).rejects.toThrow(/check the indices/);
  expect(await f(at(1)).item()).toBe(20);
  await f.finished(); // everybody was told
});

test("what is computed from a result that failed fails too", async () => {
  const f = look();
  const twice = compile((x: F) => mul(x, 2));
  await expect(twice(f(at(9))).item()).rejects.toThrow(/check the indices/);
  const large = compile((indices: I) => gather(zeros([3, 100_000]), indices));
  const rows = compile((x: F) => sum(x));
  await expect(rows(large(at(9))).item()).rejects.toThrow(/out of|indices/);
});

test("an error of which nobody was told waits for `finished`, and is told once", async () => {
  const f = look();
  f(at(9));
  f(at(0));
  f(at(8));
  await expect(f.finished()).rejects.toThrow(/check the indices/);
  await f.finished();
});

test("who reads state is told that a run did not write it, once; it goes on from before", async () => {
  const state = new Variable({ dtype: "f32", shape: [3] }, Float32Array.of(1, 2, 3));
  const step = compile((indices: I) => state.assign(add(state, gather(state, indices))));
  step(at(0));
  step(at(99));
  step(at(2));
  await expect(state.read()).rejects.toThrow(/check the indices/);
  expect(await state.read()).toEqual(Float32Array.of(6, 7, 8)); // + 1, + 4
  step(at(99));
  await expect(sum(state).item()).rejects.toThrow(/check the indices/);
  await expect(step.run(at(99))).rejects.toThrow(/check the indices/);
  expect(await sum(state).item()).toBe(21);
});

test("reading and setting a variable has its turn among the calls of all functions", async () => {
  const state = new Variable({ dtype: "f32", shape: [] }, Float32Array.of(1));
  const double = compile(() => state.assign(mul(state, 2)));
  const append = compile((digit: F) => state.assign(add(mul(state, 10), digit)));
  const slow = sum(zeros([300, 300])).add(7); // still to be computed
  append(slow); // 17
  double(); // 34
  const first = state.item();
  state.set(Float32Array.of(5));
  const second = add(state, 1).item();
  append(1); // 51
  expect(await Promise.all([first, second, state.item()])).toEqual([34, 6, 51]);
});

test("an argument that is a variable is its value at the call", async () => {
  const state = new Variable({ dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
  const step = compile((x: F) => {
    state.assign(mul(state, 10));
    return add(x, state);
  });
  expect(await step(state).toArray()).toEqual([11, 22]);
  expect(await state.toArray()).toEqual([10, 20]);
});

test("a result that is freed before it is there, and functions that are freed behind their calls", async () => {
  const f = compile((x: F) => add(x, 1));
  const x = zeros([200_000]);
  const [kept, freed] = [f(x), f(x)];
  freed.dispose();
  f.dispose();
  expect((await kept.read())[9]).toBe(1);
  await expect(freed.read()).rejects.toThrow(/was disposed/);
});

describe("a tensor that is disposed of", () => {
  const size = 100_000; // more than comes back with the run
  const next = compile((x: F) => add(x, 1));
  const last = async (x: F) => (await x.read())[size - 1];
  const bufferOf = (x: F) => (x.ir.node.op as Leaf).buffer as DeviceBuffer;

  /** The buffers that are freed while `act` runs and until all that waits for them is over. */
  async function freed(act: () => Promise<void>): Promise<number[]> {
    const notify = vi.spyOn(Connection.prototype, "notify");
    try {
      await act();
      await next.finished();
      return notify.mock.calls.flatMap(([request]) =>
        "kind" in request && request.kind === "free" ? request.buffers : [],
      );
    } finally {
      notify.mockRestore();
    }
  }

  test("is there for the calls made before, however many wait, and its memory is free behind them", async () => {
    const results: F[] = [next(zeros([size]))];
    const buffers = await freed(async () => {
      for (let i = 0; i < 200; i++) {
        results.push(next(results[i]));
        results[i].dispose();
      }
      expect(await last(results[200])).toBe(201);
    });
    const before = results.slice(0, 200).map((x) => bufferOf(x).id);
    expect(new Set(before).size).toBe(200);
    expect(buffers.filter((id) => before.includes(id)).sort()).toEqual(before.sort()); // each once
    expect(buffers).not.toContain(bufferOf(results[200]).id);
    results[200].dispose();
    await expect(results[200].read()).rejects.toThrow(/was disposed/);
  });

  test("is there for calls that wait for an argument, take what is computed from it, or captured it", async () => {
    const x = next(zeros([size]));
    const captures = compile((y: F) => add(x, y));
    const slow = sum(zeros([300, 300])).add(7); // still to be computed
    const results = [captures(slow), captures(x), next(mul(x, 3)), compile((y: F, z: F) => mul(y, z))(x, slow)];
    x.dispose();
    expect(await Promise.all(results.map(last))).toEqual([8, 2, 4, 7]);
    await expect(x.read()).rejects.toThrow(/was disposed/);
    await expect(next.run(x)).rejects.toThrow(/was disposed/);
  });

  test("is there for those who read it, or what is computed from it, already", async () => {
    for (let count = 0; count < 40; count += 13) {
      const x = Array.from({ length: count }).reduce<F>((before) => next(before), next(zeros([size])));
      const readings = [x.read(), mul(x, 2).read(), readTensors([x, sum(x)]).then(([numbers]) => numbers)];
      const buffers = await freed(async () => {
        x.dispose();
        const numbers = await Promise.all(readings);
        expect(numbers.map((each) => each[size - 1])).toEqual([count + 1, 2 * (count + 1), count + 1]);
      });
      expect(buffers).toContain(bufferOf(x).id);
    }
  });

  test("and whose run fails leaves nothing, and holds up nobody", async () => {
    const rows = compile((indices: I) => gather(zeros([3, size]), indices));
    const wrong = rows(at(9));
    const after = next(wrong);
    wrong.dispose();
    await expect(after.read()).rejects.toThrow(/indices/);
    expect(await last(next(zeros([size])))).toBe(1);
  });
});

test("a call inside a traced function is a part of that", async () => {
  const scaled = compile((x: F, factor: F) => mul(x, factor));
  const f = compile((x: F) => grad(sum(scaled(mul(x, x), 3)), [x])[0]);
  const before = defaultDevice().compiledCount;
  expect(await f(tensor([1, 2])).toArray()).toEqual([6, 12]);
  expect(defaultDevice().compiledCount).toBe(before + 1);
  let inside: Promise<unknown> | undefined;
  compile((x: F) => {
    inside = scaled.run(x, 2);
    inside.catch(() => {});
    return x;
  })(tensor([1]));
  await expect(inside).rejects.toThrow(GraphError);
});

test("ten thousand calls that do not wait run in order, and hold no copies of what they wait with", async () => {
  const total = new Variable({ dtype: "f32", shape: [] }, Float32Array.of(0));
  const batch = tensor(new Float32Array(20_000).fill(1));
  const step = compile((x: F) => {
    const loss = sum(x);
    total.assign(add(total, mul(loss, 1 / 20_000)));
    return loss;
  });
  await step.run(batch);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 10_000; i++) step(batch);
  const queued = process.memoryUsage().rss - before;
  expect(await total.item()).toBe(10_001);
  expect(queued).toBeLessThan(100e6); // copies of the arguments would be 800 MB
  expect(process.memoryUsage().rss - before).toBeLessThan(150e6);
});
