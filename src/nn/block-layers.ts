/** Layers whose weights are blocks of 4- or 8-bit integers, and stay so: for running, and for training what is around them. */
import type { BlockMatrix } from "../ir/index.ts";
import { add, blockMatmul, cast, constant, floor, gather, matmul, mul, reshape, stack, sub, sum, type Tensor } from "../tensor/index.ts";
import { Embedding, Linear } from "./layers.ts";
import { Module, type Parameter } from "./module.ts";

/** Integers of 4 bits, a factor for each block, and the integer that stands for 0. */
interface Plane {
  packed: Tensor<"u8">; // [N, blocks, blockSize / 2]
  scales: Tensor<"f32">; // [N, blocks]
  zeroPoints: Tensor<"u8">; // [N, blocks / 2], of 4 bits too
  zero: number;
}

/**
 * The kernel for 4 bits is many times as fast as that for 8, which expands the matrix first: 8 bits are two planes of 4,
 * (q - zero) s = (high - zero / 16) 16 s + low s.
 */
function planesOf(rows: number, blocks: number, { bits, blockSize, packed, scales, zero }: BlockMatrix): Plane[] {
  const plane = (integers: Uint8Array, factors: Float32Array, middle: number): Plane => {
    const zeroBytes = Math.ceil(blocks / 2);
    return {
      packed: constant("u8", [rows, blocks, blockSize / 2], integers),
      scales: constant("f32", [rows, blocks], factors),
      zeroPoints: constant("u8", [rows, zeroBytes], new Uint8Array(rows * zeroBytes).fill(middle * 17)),
      zero: middle,
    };
  };
  if (bits === 4) return [plane(packed, scales, zero)];
  const [high, low] = [4, 0].map((shift) => {
    const out = new Uint8Array(packed.length / 2);
    for (let i = 0; i < out.length; i++) out[i] = ((packed[2 * i] >> shift) & 15) | (((packed[2 * i + 1] >> shift) & 15) << 4);
    return out;
  });
  return [
    plane(
      high,
      scales.map((scale) => 16 * scale),
      zero >> 4,
    ),
    plane(low, scales, zero & 15),
  ];
}

export interface BlockLayerOptions {
  /** What the layers' inputs are rounded to on the CPU; see blockMatmul. @default "int8" */
  activations?: "int8" | "f32";
}

/** Weights as constants of the graphs that use them, which the kernels want so: they are not trained. */
class BlockWeight extends Module {
  readonly shape: readonly [rows: number, columns: number];
  private readonly blockSize: number;
  private readonly planes: readonly Plane[];
  private readonly minimums?: Tensor<"f32">; // [N, blocks]
  private readonly activations: "int8" | "f32";

  constructor(rows: number, columns: number, matrix: BlockMatrix, { activations = "int8" }: BlockLayerOptions) {
    super();
    this.activations = activations;
    const { blockSize, minimums } = matrix;
    const blocks = columns / blockSize;
    this.shape = [rows, columns];
    this.blockSize = blockSize;
    this.planes = planesOf(rows, blocks, matrix);
    if (minimums) this.minimums = constant("f32", [rows, blocks], minimums);
  }

  private get blocks(): number {
    return this.shape[1] / this.blockSize;
  }

  /** x: [..., K] -> x Wᵀ [..., N] */
  times(x: Tensor<"f32">): Tensor<"f32"> {
    const { blocks, blockSize, activations } = this;
    const products = this.planes.map(({ packed, scales, zeroPoints }) => blockMatmul(x, packed, scales, zeroPoints, { bits: 4, blockSize, activations }));
    const product = products.reduce((a, b) => add(a, b));
    if (!this.minimums) return product;
    // a block's minimum is added to all its numbers, so it meets the sum of what they are multiplied with
    const sums = sum(reshape(x, [...x.shape.slice(0, -1), blocks, blockSize]), { axes: -1 }); // [..., blocks]
    return add(product, matmul(sums, this.minimums, { transposeB: true }));
  }

  /** ids: [...] -> rows [..., K], in f32 */
  rows(ids: Tensor<"i32">): Tensor<"f32"> {
    const { blocks, blockSize } = this;
    const perBlock = (numbers: Tensor<"f32">) => reshape(gather(numbers, ids, 0), [...ids.shape, blocks, 1]);
    const parts = this.planes.map(({ packed, scales, zero }) => {
      const bytes = cast(gather(packed, ids, 0), "f32"); // [..., blocks, blockSize / 2]
      const high = floor(mul(bytes, 1 / 16));
      const integers = reshape(stack([sub(bytes, mul(high, 16)), high], -1), [...ids.shape, blocks, blockSize]);
      return mul(sub(integers, zero), perBlock(scales));
    });
    const product = parts.reduce((a, b) => add(a, b));
    return reshape(this.minimums ? add(product, perBlock(this.minimums)) : product, [...ids.shape, blocks * blockSize]);
  }
}

/** Whether some weights of a model are in blocks. */
export const hasBlocks = (model: Module): boolean =>
  model instanceof BlockWeight || Object.values(model).some((child) => [child].flat().some((part) => part instanceof Module && hasBlocks(part)));

/** x Wᵀ + b, with W in blocks. */
export class BlockLinear extends Module {
  readonly weight: BlockWeight;
  readonly bias?: Parameter;

  constructor(rows: number, columns: number, matrix: BlockMatrix, { bias, ...options }: BlockLayerOptions & { bias?: Parameter } = {}) {
    super();
    this.weight = new BlockWeight(rows, columns, matrix, options);
    if (bias) this.bias = bias;
  }

  /** x: [..., K] -> [..., N] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const product = this.weight.times(x);
    return this.bias ? add(product, this.bias.value) : product;
  }
}

/** A table in blocks: rows are expanded when they are looked up. */
export class BlockEmbedding extends Module {
  readonly weight: BlockWeight;

  constructor(rows: number, columns: number, matrix: BlockMatrix, options: BlockLayerOptions = {}) {
    super();
    this.weight = new BlockWeight(rows, columns, matrix, options);
  }

  /** ids: [...] -> [..., K] */
  forward(ids: Tensor<"i32">): Tensor<"f32"> {
    return this.weight.rows(ids);
  }

  /** x: [..., K] -> x Wᵀ [..., N]: an output layer that shares the table */
  project(x: Tensor<"f32">): Tensor<"f32"> {
    return this.weight.times(x);
  }
}

/** Each linear layer and table of a model, with the field that holds it and the checkpoint key of its weight. */
function* weightedLayers(model: Module): Generator<{ holder: object; field: string; layer: Linear | Embedding; key: string }, void, void> {
  const keyOf = new Map([...model.namedState()].map(([key, variable]) => [variable, key] as const));
  function* visit(holder: object): ReturnType<typeof weightedLayers> {
    for (const [field, child] of Object.entries(holder)) {
      if (child instanceof Linear || child instanceof Embedding) yield { holder, field, layer: child, key: keyOf.get(child.weight) as string };
      else if (child instanceof Module || Array.isArray(child)) yield* visit(child);
    }
  }
  yield* visit(model);
}

/** Keys and shapes of the weights that may be in blocks. */
export const blockKeys = (model: Module): Map<string, readonly number[]> =>
  new Map([...weightedLayers(model)].map(({ key, layer }) => [key, layer.weight.shape]));

/**
 * Puts layers with weights in blocks in the place of linear layers and tables.
 * @param blocksOf the blocks for the checkpoint key of a weight; undefined leaves the layer as it is
 */
export function useBlocks(model: Module, blocksOf: (key: string) => BlockMatrix | undefined, options: BlockLayerOptions = {}): void {
  for (const { holder, field, layer, key } of [...weightedLayers(model)]) {
    const matrix = blocksOf(key);
    if (!matrix) continue;
    const [rows, columns] = layer.weight.shape;
    const inBlocks =
      layer instanceof Linear ? new BlockLinear(rows, columns, matrix, { ...options, bias: layer.bias }) : new BlockEmbedding(rows, columns, matrix, options);
    Object.assign(holder, { [field]: inBlocks });
    layer.weight.dispose();
  }
}
