/** Sizes, parts and numbers of tensors, and variables in the places of tensors. */
import { expect, expectTypeOf, test } from "vitest";
import { ShapeError } from "../base/index.ts";
import { add, compile, grad, matmul, mul, oneHot, scan, slice, sum, type Tensor, tensor, Variable } from "./index.ts";

type F = Tensor<"f32">;

const x = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);

test("size gives a number, or an error that names what has no such axis", () => {
  expectTypeOf(x.size(0)).toEqualTypeOf<number>();
  expect([x.size(0), x.size(1), x.size(-1), x.size(-2)]).toEqual([2, 3, 3, 2]);
  expect(() => x.size(2)).toThrow(/^size: .*axis/);
  const f = compile(
    (x: F) => {
      const y = mul(x, 2);
      expect(y.size(1)).toBe(3);
      expect(() => x.size(0)).toThrow(/^size of argument 0: .*axis 0.*f32\[N, 3\]/);
      expect(() => y.size(-2)).toThrow(/^size of mul: expected a size of axis -2 that is known/);
      return y;
    },
    { symbolicSizes: [["N", null]] },
  );
  expect(f(x).size(0)).toBe(2);
});

test("at takes one of an axis, from either end, or those that a tensor names", async () => {
  expect(await x.at(0).toArray()).toEqual([1, 2, 3]);
  expect(await x.at(-1).toArray()).toEqual([4, 5, 6]);
  expect(await x.at(1, 1).toArray()).toEqual([2, 5]);
  expect(await x.at(-3, -1).toArray()).toEqual([1, 4]);
  expect(await x.at(1).at(2).item()).toBe(6);
  expect(await x.at(tensor([1, 1, 0], { dtype: "i32" })).toArray()).toEqual([
    [4, 5, 6],
    [4, 5, 6],
    [1, 2, 3],
  ]);
  expect(await x.at(tensor([[2], [0]], { dtype: "i64" }), 1).toArray()).toEqual([
    [[3], [1]],
    [[6], [4]],
  ]);
  expect(await x.at(tensor(-1, { dtype: "i32" })).toArray()).toEqual([4, 5, 6]);
  expect(await grad(sum(x.at(-1, 1)), [x])[0].toArray()).toEqual([
    [0, 0, 1],
    [0, 0, 1],
  ]);
  for (const wrong of [() => x.at(2), () => x.at(-3), () => x.at(3, 1), () => x.at(0.5), () => tensor(1).at(0)])
    expect(wrong).toThrow(ShapeError);
});

test("slices are of the first axis unless another is named", async () => {
  expect(await x.slice({ end: -1 }).toArray()).toEqual([[1, 2, 3]]);
  expect(await slice(x, { start: -1 }).toArray()).toEqual([[4, 5, 6]]);
  expect(await x.slice({ axis: -1, start: 1 }).toArray()).toEqual([
    [2, 3],
    [5, 6],
  ]);
  expect(() => x.slice({ strat: 1 } as never)).toThrow(/did you mean "start"/);
});

test("an axis of symbolic size has a first and a last", async () => {
  const f = compile((x: F) => [x.at(0), x.at(-1), x.slice({ start: 1 })] as const, { symbolicSizes: [["N", null]] });
  const [first, last, rest] = f(x);
  expect([await first.toArray(), await last.toArray(), await rest.toArray()]).toEqual([
    [1, 2, 3],
    [4, 5, 6],
    [[4, 5, 6]],
  ]);
});

test("nested numbers have the type that is named", async () => {
  const rows = await x.toArray<number[][]>();
  expectTypeOf(rows).toEqualTypeOf<number[][]>();
  expect(rows[1][2]).toBe(6);
});

test("a variable stands where functions take a tensor, with its methods", async () => {
  const w = new Variable({ dtype: "f32", shape: [3, 1] }, Float32Array.of(1, 2, 3));
  expectTypeOf(matmul(x, w)).toEqualTypeOf<Tensor<"f32">>();
  expectTypeOf(add(w, 1)).toEqualTypeOf<Tensor<"f32">>();
  expectTypeOf(w).toExtend<Tensor<"f32">>();
  // @ts-expect-error f32 times i32
  const wrong = () => mul(w, tensor([1], { dtype: "i32" }));
  expect(wrong).toThrow(/same dtype/);
  expect(await matmul(x, w).toArray()).toEqual([[14], [32]]);
  expect(await w.mul(2).at(-1).item()).toBe(6);
  expect([w.size(0), w.rank, String(w)]).toEqual([3, 2, "Tensor(f32[3, 1])"]);
  const step = compile((x: F) => {
    const before = w.value;
    w.assign(add(w, 1));
    w.assign(add(w, 1)); // of what was assigned
    const { ys } = scan((total: F, row: F) => ({ carry: add(total, row), y: sum(matmul(row.reshape([1, 3]), w)) }), {
      init: before.reshape([3]),
      xs: x,
    });
    return { before: sum(before), after: sum(w), ys, gradients: grad(sum(matmul(x, w)), [w]) };
  });
  const { before, after, ys, gradients } = step(x);
  expect([await before.item(), await after.item(), await ys.toArray()]).toEqual([6, 12, [26, 62]]);
  expect(await gradients[0].toArray()).toEqual([[5], [7], [9]]);
  expect(await w.toArray()).toEqual([[3], [4], [5]]);
});

test("shapes that cannot be are refused", () => {
  for (const shape of [
    [-2, -3],
    [1.5, 4],
    [6, Number.NaN],
    ["2", 3],
    [-1, 6],
  ] as number[][])
    expect(() => tensor(new Float32Array(6), { shape })).toThrow(/tensor: expected sizes that are integers/);
  const x = tensor(new Float32Array(6));
  for (const shape of [
    [-1, -1],
    [1.5, 4],
    [-2, -3],
    [-2, -1],
    ["2", 3],
    [undefined, 6],
  ] as number[][]) {
    expect(() => x.reshape(shape)).toThrow(ShapeError);
    expect(() => x.reshape(shape)).toThrow(/reshape: expected sizes that are integers of at least 0, of which one/);
  }
  expect(x.reshape([-1, 2]).shape).toEqual([3, 2]);
  expect(tensor([], { shape: [0, 3] }).reshape([3, 0]).shape).toEqual([3, 0]);
});

test("oneHot refuses a depth that is none", async () => {
  const indices = tensor([0, 1], { dtype: "i32" });
  for (const depth of [-1, 1.5, Number.NaN, "3", undefined, null] as number[])
    expect(() => oneHot(indices, depth)).toThrow(/oneHot: expected a depth that is an integer of at least 0/);
  expect(oneHot(indices, 0).shape).toEqual([2, 0]);
});

test("oneHot is as wide as a size that is known when the function runs", async () => {
  const f = compile((ids: Tensor<"i32">) => oneHot(ids, ids.shape[0]), { symbolicSizes: [["N"]] });
  const ids = tensor([2, 0, 1], { dtype: "i32" });
  expect(await f(ids).toArray()).toEqual([
    [0, 0, 1],
    [1, 0, 0],
    [0, 1, 0],
  ]);
  expect(await f(slice(ids, { axis: 0, start: 1 })).toArray()).toEqual([
    [1, 0],
    [0, 1],
  ]);
});
