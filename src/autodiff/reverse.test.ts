import { expect, test } from "vitest";
import { Graph, placeholder, symbol, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { gradients, pullBack } from "./index.ts";

const input = (shape: Value["shape"], label = "x") => placeholder(label, { dtype: "f32", shape });
const numbers = (shape: readonly number[], values: readonly number[]) => ops.constantOf(values, shape, "f32");
const valuesOf = (value: Value) => Array.from(ops.evaluate([value], new Map())[0].data);
const namesOf = (values: readonly Value[], inputs: readonly Value[]) =>
  new Graph(inputs, values).nodes.map(({ op }) => op.name);

test("contributions are summed back to the shape of a broadcast input", () => {
  const row = numbers([3], [1, 2, 3]);
  const column = numbers([2, 1], [10, 20]);
  const [dRow, dColumn] = gradients(ops.sum(ops.mul(row, column)), [row, column]);
  expect([dRow.shape, valuesOf(dRow)]).toEqual([[3], [30, 30, 30]]);
  expect([dColumn.shape, valuesOf(dColumn)]).toEqual([
    [2, 1],
    [6, 6],
  ]);
});

test("sizes that are known later are summed over too", () => {
  const x = input([symbol("B"), 3]);
  const bias = input([3], "bias");
  const [gradient] = gradients(ops.sum(ops.add(x, bias)), [bias]);
  expect(gradient.shape).toEqual([3]);
});

test("a contribution that is the same along an axis is stretched to its input before it goes on", () => {
  // the mean of a row is an output of layerNorm: alone it gives a gradient of [N, 1], which has to reach [3]
  const row = numbers([3], [1, 2, 3]);
  const x = ops.add(numbers([2, 3], [0, 0, 0, 0, 0, 0]), row);
  const [, mean] = ops.layerNorm(x, numbers([3], [1, 1, 1]), numbers([3], [0, 0, 0])).node.outputs;
  const [gradient] = gradients(ops.sum(mean), [row]);
  expect(gradient.shape).toEqual([3]);
  for (const value of valuesOf(gradient)) expect(value).toBeCloseTo(2 / 3, 6); // two rows, each with a third
});

test("an entry whose gradient has a shape that does not fit is named", () => {
  const wrong = ops.defineOp({
    name: "wrong",
    precision: "any",
    batch: "elementwise",
    inputs: ["x"],
    infer: ({ x }) => x,
    gradient: ({ dy }) => ({ x: ops.reshape(dy, [3, 2]) }),
    lower: (graph, { x }) => graph.node("Identity", [x]),
    reference: ({ x }) => x,
  });
  const x = input([2, 3]);
  const y = ops.withScope("head", () => ops.apply(wrong, [x]));
  expect(() => gradients(ops.sum(y), [x])).toThrow(
    /gradient of wrong in grad\(head\): expected a gradient of f32\[2, 3\]/,
  );
});

test("of several outputs each that has an influence contributes", () => {
  const x = numbers([4], [1, 2, 3, 4]);
  const [left, right] = ops.split(x, 2);
  const [both] = gradients(ops.sum(ops.add(ops.mul(left, 2), ops.mul(right, 3))), [x]);
  expect(valuesOf(both)).toEqual([2, 2, 3, 3]);
  const [one] = gradients(ops.sum(ops.mul(right, 3)), [x]);
  expect(valuesOf(one)).toEqual([0, 0, 3, 3]);
});

test("nothing is computed for inputs that lead to no target", () => {
  const [x, w] = [input([2, 2]), input([2, 2], "w")];
  const [dw] = pullBack([ops.matmul(x, w)], [input([2, 2], "dy")], [w]);
  expect(namesOf([dw as Value], (dw as Value).node.inputs).filter((name) => name === "matmul")).toHaveLength(1);
});

test("a target that is used twice gets the sum of its contributions", () => {
  const x = numbers([], [3]);
  expect(valuesOf(gradients(ops.add(ops.mul(x, x), x), [x])[0])).toEqual([7]);
});
