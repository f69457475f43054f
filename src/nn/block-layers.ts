/** Layers whose weights are blocks of 4- or 8-bit integers, and stay so: for running, and for training what is around them. */
import { add, blockMatmul, cast, floor, gather, matmul, mul, reshape, stack, sub, sum, type Tensor } from "../tensor/index.ts";
import { Embedding, Linear } from "./layers.ts";
import { ModelBuffer, Module, type Parameter } from "./module.ts";

/** A matrix [N, K]: integer minus `zero`, times the block's scale, plus its minimum. */
export interface BlockMatrix {
  bits: 4 | 8;
  /** Numbers of a row that share a scale: 16, 32, 64, 128 or 256. */
  blockSize: number;
  /** Of two 4-bit integers in a byte the low one first: [N, K / blockSize, blockSize bits / 8] */
  packed: Uint8Array;
  /** [N, K / blockSize] */
  scales: Float32Array;
  zero: number;
  /** [N, K / blockSize] @default 0 */
  minimums?: Float32Array;
}

class BlockWeight extends Module {
  readonly packed: ModelBuffer<"u8">; // [N, blocks, bytes]
  readonly scales: ModelBuffer; // [N, blocks]
  readonly zeroPoints: ModelBuffer<"u8">; // [N, bytes of a zero for each block]
  readonly minimums?: ModelBuffer; // [N, blocks]
  private readonly format: { bits: 4 | 8; blockSize: number };
  private readonly zero: number;

  constructor(rows: number, columns: number, { bits, blockSize, packed, scales, zero, minimums }: BlockMatrix) {
    super();
    const blocks = columns / blockSize;
    const zeroBytes = Math.ceil((blocks * bits) / 8);
    this.packed = new ModelBuffer([rows, blocks, (blockSize * bits) / 8], packed, "u8");
    this.scales = new ModelBuffer([rows, blocks], scales);
    this.zeroPoints = new ModelBuffer([rows, zeroBytes], new Uint8Array(rows * zeroBytes).fill(bits === 8 ? zero : zero * 17), "u8");
    if (minimums) this.minimums = new ModelBuffer([rows, blocks], minimums);
    this.format = { bits, blockSize };
    this.zero = zero;
  }

  /** x: [..., K] -> x Wᵀ [..., N] */
  times(x: Tensor<"f32">): Tensor<"f32"> {
    const product = blockMatmul(x, this.packed.value, this.scales.value, this.zeroPoints.value, this.format);
    if (!this.minimums) return product;
    // a block's minimum is added to all its numbers, so it meets the sum of what they are multiplied with
    const { blockSize } = this.format;
    const blocks = this.scales.shape[1];
    const sums = sum(reshape(x, [...x.shape.slice(0, -1), blocks, blockSize]), { axes: -1 }); // [..., blocks]
    return add(product, matmul(sums, this.minimums.value, { transposeB: true }));
  }

  /** ids: [...] -> rows [..., K], in f32 */
  rows(ids: Tensor<"i32">): Tensor<"f32"> {
    const { bits, blockSize } = this.format;
    const blocks = this.scales.shape[1];
    const bytes = cast(gather(this.packed.value, ids, 0), "f32"); // [..., blocks, bytes]
    const high = floor(mul(bytes, 1 / 16));
    const integers = bits === 8 ? bytes : stack([sub(bytes, mul(high, 16)), high], -1);
    const shape = [...ids.shape, blocks, blockSize];
    const perBlock = (x: Tensor<"f32">) => reshape(x, [...ids.shape, blocks, 1]);
    const scaled = mul(sub(reshape(integers, shape), this.zero), perBlock(gather(this.scales.value, ids, 0)));
    const numbers = this.minimums ? add(scaled, perBlock(gather(this.minimums.value, ids, 0))) : scaled;
    return reshape(numbers, [...ids.shape, blocks * blockSize]);
  }
}

/** x Wᵀ + b, with W in blocks. */
export class BlockLinear extends Module {
  readonly weight: BlockWeight;
  readonly bias?: Parameter;

  constructor(rows: number, columns: number, matrix: BlockMatrix, bias?: Parameter) {
    super();
    this.weight = new BlockWeight(rows, columns, matrix);
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

  constructor(rows: number, columns: number, matrix: BlockMatrix) {
    super();
    this.weight = new BlockWeight(rows, columns, matrix);
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

/**
 * Puts layers with weights in blocks in the place of linear layers and tables.
 * @param blocksOf the blocks for the checkpoint key of a weight; undefined leaves the layer as it is
 */
export function useBlocks(model: Module, blocksOf: (key: string) => BlockMatrix | undefined): void {
  const nameOf = new Map([...model.namedState()].map(([key, variable]) => [variable, key] as const));
  const visit = (holder: object): void => {
    for (const [field, child] of Object.entries(holder)) {
      if (child instanceof Linear || child instanceof Embedding) {
        const { weight } = child;
        const matrix = blocksOf(nameOf.get(weight) as string);
        if (!matrix) continue;
        const [rows, columns] = weight.shape;
        const layer = child instanceof Linear ? new BlockLinear(rows, columns, matrix, child.bias) : new BlockEmbedding(rows, columns, matrix);
        Object.assign(holder, { [field]: layer });
        weight.dispose();
      } else if (child instanceof Module || Array.isArray(child)) visit(child);
    }
  };
  visit(model);
}
