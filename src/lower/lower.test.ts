import fc from "fast-check";
import { expect, test } from "vitest";
import { pullBack } from "../autodiff/index.ts";
import type { DType } from "../base/index.ts";
import { Graph, placeholder, printGraph, symbol, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { fromHost, readTensors, Tensor } from "../tensor/index.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { expectClose, tolerances } from "../testing/close.ts";

import { mayOverwrite, optimize } from "./index.ts";

const input = (shape: readonly number[], label = "x") => placeholder(label, { dtype: "f32", shape });
const body = (graph: Graph) =>
  printGraph(graph)
    .split("\n")
    .slice(1, -1)
    .map((line) => line.trim());

test("simplify removes what changes nothing", () => {
  const x = input([2, 3]);
  const y = ops.transpose(ops.transpose(ops.reshape(ops.reshape(ops.mul(ops.add(x, 0), 1), [6]), [2, 3])));
  expect(body(optimize(new Graph([x], [y])))).toEqual(["return %a0"]);
});

test("constants are folded", () => {
  const x = input([2]);
  const y = ops.add(x, ops.mul(ops.scalar(2, "f32"), ops.sqrt(ops.scalar(9, "f32"))));
  expect(body(optimize(new Graph([x], [y])))).toEqual([
    "%0 = constant(6) : f32[]",
    "%1 = add(%a0, %0) : f32[2]",
    "return %1",
  ]);
});

test("equal expressions are computed once", () => {
  const x = input([2]);
  const y = ops.add(ops.exp(ops.mul(x, 2)), ops.exp(ops.mul(x, 2)));
  expect(optimize(new Graph([x], [y])).nodes.filter((node) => node.op.name === "exp")).toHaveLength(1);
});

test("a transpose of the last two axes is a flag of the product", () => {
  const [a, b] = [input([4, 3, 2], "a"), input([4, 5, 3], "b")];
  const y = ops.matmul(ops.transpose(a, [0, 2, 1]), ops.transpose(b, [0, 2, 1]));
  const [product] = optimize(new Graph([a, b], [y])).nodes.filter(({ op }) => op === ops.matmul.entry);
  expect([product.attributes, product.inputs]).toEqual([{ transposeA: true, transposeB: true, scale: 1 }, [a, b]]);
  const other = ops.matmul(ops.transpose(a, [1, 2, 0]), input([3, 4, 5]));
  expect(
    optimize(new Graph([a, ...other.node.inputs.slice(1)], [other])).nodes.some(({ op }) => op === ops.transpose.entry),
  ).toBe(true);
});

test("a weight in 16 bits is widened inside of its product, of one tile too; a small one is cast", () => {
  const product = (rows: number, columns: number, transposeB = true) => {
    const x = input([3, transposeB ? columns : rows]);
    const weight = placeholder("w", { dtype: "bf16", shape: [rows, columns] });
    const y = ops.matmul(x, ops.cast(weight, "f32"), { transposeB });
    const { nodes } = optimize(new Graph([x, weight], [y]));
    return nodes.slice(2).map(({ op, attributes }) => [op.name, attributes.tiles]); // behind the inputs
  };
  expect(product(4096, 1024)).toEqual([["tiledMatmul", 4]]);
  expect(product(256, 128)).toEqual([["tiledMatmul", 1]]);
  expect(product(4096, 1024, false)).toEqual([["tiledMatmulRows", 4]]); // as in gradients
  expect(product(16, 128)).toEqual([
    ["cast", undefined],
    ["matmul", undefined],
  ]);
});

test("GELU adds the bias of the layer in front of it, forward and backward", async () => {
  const [x, w, b] = [[64, 64, 8], [8, 96], [96]].map((shape, i) => {
    const length = shape.reduce((a, c) => a * c, 1);
    return fromHost(
      "f32",
      shape,
      Float32Array.from({ length }, (_, j) => Math.sin(i + 1.3 * j)),
    );
  });
  const hidden = ops.linear(x.ir, w.ir, b.ir);
  const y = ops.gelu(hidden, "tanh");
  const targets = [x.ir, w.ir, b.ir];
  const fused = [y, ...pullBack([y], [ops.broadcastTo(ops.scalar(1, "f32"), y.shape)], targets)] as Value[];
  const names = (values: readonly Value[]) => optimize(new Graph(targets, values)).nodes.map(({ op }) => op.name);
  expect(names(fused)).toEqual(expect.arrayContaining(["biasedGelu", "biasedGeluGradient"]));
  expect(names(fused)).not.toContain("linear");
  // returned as well, the layer's output has to be computed, and the plain path is taken
  const plain = [...fused, hidden];
  expect(names(plain)).toContain("linear");
  const [a, expected] = await Promise.all(
    [fused, plain].map((values) => readTensors(values.map((value) => new Tensor(value)))),
  );
  for (const [i, data] of a.entries())
    expectClose(`${i}`, data as Float32Array, expected[i] as Float32Array, tolerances.f32 as number);
});

test("state is overwritten only when nobody reads the old value later", () => {
  const [w, x] = [input([2], "w"), input([2])];
  const next = ops.sub(w, ops.mul(x, 0.1));
  expect(mayOverwrite(new Graph([w, x], [next]), 0, 0)).toBe(true); // elementwise, reads w itself
  expect(mayOverwrite(new Graph([w, x], [next, ops.exp(w)]), 0, 0)).toBe(false); // exp may run after
  expect(mayOverwrite(new Graph([w, x], [ops.sub(w, ops.sum(ops.exp(w)))]), 0, 0)).toBe(true); // exp runs before
  expect(mayOverwrite(new Graph([w, x], [ops.add(ops.reshape(w, [2, 1]), x)]), 0, 0)).toBe(false); // a view, broadcast
  const [a, b] = [input([2], "a"), input([2], "b")];
  const swap = new Graph([a, b], [ops.stopGradient(b), ops.stopGradient(a)]);
  expect(mayOverwrite(swap, 0, 0)).toBe(false);
});

test("state is overwritten only after all that is computed on the host, which may fail", () => {
  const [w, x] = [input([2, 2], "w"), input([2, 2])];
  const onHost = ops.inverse(x);
  const needsIt = ops.sub(w, ops.mul(onHost, 0.1));
  expect(mayOverwrite(new Graph([w, x], [needsIt]), 0, 0)).toBe(true);
  expect(mayOverwrite(new Graph([w, x], [ops.sub(w, 1), onHost]), 0, 0)).toBe(false); // might come before it
  // behind one of two of a level it comes after both, behind the first of two in a row it may not
  expect(mayOverwrite(new Graph([w, x], [needsIt, ops.inverse(ops.add(x, 1))]), 0, 0)).toBe(true);
  expect(mayOverwrite(new Graph([w, x], [needsIt, ops.inverse(onHost)]), 0, 0)).toBe(false);
  // readers in an earlier stage are done, those in a later one are not
  expect(mayOverwrite(new Graph([w, x], [needsIt, ops.exp(w)]), 0, 0)).toBe(true);
  expect(mayOverwrite(new Graph([w, x], [needsIt, ops.add(w, onHost)]), 0, 0)).toBe(false);
});

/** A random expression over two inputs, from ops that are smooth and bounded. */
const expression: fc.Arbitrary<(x: Value, y: Value) => Value> = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(
      (x: Value, _: Value) => x,
      (_: Value, y: Value) => y,
    ),
    fc
      .tuple(
        fc.constantFrom(ops.tanh, ops.sigmoid, ops.sin, ops.erf, ops.relu, ops.neg, ops.square, (v: Value) =>
          ops.softmax(v, -1),
        ),
        tie("node"),
      )
      .map(
        ([op, inner]) =>
          (x: Value, y: Value) =>
            op((inner as (x: Value, y: Value) => Value)(x, y)),
      ),
    fc.tuple(fc.constantFrom(ops.add, ops.sub, ops.mul, ops.maximum, ops.minimum), tie("node"), tie("node")).map(
      ([op, left, right]) =>
        (x: Value, y: Value) =>
          op(
            (left as typeof ops.add as never as (x: Value, y: Value) => Value)(x, y),
            (right as (x: Value, y: Value) => Value)(x, y),
          ),
    ),
  ),
})).node as fc.Arbitrary<(x: Value, y: Value) => Value>;

test("random graphs: the runtime, with all passes, agrees with the plain reference", async () => {
  await fc.assert(
    fc.asyncProperty(
      expression,
      fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 9, maxLength: 9 }),
      async (build, numbers) => {
        const leaf = (shape: readonly number[], data: number[]) =>
          fromLeaf(new DataLeaf("f32", shape, { host: Float32Array.from(data) })).ir;
        const [x, y] = [leaf([2, 3], numbers.slice(0, 6)), leaf([3], numbers.slice(6))];
        const out = build(x, y);
        const [plain] = ops.evaluate(
          [out],
          new Map([
            [x, ops.hostTensor([2, 3], numbers.slice(0, 6))],
            [y, ops.hostTensor([3], numbers.slice(6))],
          ]),
        );
        const [fast] = await readTensors([new Tensor(out)]);
        expectClose("random graph", fast as Float32Array, plain.data, tolerances.f32 as number);
      },
    ),
    { numRuns: 60 },
  );
});

test.each(["f16", "bf16", "i32", "i64", "u8", "bool"] as const)(
  "%s crosses the boundary unchanged",
  async (dtype: DType) => {
    const values = dtype === "bool" ? [0, 1, 1] : [1, 2, 3];
    const x = ops.cast(fromHost("f32", [3], Float32Array.from(values)).ir, dtype);
    const [data] = await readTensors([new Tensor(ops.cast(x, "f32"))]);
    expect(Array.from(data as Float32Array)).toEqual(values);
  },
);

test("16-bit floats compute", async () => {
  for (const dtype of ["f16", "bf16"] as const) {
    const x = ops.cast(fromHost("f32", [4], Float32Array.of(0.5, 1, 1.5, 2)).ir, dtype);
    const [data] = await readTensors([new Tensor(ops.cast(ops.mul(ops.add(x, x), 0.5), "f32"))]);
    expectClose(dtype, data as Float32Array, [0.5, 1, 1.5, 2], tolerances[dtype] as number);
  }
});

test("symbolic sizes are worked out when the graph runs", () => {
  const x = placeholder("x", { dtype: "f32", shape: [symbol("B"), symbol("T"), 4] });
  const flat = ops.reshape(x, [-1, 4]);
  expect(flat.shape.join()).toBe("B*T,4");
});
