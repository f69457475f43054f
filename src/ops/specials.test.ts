/**
 * NaN, infinities, large integers and nothing at all: folded and compiled graphs give the same. The whole table is in
 * specials.slow.test.ts.
 */
import { expect, test } from "vitest";
import { type DType, hostArrayFrom } from "../base/index.ts";
import { constantValue, type Value } from "../ir/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import * as ops from "./index.ts";

type Input = readonly [dtype: DType, values: readonly (number | bigint)[]];
const big = 2n ** 53n + 1n;
const least = -(2n ** 63n);
const gather = (x: Value) => ops.gather(x, ops.vector([0]));

const cases: [name: string, run: (x: Value, y: Value) => Value, inputs: Input[], wanted: (number | bigint)[]][] = [
  ["all of nothing", (x) => ops.all(x), [["bool", []]], [1]],
  ["any of nothing", (x) => ops.any(x), [["bool", []]], [0]],
  ["argmax of NaN", (x) => ops.argmax(x), [["f32", [1, Number.NaN, 3]]], [1n]],
  ["argmin of NaN", (x) => ops.argmin(x), [["f32", [1, Number.NaN, 3]]], [1n]],
  ["sort with NaN", (x) => ops.sort(x).values, [["f32", [3, Number.NaN, 1, 2]]], [1, 2, 3, Number.NaN]],
  ["argsort with NaN", (x) => ops.argsort(x), [["f32", [3, Number.NaN, 1, 2]]], [2n, 3n, 0n, 1n]],
  ["topk with NaN", (x) => ops.topk(x, 2).values, [["f32", [3, Number.NaN, 1, 2]]], [Number.NaN, 3]],
  ["max of NaN", (x) => ops.max(x), [["f32", [1, Number.NaN, 3]]], [Number.NaN]],
  [
    "logAddExp of infinities",
    ops.logAddExp,
    [
      ["f32", [-Infinity, -Infinity, Infinity]],
      ["f32", [-Infinity, 1, Infinity]],
    ],
    [-Infinity, 1, Infinity],
  ],
  [
    "remainder of floats",
    ops.remainder,
    [
      ["f32", [1e8, 123456792, 5, -5]],
      ["f32", [3, 10, Infinity, 3]],
    ],
    [1, 2, 5, 1],
  ],
  [
    "remainder of integers",
    ops.remainder,
    [
      ["i64", [big, 7, -7, least, 5]],
      ["i64", [10, -2, 2, -1, 0]],
    ],
    [3n, -1n, 1n, 0n, 0n],
  ],
  [
    "quotient of integers",
    ops.div,
    [
      ["i32", [7, -7, -(2 ** 31), 5]],
      ["i32", [2, 2, -1, 0]],
    ],
    [3, -3, -(2 ** 31), 0],
  ],
  [
    "add",
    ops.add,
    [
      ["i64", [big - 1n, big]],
      ["i64", [1, 1]],
    ],
    [big, big + 1n],
  ],
  ["neg", ops.neg, [["i64", [big]]], [-big]],
  [
    "equal",
    ops.equal,
    [
      ["i64", [big - 1n]],
      ["i64", [big]],
    ],
    [0],
  ],
  [
    "maximum",
    ops.maximum,
    [
      ["i64", [3037000500n]],
      ["i64", [0n]],
    ],
    [3037000500n],
  ],
  ["max", (x) => ops.max(x), [["i64", [0n, 3037000500n]]], [3037000500n]],
  ["sign", ops.sign, [["i64", [3037000500n, -1n]]], [1n, -1n]],
  ["sum", (x) => ops.sum(x), [["i64", [big - 1n, 1n]]], [big]],
  ["prod", (x) => ops.prod(x), [["i64", [3037000501n, 3037000501n, 1n]]], [BigInt.asIntN(64, 3037000501n ** 2n)]],
  ["sum of i32", (x) => ops.sum(x), [["i32", [2 ** 31 - 1, 1]]], [-(2 ** 31)]],
  ["gather", gather, [["i64", [big, 3]]], [big]],
  ["concat", (x) => ops.concat([x, x]), [["i64", [big]]], [big, big]],
  ["pad", (x) => ops.pad(x, [[1, 0]], { value: 7 }), [["i64", [big]]], [7n, big]],
  ["cast to i64", (x) => ops.cast(x, "i64"), [["f32", [1.9, Number.NaN, Infinity]]], [1n, least, least]],
  [
    "shiftLeft",
    ops.shiftLeft,
    [
      ["i64", [1, 1, 1]],
      ["i64", [40, 64, -1]],
    ],
    [2n ** 40n, 0n, 0n],
  ],
];

test.each(cases)("%s", async (_, run, inputs, wanted) => {
  const hosts = inputs.map(([dtype, values]) => ({
    dtype,
    shape: [values.length],
    host: hostArrayFrom(dtype, values),
  }));
  const constants = hosts.map(({ dtype, shape, host }) => constantValue(host, { dtype, shape }));
  const leaves = hosts.map(({ dtype, shape, host }) => fromLeaf(new DataLeaf(dtype, shape, { host })).ir);
  const [folded, compiled] = await readValues([constants, leaves].map(([x, y]) => run(x, y)));
  expect([...folded], "folded").toEqual(wanted);
  expect([...compiled], "compiled").toEqual(wanted);
});

test("nothing can be ordered", async () => {
  const empty = fromLeaf(new DataLeaf("f32", [0, 3], { host: new Float32Array(0) })).ir;
  expect((await readValues([ops.sort(empty).values]))[0]).toHaveLength(0);
});
