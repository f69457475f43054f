import { expect, test } from "vitest";
import { topologicalOrder, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { vmap } from "./index.ts";

const numbers = (shape: readonly number[], seed = 0) => {
  const count = shape.reduce((a, b) => a * b, 1);
  return ops.constantOf(
    Array.from({ length: count }, (_, i) => Math.sin(1 + seed + 1.7 * i)),
    shape,
    "f32",
  );
};
const valuesOf = (value: Value) => Array.from(ops.evaluate([value], new Map())[0].data);
const scansIn = (values: readonly Value[]) => topologicalOrder(values).filter(({ op }) => op.name === "scan").length;

/** fn for each example by itself. */
const stacked = (fn: (...inputs: Value[]) => Value, inputs: readonly Value[], isBatched: readonly boolean[]) =>
  ops.stack(
    Array.from({ length: 2 }, (_, i) =>
      fn(...inputs.map((x, j) => (isBatched[j] ? ops.squeeze(ops.slice(x, { axis: 0, start: i, end: i + 1 }), 0) : x))),
    ),
  );

const rules: Record<string, { fn: (...inputs: Value[]) => Value; inputs: Value[]; shared?: number }> = {
  "elementwise: an example of fewer axes lines up at the right": {
    fn: (x, y) => ops.add(x, y),
    inputs: [numbers([2, 3]), numbers([2, 4, 3], 1)],
  },
  "axes: attributes that name axes move up": {
    fn: (x) => ops.sum(ops.transpose(ops.concat([x, x], 1)), { axes: 0 }),
    inputs: [numbers([2, 3, 4])],
  },
  "axes: paddings get a pair of zeros": { fn: (x) => ops.pad(x, [[1, 2]]), inputs: [numbers([2, 3])] },
  "leading: one weight for all examples": {
    fn: (x, w) => ops.rmsNorm(x, w),
    inputs: [numbers([2, 4, 3]), numbers([3], 1)],
    shared: 1,
  },
  "matrices: what is shared is given to each example": {
    fn: (a, b) => ops.solve(ops.add(a, ops.mul(ops.eye(3), 4)), b),
    inputs: [numbers([2, 3, 3]), numbers([3, 1], 1)],
    shared: 1,
  },
  "fold: the batch becomes part of N": {
    fn: (x, w) => ops.conv(x, w, undefined, { padding: 1 }),
    inputs: [numbers([2, 3, 2, 5, 5]), numbers([4, 2, 3, 3], 1)],
    shared: 1,
  },
};
for (const [rule, { fn, inputs, shared }] of Object.entries(rules)) {
  test(rule, () => {
    const isBatched = inputs.map((_, i) => i !== shared);
    const [all] = vmap(
      (...examples) => [fn(...examples)],
      inputs,
      isBatched.map((is) => (is ? 0 : null)),
    );
    expect(scansIn([all])).toBe(0);
    const expected = stacked(fn, inputs, isBatched);
    expect(all.shape).toEqual(expected.shape);
    for (const [i, value] of valuesOf(all).entries()) expect(value).toBeCloseTo(valuesOf(expected)[i], 5);
  });
}

test("oneByOne: a rule that does not hold for each example's own weights becomes a scan", () => {
  const [x, w] = [numbers([2, 4, 3]), numbers([2, 3], 1)];
  const [all] = vmap((example, weight) => [ops.rmsNorm(example, weight)], [x, w], [0, 0]);
  expect(scansIn([all])).toBe(1);
  const expected = valuesOf(stacked((example, weight) => ops.rmsNorm(example, weight), [x, w], [true, true]));
  for (const [i, value] of valuesOf(all).entries()) expect(value).toBeCloseTo(expected[i], 5);
});
