/** What a variable holds after `set`, and after it is made, with a value that depends on variables and results. */
import { expect, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { add, compile, gather, mul, type Tensor, tensor, Variable, zeros } from "./index.ts";

type F = Tensor<"f32">;

const variable = (...numbers: number[]) =>
  new Variable({ name: "w", dtype: "f32", shape: [numbers.length] }, Float32Array.from(numbers));
const many = (x: number) =>
  new Variable({ name: "w", dtype: "f32", shape: [100_000] }, new Float32Array(100_000).fill(x));
const growing = (state: Variable<"f32">) => compile(() => state.assign(add(state, 1)));

test.each(["on a device", "not yet on a device"])(
  "a value that depends on variables %s is that of the call",
  async (where) => {
    const [weight, best, twice] = [variable(1, 2, 3), variable(0, 0, 0), variable(0, 0, 0)];
    const step = growing(weight);
    if (where === "on a device") step();
    const first = where === "on a device" ? [2, 3, 4] : [1, 2, 3];
    best.set(weight);
    twice.set(mul(weight, 2));
    const copy = new Variable({ dtype: "f32", shape: [3] }, weight);
    step();
    step();
    expect(await best.toArray()).toEqual(first);
    expect(await twice.toArray()).toEqual(first.map((x) => 2 * x));
    expect(await copy.toArray()).toEqual(first);
    expect(await add(copy, best).toArray()).toEqual(first.map((x) => 2 * x));
    expect(await weight.toArray()).toEqual(first.map((x) => x + 2));
  },
);

test.each([true, false])("a variable can be set to what depends on itself (on a device: %s)", async (isOnDevice) => {
  const [a, b] = [variable(1, 2, 3), variable(4, 5, 6)];
  if (isOnDevice) await compile(() => [a, b].map((state) => state.assign(mul(state, 1)))).run();
  a.set(mul(a, 0.5));
  a.set(a);
  expect(await a.toArray()).toEqual([0.5, 1, 1.5]);
  b.set(add(a, b));
  a.set(b);
  b.set(a);
  b.set(mul(b, 2));
  expect(await a.toArray()).toEqual([4.5, 6, 7.5]);
  expect(await b.toArray()).toEqual([9, 12, 15]);
});

test("a value set in 16 bits, or of numbers that are changed afterwards, is that of the call too", async () => {
  const narrow = new Variable({ dtype: "f32", shape: [2], stored: "bf16" }, Float32Array.of(1, 257));
  narrow.set(mul(narrow, 2));
  expect(await narrow.toArray()).toEqual([2, 512]);
  const copy = new Variable({ dtype: "f32", shape: [2], stored: "bf16" }, narrow);
  narrow.set(Float32Array.of(0, 0));
  expect(await copy.toArray()).toEqual([2, 512]);
});

test("a value that is on no device yet is computed on the one that uses it", async () => {
  const device = new Device();
  const [weight, average] = [variable(1, 2), variable(0, 0)];
  average.set(mul(weight, 3));
  const copy = new Variable({ dtype: "f32", shape: [2] }, weight);
  const sum = compile(() => add(add(average, copy), weight), { device });
  expect(await sum().toArray()).toEqual([5, 10]);
  await device.close();
});

test("a result that is disposed of after it was set stays the value", async () => {
  const next = compile((x: F) => add(x, 1));
  const state = many(0);
  const result = next(many(1) as F);
  state.set(result);
  result.dispose();
  expect((await state.read())[99_999]).toBe(2);
});

test("set is refused in a traced function, and the variable is as it was", async () => {
  const state = variable(1);
  const wrong = compile((x: F) => {
    state.set(x);
    return state.value;
  });
  expect(() => wrong(tensor([5]))).toThrow(/^set of w: expected .*outside .*use assign/s);
  expect(await state.toArray()).toEqual([1]);
});

test("the error of a value that could not be computed is told to who reads the variable, which is as before", async () => {
  const [source, state] = [variable(1, 2), variable(7, 8)];
  await growing(source).run();
  const table = zeros([4, 2]);
  const look = compile((at: Tensor<"i32">) => gather(table, at, 0).reshape([2]));
  state.set(look(tensor(Int32Array.of(99))));
  await expect(state.read()).rejects.toThrow(/^gather: /);
  expect(await state.toArray()).toEqual([7, 8]);

  const fail = compile((at: Tensor<"i32">) => source.assign(add(source, gather(table, at, 0).reshape([2]))));
  fail(tensor(Int32Array.of(99)));
  state.set(source);
  await expect(state.read()).rejects.toThrow(/^gather: /);
  expect(await state.toArray()).toEqual([2, 3]);
});
