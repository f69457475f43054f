import { type DType, known, requireDType } from "../base/index.ts";
import type { Shape } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { DataLeaf } from "./leaf.ts";
import { fromLeaf, Tensor } from "./tensor.ts";

/**
 * The seed of random numbers. A key gives the same numbers each time it is used: derive a new one with `split` or
 * `fold` for each use. Keys work inside compiled functions too.
 */
export class RandomKey {
  /** i32 [2] */
  readonly bits: Tensor<"i32">;
  /** The same two numbers when they are known without running a graph. */
  private readonly host?: readonly [number, number];

  constructor(bits: Tensor<"i32"> | readonly [number, number]) {
    // an input of graphs, not a constant in them: graphs that differ only in their keys are then the same graph
    this.bits = bits instanceof Tensor ? bits : fromLeaf(new DataLeaf("i32", [2], { host: Int32Array.from(bits) }));
    this.host = bits instanceof Tensor ? undefined : [bits[0], bits[1]];
  }

  /** A key for use number `index`, unrelated to this one and to those of other indices. */
  fold(index: number | Tensor<"i32">): RandomKey {
    if (this.host && typeof index === "number") return new RandomKey(ops.foldKeyOnHost(this.host, index));
    return new RandomKey(new Tensor<"i32">(ops.foldKey(this.bits.ir, typeof index === "number" ? index : index.ir)));
  }

  /** `count` unrelated keys. */
  split(count: number): RandomKey[] {
    return Array.from({ length: count }, (_, i) => this.fold(i));
  }
}

/** The key of an integer seed. The seed is used modulo 2^32. */
export function randomKey(seed: number): RandomKey {
  return new RandomKey(ops.foldKeyOnHost([0x6b696e64, 0x6c696e67], Math.trunc(seed) | 0)); // "kind", "ling"
}

/** Uniform f32 numbers in [low, high). */
export function uniform(key: RandomKey, shape: Shape, options: { low?: number; high?: number } = {}): Tensor<"f32"> {
  const { low = 0, high = 1 } = known("uniform", options, { low: true, high: true });
  return new Tensor(ops.add(ops.mul(ops.randomUniform(key.bits.ir, shape), high - low), low));
}

/** Normal f32 numbers. */
export function normal(
  key: RandomKey,
  shape: Shape,
  options: { mean?: number; standardDeviation?: number } = {},
): Tensor<"f32"> {
  const { mean = 0, standardDeviation = 1 } = known("normal", options, { mean: true, standardDeviation: true });
  const [radius, angle] = key.split(2); // a known key is split here: in the graph that would be most of its nodes
  const draws = ops.boxMuller(radius.bits.ir, angle.bits.ir, shape);
  return new Tensor(ops.add(ops.mul(draws, standardDeviation), mean));
}

/** true with the given probability. */
export function bernoulli(key: RandomKey, shape: Shape, probability: number): Tensor<"bool"> {
  return new Tensor(ops.less(ops.randomUniform(key.bits.ir, shape), probability));
}

/** Every element the same. @default f32 */
export function full<D extends DType = "f32">(shape: Shape, value: number, dtype: D = "f32" as D): Tensor<D> {
  return new Tensor(ops.broadcastTo(ops.scalar(value, requireDType("full", dtype)), shape));
}

/** Every element 0. @default f32 */
export function zeros<D extends DType = "f32">(shape: Shape, dtype?: D): Tensor<D> {
  return full(shape, 0, dtype);
}

/** Every element 1. @default f32 */
export function ones<D extends DType = "f32">(shape: Shape, dtype?: D): Tensor<D> {
  return full(shape, 1, dtype);
}
