/** Attention over a cache of whole numbers: the kernel against the reference, and what is written in place. */
import { expect, test } from "vitest";
import type { DType } from "../base/index.ts";
import { cachedAttention, compile, type Tensor, tensor, Variable } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { Random } from "../testing/fuzz/random.ts";
import { constantOf } from "./apply.ts";
import { cachedAttention as cachedAttentionOp } from "./cached-attention.ts";
import { evaluate } from "./reference.ts";

const [numKeyHeads, headDim, room] = [2, 8, 12];
const STEPS = 1000;

const cases = [
  { name: "one token", rows: 1, tokens: 1, filled: [5] },
  { name: "several tokens of one row", rows: 1, tokens: 4, filled: [3] },
  { name: "one token of several rows", rows: 3, tokens: 1, filled: [5, 0, 8] },
  { name: "beginnings of several rows", rows: 2, tokens: 5, filled: [0, 0] },
  { name: "as many key heads as heads of queries", rows: 1, tokens: 2, filled: [7], numHeads: 2 },
  { name: "a window", rows: 1, tokens: 3, filled: [6], slidingWindow: 4 },
  { name: "a window that several rows have", rows: 2, tokens: 1, filled: [9, 2], slidingWindow: 4 },
];

test.each(cases)("$name", async ({ rows, tokens, filled, numHeads = 4, slidingWindow = 0 }) => {
  const random = new Random("cached attention", rows * 100 + tokens);
  const between = (low: number, high: number) => low + ((high - low) * random.below(STEPS)) / STEPS;
  const numbersOf = (shape: readonly number[], number: () => number) =>
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, number);
  const widths = { q: numHeads * headDim, k: numKeyHeads * headDim, v: numKeyHeads * headDim };
  const cacheShape = [rows, numKeyHeads, room, headDim];
  const scaleShape = [1, numKeyHeads, 1, headDim];
  const host = (dtype: DType, shape: readonly number[], number: () => number) => ({
    dtype,
    shape,
    numbers: numbersOf(shape, number),
  });
  const token = (width: number) => host("f32", [rows, tokens, width], () => between(-1.5, 1.5));
  const past = () => host("i8", cacheShape, () => random.below(256) - 128);
  const scale = () => host("f32", scaleShape, () => between(0.004, 0.012)); // so that some numbers are beyond 127
  const parts = {
    q: token(widths.q),
    k: token(widths.k),
    v: token(widths.v),
    pastK: past(),
    pastV: past(),
    scaleK: scale(),
    scaleV: scale(),
    lengths: { dtype: "i32" as const, shape: [rows], numbers: filled.map((count) => count + tokens - 1) },
    total: { dtype: "i32" as const, shape: [1], numbers: [Math.max(...filled) + tokens] },
  };
  const options = { numHeads, numKeyHeads, scale: 0.3, slidingWindow };

  const values = Object.fromEntries(
    Object.entries(parts).map(([name, { numbers, shape, dtype }]) => [name, constantOf(numbers, shape, dtype)]),
  ) as Record<keyof typeof parts, ReturnType<typeof constantOf>>;
  const { scaleK, scaleV, ...inputs } = values;
  const expected = evaluate(cachedAttentionOp({ ...inputs, scales: { k: scaleK, v: scaleV } }, options), new Map());

  const cache = (name: "pastK" | "pastV") =>
    new Variable({ name, dtype: "i8", shape: cacheShape }, Int8Array.from(parts[name].numbers));
  const [pastK, pastV] = [cache("pastK"), cache("pastV")];
  const f32 = (name: "q" | "k" | "v" | "scaleK" | "scaleV") =>
    tensor(Float32Array.from(parts[name].numbers), { shape: parts[name].shape });
  const i32 = (name: "lengths" | "total") => tensor(Int32Array.from(parts[name].numbers));
  const scales = { k: f32("scaleK"), v: f32("scaleV") };
  type F = Tensor<"f32">;
  const step = compile((q: F, k: F, v: F, lengths: Tensor<"i32">, total: Tensor<"i32">) => {
    const over = { k: pastK.value, v: pastV.value, scales, lengths, total };
    const next = cachedAttention<"f32", "i8">(q, k, v, over, options);
    pastK.assign(next.k);
    pastV.assign(next.v);
    return next.output;
  });
  const output = await step(f32("q"), f32("k"), f32("v"), i32("lengths"), i32("total"));
  expectClose("attention", await output.read(), expected[0].data, tolerances.f32 as number);
  expect([...(await pastK.read())]).toEqual([...Int8Array.from(expected[1].data)]);
  expect([...(await pastV.read())]).toEqual([...Int8Array.from(expected[2].data)]);
});
