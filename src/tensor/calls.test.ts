/** How compiled functions are called: the order of calls, numbers among the arguments, names in errors. */
import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { GraphError, ShapeError } from "../base/index.ts";
import {
  add,
  compile,
  defaultDevice,
  div,
  gather,
  greater,
  matmul,
  mul,
  type Tensor,
  tensor,
  Variable,
  where,
  withScope,
  zeros,
} from "./index.ts";

type F = Tensor<"f32">;

test("calls that do not wait for each other run in order, whatever is still to be computed for them", async () => {
  const state = new Variable({ dtype: "f32", shape: [] }, Float32Array.of(0));
  const append = compile((digit: F) => {
    const next = add(mul(state.value, 10), digit);
    state.assign(next);
    return next;
  });
  const slow = mul(add(zeros([300, 300]), 1), 1)
    .sum()
    .div(90_000); // 1, still to be computed
  const results = [append(slow), append(2), append(mul(tensor(3), 1)), append(4)];
  expect(await Promise.all(results.map((result) => result.item()))).toEqual([1, 12, 123, 1234]);
});

test("a call that fails does not hold up those behind it", async () => {
  const twice = compile((x: F) => matmul(x, x));
  const [wrong, fine] = await Promise.allSettled([twice.run(zeros([2, 3])), twice.run(tensor([[2]]))]);
  expect(wrong).toMatchObject({ status: "rejected", reason: expect.any(ShapeError) });
  expect(await (fine as PromiseFulfilledResult<F>).value.item()).toBe(4);
});

const patterns = Array.from({ length: 5 }, (_, n) =>
  Array.from({ length: 2 ** (n + 1) }, (_, bits) => bits.toString(2).padStart(n + 1, "0")),
).flat();

test.each(patterns)(
  "of calls that do not wait, some of which fail (%s), the state holds what those did that did not",
  async (pattern) => {
    const state = new Variable({ dtype: "f32", shape: [4] }, new Float32Array(4));
    const step = compile((at: Tensor<"i32">) => {
      const row = gather(state.value, at, 0);
      state.assign(add(state.value, 1)); // does not wait for the lookup, so that the variable has two buffers
      return row;
    });
    const at = (index: number) => tensor(Int32Array.of(index));
    await step(at(0));
    const settled = await Promise.allSettled([...pattern].map((digit) => step.run(at(digit === "1" ? 2 : 99))));
    const done = settled.filter(({ status }) => status === "fulfilled").length;
    expect(await state.read()).toEqual(new Float32Array(4).fill(1 + done));
    await step(at(1));
    expect(await state.read()).toEqual(new Float32Array(4).fill(2 + done));
    step.dispose();
  },
);

test("a call that makes a NaN takes its own change back, and no other's", async () => {
  const state = new Variable({ dtype: "f32", shape: [] }, Float32Array.of(1));
  const step = compile(
    (x: F) => {
      const next = add(state.value, div(x, x));
      state.assign(next);
      return next;
    },
    { debugNans: true },
  );
  const settled = await Promise.allSettled([0, 5, 0, 7].map((x) => step.run(x)));
  expect(settled.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected", "fulfilled"]);
  expect(await state.read()).toEqual(Float32Array.of(3));
});

test("functions that are called at once put a first value on the device once, and a value set meanwhile stays", async () => {
  const make = (value: number) => new Float32Array(100_000).fill(value);
  const state = new Variable({ dtype: "f32", shape: [100_000] }, make(0));
  const [one, ten] = [1, 10].map((n) => compile(() => state.assign(add(state.value, n))));
  one();
  ten();
  expect((await state.read())[0]).toBe(11);
  for (let ticks = 0; ticks < 12; ticks++) {
    state.set(make(0));
    const running = one.run();
    for (let i = 0; i < ticks; i++) await null;
    state.set(make(100));
    await running;
    expect([100, 101]).toContain((await state.read())[0]);
  }
});

test("numbers are no parameters of a traced function: they are tensors there", async () => {
  // @ts-expect-error a number would be a tensor while the function is traced
  const branching = compile((x: F, n: number) => (n > 3 ? mul(x, 100) : x));
  // @ts-expect-error inside of objects too
  compile((x: F, { rate }: { rate: number }) => mul(x, rate));
  await expect(branching.run(tensor([1]), 5)).rejects.toThrow(
    /^tensor: expected a function of tensors.*operator of JavaScript/,
  );
  const chosen = compile((x: F, { n }: { n: F }, mode: "a" | "b", isOn: boolean) =>
    isOn && mode === "a" ? where(greater(n, 3), mul(x, 100), x) : x,
  );
  expect(await chosen(tensor([1]), { n: tensor(5) }, "a", true).item()).toBe(100);
});

test("a function among the arguments is part of what is compiled, by its identity", async () => {
  let traces = 0;
  const apply = compile((x: F, { change }: { change: (x: F) => F }) => {
    traces++;
    return change(x);
  });
  const times = (factor: number) => ({ change: (x: F) => mul(x, factor) });
  const [double, tenfold] = [times(2), times(10)];
  expect(await apply(3, double).item()).toBe(6);
  expect(await apply(3, tenfold).item()).toBe(30);
  expect(await apply(4, double).item()).toBe(8);
  expect(traces).toBe(2);
});

test("names of fields and texts do not run together, whatever is in them", async () => {
  const odd = compile((x: Record<string, F>) => tensor(Object.keys(x).length));
  expect(await odd({ a: 1, b: 2 } as never).item()).toBe(2);
  expect(await odd({ "a:number,b": 5 } as never).item()).toBe(1);
  expect(await odd({ 'a":number,"b': 5 } as never).item()).toBe(1);
});

test.each([Symbol("s"), 5n])("an argument that is neither tensor nor part of a function is refused: %s", (x) => {
  expect(() => compile((a: F, _: unknown) => a)(tensor([1]), x)).toThrow(/^call of a compiled function: expected/);
});

test("an asynchronous function is refused, also inside of another, and leaves no rejection behind", async () => {
  const failing = compile(async (x: F) => Promise.reject(new Error(`of its own: ${x}`)));
  const refusal = /^compile: expected a synchronous function/;
  const unhandled: unknown[] = [];
  const note = (cause: unknown) => unhandled.push(cause);
  process.on("unhandledRejection", note);
  expect(() => failing(tensor([1]))).toThrow(refusal);
  expect(() => failing(tensor([1]))).toThrow(GraphError);
  expect(() => failing.graph(tensor([1]))).toThrow(refusal);
  const outer = compile((x: F) => {
    failing(x);
    return x;
  });
  expect(() => outer(tensor([1]))).toThrow(refusal);
  await new Promise((resolve) => setTimeout(resolve, 5));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

test("any number of calls can have one signal", async () => {
  const next = compile((x: F) => add(x, 1));
  await next.run(tensor([0]));
  const { signal } = new AbortController();
  const warnings: unknown[] = [];
  const note = (warning: unknown) => warnings.push(warning);
  process.on("warning", note);
  await Promise.all(Array.from({ length: 24 }, () => next.withSignal(signal)(tensor([1]))));
  await new Promise((resolve) => setTimeout(resolve, 5));
  process.off("warning", note);
  expect(warnings).toEqual([]);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("an error in a part of a model names that part, once", () => {
  const run = () => withScope("h.17", () => withScope("attn", () => matmul(zeros([2, 3]), zeros([4, 5]))));
  expect(run).toThrow(/^matmul in h\.17\.attn: expected/);
  expect(run).toThrow(ShapeError);
  try {
    run();
  } catch (error) {
    expect((error as ShapeError).where).toBe("matmul in h.17.attn");
    expect((error as ShapeError).stack).toContain("matmul in h.17.attn: expected");
  }
  expect(() => withScope("head", () => mul(zeros([2]), zeros([3])))).toThrow(/^mul in head: /);
});

test("a function can be compiled before its first call, and tells what is wrong then", async () => {
  let traced = 0;
  const next = compile((x: F) => {
    traced++;
    return add(x, 1);
  });
  const graphs = defaultDevice().compiledCount;
  await Promise.all([next.prepare(zeros([5])), next.prepare(zeros([5]))]);
  expect([traced, defaultDevice().compiledCount - graphs]).toEqual([1, 1]);
  expect(await (await next.run(tensor([1, 2, 3, 4, 5]))).toArray()).toEqual([2, 3, 4, 5, 6]);
  expect(traced).toBe(1);
  await next.prepare(zeros([6]));
  expect(traced).toBe(2);
  const wrong = compile((x: F) => matmul(x, zeros([4, 5])));
  await expect(wrong.prepare(zeros([2, 3]))).rejects.toThrow(ShapeError);
  const refused = compile((x: F) => {
    refusal = next.prepare(x);
    refusal.catch(() => {});
    return x;
  });
  let refusal: Promise<void> = Promise.resolve();
  await refused.run(zeros([5]));
  await expect(refusal).rejects.toThrow(/without run, prepare or withSignal/);
});
