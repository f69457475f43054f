import { expect, test } from "vitest";
import { add, broadcastTo, matmul, mul, reshape, sum, withScope } from "../ops/index.ts";
import {
  addSizes,
  checkGraph,
  divideSizes,
  evaluateSize,
  fromBfloat16Bits,
  fromFloat16Bits,
  Graph,
  multiplySizes,
  Node,
  narrowFromF32,
  nearest,
  placeholder,
  printGraph,
  symbol,
  toBfloat16Bits,
  toFloat16Bits,
  widenToF32,
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

test("16-bit floats round to nearest, ties to even", () => {
  for (const [value, bits] of [
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [0.1, 0x2e66],
    [2049, 0x6800],
    [2051, 0x6802],
  ]) {
    expect(toFloat16Bits(value)).toBe(bits);
  }
  for (let bits = 0; bits < 0x7c00; bits += 7) expect(toFloat16Bits(fromFloat16Bits(bits))).toBe(bits);
  for (let bits = 0; bits < 0x7f80; bits += 7) expect(toBfloat16Bits(fromBfloat16Bits(bits))).toBe(bits);
  expect(toBfloat16Bits(1.00390625)).toBe(0x3f80);
  expect(fromFloat16Bits(toFloat16Bits(Number.NaN))).toBeNaN();
});

test("the nearest known word is found", () => {
  expect(nearest("learningrate", ["learningRate", "seed"])).toBe("learningRate");
  expect(nearest("xyzzy", ["learningRate", "seed"])).toBeUndefined();
});

test("floats of 16 bits, many at once, are as one by one", () => {
  const codes = Uint16Array.from({ length: 2 ** 16 }, (_, code) => code);
  const bf16 = widenToF32("bf16", codes);
  const f16 = widenToF32("f16", codes);
  expect(bf16.every((number, code) => Object.is(number, fromBfloat16Bits(code)))).toBe(true);
  expect(f16.every((number, code) => Object.is(number, fromFloat16Bits(code)))).toBe(true);

  // every number of 16 bits, what is halfway to the next, and their neighbours in f32
  const around = [...f16, ...bf16].flatMap((number, i, all) => {
    const middle = Math.fround((number + all[i + 1]) / 2);
    return [number, middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)];
  });
  const numbers = Float32Array.from([
    ...around,
    2 ** -24,
    2 ** -25,
    3 * 2 ** -26,
    65519.996,
    65520,
    -65520,
    3.4e38,
    1e-45,
  ]);
  const wrong = (dtype: "f16" | "bf16", plain: (x: number) => number) => {
    const found = narrowFromF32(dtype, numbers);
    return [...numbers].filter((number, i) => found[i] !== plain(number));
  };
  expect(wrong("f16", toFloat16Bits)).toEqual([]);
  expect(wrong("bf16", toBfloat16Bits)).toEqual([]);
});
