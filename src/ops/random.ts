import { DTypeError, ShapeError } from "../base/index.ts";
import { describe, type Shape, sizeOf, type TensorType, type Value } from "../ir/index.ts";
import { apply, type Operand, toValue } from "./apply.ts";
import { add, floor, log, mul, neg, sqrt, sub } from "./arithmetic.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { cast } from "./elementwise.ts";
import { hostTensor } from "./host-tensor.ts";
import { type Lowering, ONNX_UINT32, onnxTypeCode } from "./lowering.ts";
import { argmax, argsort } from "./order.ts";
import { lowerFoldOnWebGpu, lowerUniformOnWebGpu } from "./random-webgpu.ts";
import { cos } from "./special.ts";

/*
 * Counter-based random numbers: element i of a tensor is a pure function of the key and of i, so the same key gives the
 * same numbers on every device and in every order. The function is two rounds of a 32-bit avalanche hash (multiply and
 * xor-shift, the "lowbias32" constants found by C. Wellons' hash prospector) with half of the key entering before each.
 * Philox or threefry would need 5 to 10 times the ONNX operators per number; the tests check uniformity and
 * independence.
 */
const MIX = [
  { shift: 16, factor: 0x7feb352d },
  { shift: 15, factor: 0x846ca68b },
] as const;
const LAST_SHIFT = 16;
/** 2^32 / golden ratio: spreads consecutive counters over all bits. */
const SPREAD = 0x9e3779b9;
const hash = { mix: MIX, lastShift: LAST_SHIFT, spread: SPREAD };

/**
 * The avalanche hash of an unsigned 32-bit integer. That of 0 is 0: what comes in must be mixed with something else.
 */
function hash32(x: number): number {
  let h = x;
  for (const { shift, factor } of MIX) h = Math.imul(h ^ (h >>> shift), factor);
  return (h ^ (h >>> LAST_SHIFT)) >>> 0;
}

function lowerHash(graph: Lowering, x: string): string {
  const xorShift = (h: string, shift: number) =>
    graph.node("BitwiseXor", [h, graph.node("BitShift", [h, graph.unsigned(shift)], { direction: "RIGHT" })]);
  let h = x;
  for (const { shift, factor } of MIX) h = graph.node("Mul", [xorShift(h, shift), graph.unsigned(factor)]);
  return xorShift(h, LAST_SHIFT);
}

/** Element `index` of a key, as a scalar of the given ONNX type. */
function keyPart(graph: Lowering, key: string, index: number, to: number): string {
  return graph.node("Cast", [graph.node("Gather", [key, graph.constant("i64", [], [index])], { axis: 0 })], { to });
}

function requireKey(where: string, key: TensorType): void {
  if (key.dtype === "i32" && key.shape.length === 1 && key.shape[0] === 2) return;
  throw new ShapeError({
    where,
    expected: "a random key, i32[2]",
    received: describe(key),
    fix: "make one with randomKey(seed)",
  });
}

const uniformEntry = defineOp<"key", { shape: Shape }>({
  name: "randomUniform",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["key"],
  infer: ({ key }, { shape }) => {
    requireKey("randomUniform", key);
    return { dtype: "f32", shape };
  },
  gradient: notDifferentiable("draws random numbers"),
  lower: (graph, { key }, { shape }) => {
    if (graph.isWebGpu) return lowerUniformOnWebGpu(graph, key, shape, hash);
    // starting the counters at the key keeps ONNX Runtime from computing them when the session is made
    const start = keyPart(graph, key, 0, onnxTypeCode.i64);
    const count = graph.node("ReduceProd", [graph.sizes([sizeOf(shape)])], { keepdims: 0 });
    const counters = graph.node("Range", [start, graph.node("Add", [start, count]), graph.constant("i64", [], [1])]);
    const spread = graph.node("Mul", [graph.node("Cast", [counters], { to: ONNX_UINT32 }), graph.unsigned(SPREAD)]);
    const first = lowerHash(graph, spread);
    const bits = lowerHash(graph, graph.node("BitwiseXor", [first, keyPart(graph, key, 1, ONNX_UINT32)]));
    const top = graph.node("Cast", [graph.node("BitShift", [bits, graph.unsigned(8)], { direction: "RIGHT" })], {
      to: onnxTypeCode.f32,
    });
    const numbers = graph.node("Mul", [top, graph.constant("f32", [], [2 ** -24])]);
    return graph.node("Reshape", [numbers, graph.sizes(shape)], { allowzero: 1 });
  },
  reference: ({ key }, _, [type]) => {
    const out = hostTensor(type.shape);
    for (let i = 0; i < out.data.length; i++) out.data[i] = (bitsAt([key.data[0], key.data[1]], i) >>> 8) * 2 ** -24;
    return out;
  },
});

/** Element i of a key's numbers, as 32 bits. */
function bitsAt(key: readonly [number, number], i: number): number {
  const first = hash32(Math.imul(key[0] + i, SPREAD) >>> 0);
  return hash32((first ^ key[1]) >>> 0);
}

/**
 * Number `index` of a key in [0, 1), on plain numbers: a multiple of 2^-32 whose first 24 bits are those of
 * `randomUniform`.
 */
export const uniformOnHost = (key: readonly [number, number], index: number): number => bitsAt(key, index) * 2 ** -32;

/** Uniform f32 numbers in [0, 1), multiples of 2^-24. key: i32[2] */
export function randomUniform(key: Value, shape: Shape): Value {
  return apply(uniformEntry, [key], { shape });
}

/** Standard normal f32 numbers of a key. */
export const randomNormal = (key: Value, shape: Shape): Value => boxMuller(foldKey(key, 0), foldKey(key, 1), shape);

/**
 * Standard normal f32 numbers by the Box-Muller transform of two uniform tensors, each with a key of its own. Box &
 * Muller 1958, doi:10.1214/aoms/1177706645.
 */
export function boxMuller(radiusKey: Value, angleKey: Value, shape: Shape): Value {
  const radius = sqrt(mul(neg(log(sub(1, randomUniform(radiusKey, shape)))), 2)); // 1 - u is never 0
  return mul(radius, cos(mul(randomUniform(angleKey, shape), 2 * Math.PI)));
}

const foldEntry = defineOp({
  name: "foldKey",
  precision: "f32",
  batch: "oneByOne",
  inputs: ["key", "data"],
  infer: ({ key, data }) => {
    requireKey("foldKey", key);
    if (data.dtype !== "i32" || data.shape.length !== 0) {
      throw new DTypeError({
        where: "foldKey",
        expected: "an i32 scalar",
        received: describe(data),
        fix: `cast it: cast(x, "i32")`,
      });
    }
    return key;
  },
  gradient: notDifferentiable("makes a random key"),
  lower: (graph, { key, data }) => {
    if (graph.isWebGpu)
      return lowerFoldOnWebGpu(
        graph,
        [key, data],
        foldParts.map(({ salt }) => salt),
        hash,
      );
    const mixed = lowerHash(
      graph,
      graph.node("Mul", [graph.node("Cast", [data], { to: ONNX_UINT32 }), graph.unsigned(SPREAD)]),
    );
    const parts = foldParts.map(({ index, salt }) => {
      const part = keyPart(graph, key, index, ONNX_UINT32);
      const other = keyPart(graph, key, 1 - index, ONNX_UINT32);
      const salted = graph.node("BitwiseXor", [mixed, graph.unsigned(salt)]);
      const hashed = lowerHash(graph, graph.node("Add", [lowerHash(graph, graph.node("Add", [part, salted])), other]));
      return graph.node("Reshape", [
        graph.node("Cast", [hashed], { to: onnxTypeCode.i32 }),
        graph.constant("i64", [1], [1]),
      ]);
    });
    return graph.node("Concat", parts, { axis: 0 });
  },
  reference: ({ key, data }) => hostTensor([2], foldKeyOnHost([key.data[0], key.data[1]], data.data[0])),
});

/** Both halves of the new key depend on both of the old; different constants keep them unrelated. */
const foldParts = [
  { index: 0, salt: 0 },
  { index: 1, salt: 0x5851f42d },
] as const;

/** foldKey on plain numbers; the graph op computes the same. */
export function foldKeyOnHost(key: readonly [number, number], data: number): [number, number] {
  const mixed = hash32(Math.imul(data, SPREAD) >>> 0);
  const [a, b] = foldParts.map(({ index, salt }) => {
    const [part, other] = [key[index] >>> 0, key[1 - index] >>> 0];
    return hash32((hash32((part + ((mixed ^ salt) >>> 0)) >>> 0) + other) >>> 0) | 0;
  });
  return [a, b];
}

/** A new key that depends on a key and on an integer: different integers give unrelated keys. */
export function foldKey(key: Value, data: Operand): Value {
  return apply(foldEntry, [key, toValue(data, "i32")]);
}

/** Numbers in (0, 1), never 0 or 1. */
const openUniform = (key: Value, shape: Shape): Value => add(randomUniform(key, shape), 2 ** -25);

/** Standard Gumbel numbers: adding them to logits and taking the largest samples from their softmax. */
export const randomGumbel = (key: Value, shape: Shape): Value => neg(log(neg(log(openUniform(key, shape)))));
/** Standard exponential numbers. */
export const randomExponential = (key: Value, shape: Shape): Value => neg(log(openUniform(key, shape)));
/** i32 numbers from low to high - 1. Their range is at most 2^24. */
export const randomInteger = (key: Value, shape: Shape, low: number, high: number): Value =>
  cast(add(floor(mul(randomUniform(key, shape), high - low)), low), "i32");
/** 0 to size - 1 in random order: i64. */
export const randomPermutation = (key: Value, size: number): Value => argsort(randomUniform(key, [size]));
/** Indices drawn with probability softmax(logits) along the last axis: i64, one for each row. */
export const randomCategorical = (key: Value, logits: Value): Value =>
  argmax(add(cast(logits, "f32"), randomGumbel(key, logits.shape)));
