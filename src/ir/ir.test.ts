import { expect, test } from "vitest";
import { add, broadcastTo, matmul, mul, reshape, sum, withScope } from "../ops/index.ts";
import {
  addSizes,
  checkGraph,
  divideSizes,
  evaluateSize,
  Graph,
  multiplySizes,
  Node,
  placeholder,
  printGraph,
  symbol,
} from "./index.ts";

test("the printer shows a graph by its grammar", () => {
  const x = placeholder("x", { dtype: "f32", shape: [symbol("B"), 3] });
  const w = placeholder("w", { dtype: "f32", shape: [3, 4] });
  const y = sum(mul(matmul(x, w), 2), { axes: 1 });
  expect(printGraph(new Graph([x, w], [y]))).toBe(
    [
      "graph(%a0: f32[B, 3], %a1: f32[3, 4]) {",
      "  %0 = matmul(%a0, %a1) {scale=1, transposeA=false, transposeB=false} : f32[B, 4]",
      "  %1 = constant(2) : f32[]",
      "  %2 = mul(%0, %1) : f32[B, 4]",
      "  %3 = sum(%2) {axes=[1], keepDims=false} : f32[B]",
      "  return %3",
      "}",
    ].join("\n"),
  );
});

test("symbolic sizes are polynomials", () => {
  const [b, t] = [symbol("B"), symbol("T")];
  const size = addSizes(multiplySizes(multiplySizes(b, t), 3), 6);
  expect(String(size)).toBe("3*B*T + 6");
  expect(String(divideSizes(size, 3))).toBe("B*T + 2");
  expect(divideSizes(size, t)).toBeUndefined();
  expect(addSizes(b, multiplySizes(b, -1))).toBe(0);
  expect(
    evaluateSize(
      size,
      new Map([
        ["B", 2],
        ["T", 5],
      ]),
    ),
  ).toBe(36);
});

test("the checker finds a node whose type is wrong", () => {
  const x = placeholder("x", { dtype: "f32", shape: [2] });
  const good = add(x, 1);
  const bad = new Node(good.node.op, good.node.inputs, {}, [{ dtype: "f32", shape: [3] }]).outputs[0];
  expect(() => checkGraph(new Graph([x], [good]), "test")).not.toThrow();
  expect(() => checkGraph(new Graph([x], [bad]), "test")).toThrow(
    /after test, add: expected output 0 to be f32\[2\]; received f32\[3\]/,
  );
});

test("a placeholder that is no input is an error", () => {
  expect(() => new Graph([], [add(placeholder("x", { dtype: "f32", shape: [] }), 1)])).toThrow(/"x", which is not/);
});

test("errors name the call, both shapes and a fix", () => {
  const a = placeholder("a", { dtype: "f32", shape: [8, 512] });
  const b = placeholder("b", { dtype: "f32", shape: [768, 64] });
  expect(() => matmul(a, b)).toThrow(
    "matmul: expected the last size of a to equal the second-last size of b; received a f32[8, 512], b f32[768, 64]. Fix: check that inFeatures of this layer equals the width of its input, or transpose b.",
  );
  expect(() => add(a, b)).toThrow(/a f32\[8, 512\], b f32\[768, 64\]/);
  expect(() => reshape(a, [5, -1])).toThrow(/4096 to be a multiple of 5/);
  expect(() => broadcastTo(a, [8, 1])).toThrow(/only sizes of 1 stretch/);
});

test("deep graphs do not overflow the stack, and nodes know their scope", () => {
  let x = placeholder("x", { dtype: "f32", shape: [] });
  const input = x;
  withScope("deep", () => {
    for (let i = 0; i < 50_000; i++) x = add(x, 1);
  });
  expect(new Graph([input], [x]).nodes.length).toBeGreaterThan(50_000);
  expect(x.node.scope).toBe("deep");
});
