/**
 * Convolutions in blocks of channels agree with the plain reference, and blocks are used where channels come in whole
 * ones.
 */
import { expect, test } from "vitest";
import { pullBack } from "../autodiff/index.ts";
import { Graph, placeholder, type Value } from "../ir/index.ts";
import { parseModel, writeOnnx } from "../lower/format.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { expectClose } from "../testing/close.ts";
import { type ConvOptions, conv, evaluate, hostTensor, mul, scalar, sum } from "./index.ts";

const numbersOf = (shape: readonly number[], seed: number) =>
  Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    (_, j) => 0.3 * Math.sin(seed + 2.3 * j + 0.1 * j * j),
  );

type Case = { x: number[]; weight: number[]; bias?: boolean; options?: ConvOptions };
const cases: Record<string, Case> = {
  "3 x 3": { x: [16, 16, 5, 6], weight: [32, 16, 3, 3], bias: true, options: { padding: 1 } },
  "without padding": { x: [16, 32, 5, 4], weight: [16, 32, 2, 3] },
  "a stride": { x: [16, 16, 6, 8], weight: [16, 16, 3, 3], options: { stride: 2, padding: 1 } },
  "a stride that leaves positions out": { x: [16, 16, 6, 7], weight: [16, 16, 3, 2], options: { stride: [2, 3] } },
  "a stride and odd sizes": { x: [16, 16, 7, 5], weight: [16, 16, 3, 3], options: { stride: 2, padding: 1 } },
  "a point": { x: [16, 32, 4, 4], weight: [16, 32, 1, 1] },
  "a point with a stride": { x: [16, 16, 5, 4], weight: [32, 16, 1, 1], options: { stride: 2 } },
  "a dilation": { x: [16, 16, 7, 7], weight: [16, 16, 3, 3], options: { dilation: 2, padding: [1, 2] } },
  "a dilation and a stride": {
    x: [16, 16, 9, 8],
    weight: [16, 16, 3, 3],
    options: { dilation: 2, stride: 2, padding: 2 },
  },
  "padding on one side": {
    x: [16, 16, 4, 4],
    weight: [16, 16, 3, 3],
    options: {
      padding: [
        [0, 2],
        [1, 0],
      ],
    },
  },
  "more padding than kernel": { x: [16, 16, 3, 3], weight: [16, 16, 2, 2], options: { padding: 3 } },
  "few input channels": { x: [16, 3, 9, 9], weight: [16, 3, 5, 5], bias: true, options: { stride: 2, padding: 2 } },
  "few examples": { x: [3, 16, 5, 5], weight: [16, 16, 3, 3], options: { padding: 1 } },
  "channels that do not come in blocks": { x: [16, 20, 4, 4], weight: [12, 20, 3, 3] },
};

/** The convolution, and its gradients when each element of the result weighs differently. */
function build({ options }: Case, [x, kernel, ...bias]: readonly Value[]): Value[] {
  const y = conv(x, kernel, bias[0], options);
  const loss = sum(mul(y, mul(y, 0.5)));
  const operands = [x, kernel, ...bias];
  return [y, ...(pullBack([loss], [scalar(1, "f32")], operands) as Value[])];
}

test.each(Object.entries(cases))("%s", async (_, example) => {
  const shapes = [example.x, example.weight, ...(example.bias ? [[example.weight[0]]] : [])];
  const numbers = shapes.map((shape, i) => numbersOf(shape, i));
  const leaves = shapes.map((shape, i) => fromLeaf(new DataLeaf("f32", shape, { host: numbers[i] })).ir);
  const values = build(example, leaves);
  const plain = evaluate(values, new Map(leaves.map((leaf, i) => [leaf, hostTensor(shapes[i], numbers[i])] as const)));
  const computed = await readValues(values);
  for (const [i, data] of computed.entries()) expectClose(["y", "dx", "dW", "db"][i], data, plain[i].data, 2e-5);
});

/** How many of conv, its input's and its weight's gradient are computed in blocks. */
function countBlocked(example: Case, channelBlock: number): number {
  const leaves = [example.x, example.weight].map((shape) => placeholder("x", { dtype: "f32", shape }));
  const { bytes } = writeOnnx(new Graph(leaves, build(example, leaves)), { channelBlock });
  const nodes = parseModel(bytes).graph?.node ?? [];
  return new Set(
    nodes.filter(({ domain }) => domain === "com.microsoft.nchwc").map(({ name }) => name.split("/").at(-2)),
  ).size;
}

test("blocks are used for value and gradients when channels come in whole ones, and only on devices that have them", () => {
  expect(countBlocked(cases["a stride"], 16)).toBe(3);
  expect(countBlocked(cases["a stride"], 8)).toBe(3);
  expect(countBlocked(cases["a stride"], 0)).toBe(0);
  expect(countBlocked(cases["few input channels"], 16)).toBe(2);
  expect(countBlocked(cases["channels that do not come in blocks"], 16)).toBe(0);
});
