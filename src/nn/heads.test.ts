import { expect, test } from "vitest";
import { cachedAttention, randomKey, tensor, zeros } from "../tensor/index.ts";
import { AttentionBlock, MultiHeadAttention, multiHeadAttention, TransformerLayer } from "./index.ts";

const key = randomKey(1);

test("a width that heads do not divide is refused, and nothing unwritten is read", () => {
  const q = zeros([1, 3, 10]);
  expect(() => multiHeadAttention(q, q, q, { numHeads: 4 })).toThrow(
    "attention heads: expected a width that is a multiple of the number of heads, 4; received f32[1, 3, 10]. " +
      "Fix: choose a number of heads that divides the width.",
  );
  for (const numHeads of [0, -2, 2.5, Number.NaN])
    expect(() => multiHeadAttention(q, q, q, { numHeads })).toThrow(/multiple of the number of heads/);
  const k = zeros([1, 3, 8]);
  expect(() => multiHeadAttention(zeros([1, 3, 12]), k, k, { numHeads: 6, numKeyHeads: 3 })).toThrow(
    /number of heads, 3; received f32\[1, 3, 8\]/,
  );
  expect(() => multiHeadAttention(zeros([1, 3, 12]), k, k, { numHeads: 6, numKeyHeads: 4 })).toThrow(
    /multiple of the key heads/,
  );
});

test("layers of attention name the two options that do not fit", () => {
  const sizes = { hiddenSize: 10, numHeads: 4, intermediateSize: 8, epsilon: 1e-5 };
  const message = /a hiddenSize that is a multiple of numHeads; received hiddenSize 10, numHeads 4/;
  expect(() => new MultiHeadAttention({ hiddenSize: 10, numHeads: 4 }, key)).toThrow(message);
  expect(() => new AttentionBlock({ ...sizes, activation: "gelu" }, {}, key)).toThrow(message);
  expect(() => new TransformerLayer({ ...sizes, activation: "gelu" }, key)).toThrow(message);
  expect(() => new TransformerLayer({ ...sizes, activation: "gelu", headDim: 3 }, key)).not.toThrow();
});

test("a cache for other heads is refused", () => {
  const past = zeros([1, 2, 4, 2]); // two heads of width 2
  const lengths = tensor([0], { dtype: "i32" });
  const cache = { k: past, v: past, lengths, total: tensor([1], { dtype: "i32" }) };
  const q = zeros([1, 1, 8]);
  const k = zeros([1, 1, 4]);
  const options = { numHeads: 4, numKeyHeads: 2, scale: 1 };
  expect(cachedAttention(q, k, k, cache, options).output.shape).toEqual([1, 1, 8]);
  const message = /cachedAttention: expected q of width numHeads/;
  expect(() => cachedAttention(q, k, k, cache, { ...options, numKeyHeads: 4 })).toThrow(message);
  expect(() => cachedAttention(q, zeros([1, 1, 6]), k, cache, options)).toThrow(message);
  expect(() => cachedAttention(q, k, zeros([1, 1, 2]), cache, options)).toThrow(message);
  expect(() => cachedAttention(zeros([1, 1, 6]), k, k, cache, { ...options, numHeads: 3 })).toThrow(message);
});
