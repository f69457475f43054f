/**
 * Layers whose weights are blocks of 4- or 8-bit integers, or of places in a table, and stay so: for running, and for
 * training what is around them.
 */
import {
  type BlockKind,
  type BlockMatrix,
  type BlockSource,
  emptyBlocks,
  type Float4Type,
  float4Pairs,
  knownHash,
  noteHash,
} from "../base/index.ts";
import {
  add,
  arange,
  blockMatmul,
  cast,
  constant,
  float4Matmul,
  floor,
  gather,
  matmul,
  moveAxis,
  mul,
  reshape,
  slice,
  stack,
  sub,
  sum,
  type Tensor,
} from "../tensor/index.ts";
import { Embedding, Linear } from "./layers.ts";
import { mapModules, namedModules, projectionsOfOneInput } from "./map-modules.ts";
import { type Module, type Parameter, prefixOf } from "./module.ts";
import { EmbeddingTable, Projection } from "./projection.ts";

/** Integers, a factor for each block, and the integer that stands for 0. */
interface Plane {
  bits: 4 | 8;
  packed: Tensor<"u8">; // [N, blocks, blockSize bits / 8]
  scales: Tensor<"f32">; // [N, blocks]
  zeroPoints: Tensor<"u8">; // [N, blocks bits / 8]
  zero: number;
}

function planeOf(rows: number, blocks: number, { bits, blockSize, packed, scales, zero }: BlockMatrix): Plane {
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  return {
    bits,
    packed: constant("u8", [rows, blocks, (blockSize * bits) / 8], packed),
    scales: constant("f32", [rows, blocks], scales),
    zeroPoints: constant("u8", [rows, zeroBytes], new Uint8Array(rows * zeroBytes).fill(bits === 4 ? zero * 17 : zero)),
    zero,
  };
}

/** 8 bits as two matrices of 4: (q - zero) s = (high - zero / 16) 16 s + low s. */
function nibblesOf({ packed, scales, zero, ...matrix }: BlockMatrix): BlockMatrix[] {
  const [high, low] = [4, 0].map((shift) => {
    const out = new Uint8Array(packed.length / 2);
    for (let i = 0; i < out.length; i++)
      out[i] = ((packed[2 * i] >> shift) & 15) | (((packed[2 * i + 1] >> shift) & 15) << 4);
    return out;
  });
  const scaled = scales.map((scale) => 16 * scale);
  return [
    { ...matrix, bits: 4, packed: high, scales: scaled, zero: zero >> 4 },
    { ...matrix, bits: 4, packed: low, scales, zero: zero & 15 },
  ];
}

/** In which precision layers with weights in blocks compute. */
export interface BlockLayerOptions {
  /** What the layers' inputs are rounded to on the CPU; see blockMatmul. @default "int8" */
  activations?: "int8" | "f32";
  /**
   * Gives a matrix with so many numbers of a kind: what `make` makes, or the same from elsewhere. Kernels have weights
   * in an order of their own, and read these when a graph is compiled. @default in memory
   */
  keep?: (kind: BlockKind, count: number, make: () => BlockMatrix) => BlockMatrix;
}

/** A matrix in blocks as constants of the graphs that use it, which the kernels want so: they are not trained. */
class BlockTable {
  private readonly columns: number;
  private readonly blockSize: number;
  private readonly planes: readonly Plane[];
  private readonly minimums?: Tensor<"f32">; // [blocks, N]
  private readonly float4?: Float4Type;
  private readonly activations: "int8" | "f32";

  constructor(rows: number, columns: number, matrix: BlockMatrix, { activations = "int8" }: BlockLayerOptions) {
    const { blockSize, minimums, float4 } = matrix;
    const blocks = columns / blockSize;
    this.columns = columns;
    this.blockSize = blockSize;
    this.activations = activations;
    this.float4 = float4;
    // with an input in f32 the kernel for 4 bits is many times as fast as that for 8, which expands the matrix first
    const parts = matrix.bits === 8 && activations === "f32" ? nibblesOf(matrix) : [matrix];
    this.planes = parts.map((part) => planeOf(rows, blocks, part));
    if (minimums) {
      const byBlock = new Float32Array(minimums.length);
      for (let n = 0; n < rows; n++)
        for (let block = 0; block < blocks; block++) byBlock[block * rows + n] = minimums[n * blocks + block];
      const hash = knownHash(minimums);
      if (hash !== undefined) noteHash(byBlock, `${hash} by block`);
      this.minimums = constant("f32", [blocks, rows], byBlock);
    }
  }

  private get blocks(): number {
    return this.columns / this.blockSize;
  }

  /** x: [..., K] -> x Wᵀ [..., N] */
  times(x: Tensor<"f32">): Tensor<"f32"> {
    const { blocks, blockSize, activations, float4 } = this;
    const products = this.planes.map(({ bits, packed, scales, zeroPoints }) =>
      float4
        ? float4Matmul(x, packed, scales, { type: float4, blockSize })
        : blockMatmul(x, packed, scales, zeroPoints, { bits, blockSize, activations }),
    );
    const product = products.reduce((a, b) => add(a, b));
    if (!this.minimums) return product;
    // a block's minimum is added to all its numbers, so it meets the sum of what they are multiplied with
    const sums = sum(reshape(x, [-1, blocks, blockSize]), { axes: 2 }); // [rows of x, blocks]
    return add(product, reshape(matmul(sums, this.minimums), product.shape));
  }

  /** ids: [...] -> rows [..., K], in f32 */
  rows(ids: Tensor<"i32">): Tensor<"f32"> {
    const { blocks, blockSize, float4 } = this;
    const perBlock = (numbers: Tensor<"f32">) => reshape(numbers, [...ids.shape, blocks, 1]);
    const parts = this.planes.map(({ bits, packed, scales, zero }) => {
      if (float4) return mul(levelsOf(float4, gather(packed, ids, 0), blockSize), perBlock(gather(scales, ids, 0)));
      const bytes = cast(gather(packed, ids, 0), "f32"); // [..., blocks, blockSize bits / 8]
      return mul(
        sub(bits === 8 ? bytes : nibbles(bytes, [...ids.shape, blocks, blockSize]), zero),
        perBlock(gather(scales, ids, 0)),
      );
    });
    const product = parts.reduce((a, b) => add(a, b));
    const result = this.minimums ? add(product, perBlock(moveAxis(gather(this.minimums, ids, 1), 0, -1))) : product;
    return reshape(result, [...ids.shape, blocks * blockSize]);
  }
}

/** Numbers of a table by bytes with two places each: [..., blocks, blockSize / 2] -> [..., blocks, blockSize] */
function levelsOf(type: Float4Type, bytes: Tensor<"u8">, blockSize: number): Tensor<"f32"> {
  const pairs = constant("f32", [256, 2], Float32Array.from(float4Pairs(type)));
  return reshape(gather(pairs, cast(bytes, "i32"), 0), [...bytes.shape.slice(0, -1), blockSize]);
}

/** Of two 4-bit numbers in a byte the low one comes first. */
function nibbles(bytes: Tensor<"f32">, shape: Tensor["shape"]): Tensor<"f32"> {
  const high = floor(mul(bytes, 1 / 16));
  return reshape(stack([sub(bytes, mul(high, 16)), high], -1), shape);
}

/**
 * A weight in blocks: all rows of a matrix, or those of one of several layers that have the same input and compute one
 * product together.
 */
class BlockWeight {
  readonly shape: readonly [rows: number, columns: number];
  private readonly table: BlockTable;
  private readonly start: number;

  constructor(shape: readonly [rows: number, columns: number], table: BlockTable, start = 0) {
    this.shape = shape;
    this.table = table;
    this.start = start;
  }

  /** x: [..., K] -> x Wᵀ [..., N] */
  times(x: Tensor<"f32">): Tensor<"f32"> {
    const product = this.table.times(x);
    const [start, end] = [this.start, this.start + this.shape[0]];
    return end - start === product.shape[product.rank - 1] ? product : slice(product, { axis: -1, start, end });
  }

  /** ids: [...] -> rows [..., K], in f32 */
  rows(ids: Tensor<"i32">): Tensor<"f32"> {
    return this.table.rows(this.start === 0 ? ids : add(ids, this.start));
  }
}

/** x Wᵀ + b, with W in blocks. Gradients go to x and b: those to x are of the matrix that the blocks stand for. */
export class BlockLinear extends Projection {
  readonly weight: BlockWeight; // [N, K]
  readonly bias?: Parameter; //    [N]

  constructor(weight: BlockWeight, bias?: Parameter) {
    super();
    this.weight = weight;
    if (bias) this.bias = bias;
  }

  get inFeatures(): number {
    return this.weight.shape[1];
  }

  get outFeatures(): number {
    return this.weight.shape[0];
  }

  matrix(): Tensor<"f32"> {
    return this.weight.rows(arange(this.outFeatures));
  }

  /** x: [..., K] -> [..., N] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const product = this.weight.times(x);
    return this.bias ? add(product, this.bias.value) : product;
  }
}

/** A table in blocks: rows are expanded when they are looked up. */
export class BlockEmbedding extends EmbeddingTable {
  readonly weight: BlockWeight; // [V, D]

  constructor(weight: BlockWeight) {
    super();
    this.weight = weight;
  }

  get numEmbeddings(): number {
    return this.weight.shape[0];
  }

  get embeddingDim(): number {
    return this.weight.shape[1];
  }

  /** ids: [...] -> [..., D] */
  forward(ids: Tensor<"i32">): Tensor<"f32"> {
    return this.weight.rows(ids);
  }

  /** x: [..., D] -> x Wᵀ [..., V]: an output layer that shares the table */
  project(x: Tensor<"f32">): Tensor<"f32"> {
    return this.weight.times(x);
  }

  /** -> [V, D], in f32 */
  rows(): Tensor<"f32"> {
    return this.weight.rows(arange(this.numEmbeddings));
  }
}

/** Whether some weights of a model are in blocks. */
export function hasBlocks(model: Module): boolean {
  for (const [, module] of namedModules(model))
    if (module instanceof BlockLinear || module instanceof BlockEmbedding) return true;
  return false;
}

/** Keys and shapes of the weights that may be in blocks. */
export function blockKeys(model: Module): Map<string, readonly number[]> {
  const keys = new Map<string, readonly number[]>();
  for (const [path, module] of namedModules(model))
    if (mayBlock(module)) keys.set(weightKey(path), module.weight.shape);
  return keys;
}

const mayBlock = (module: Module): module is Linear | Embedding =>
  module instanceof Linear || module instanceof Embedding;
const weightKey = (path: string) => `${prefixOf(path)}weight`;

/** Linear layers, or a table, whose rows become one matrix in blocks, with the blocks of each. */
type BlockGroup = Map<Linear | Embedding, BlockSource>;

/** Layers of a module that have the same input, and blocks of the same kind, are together; the others are alone. */
function groupsOf(model: Module, sources: ReadonlyMap<Module, BlockSource>): BlockGroup[] {
  const groups: BlockGroup[] = [];
  const grouped = new Set<Module>();
  const group = (layers: readonly Module[]) => {
    const byKind = new Map<string, BlockGroup>();
    for (const layer of layers) {
      const source = sources.get(layer);
      if (!source || !mayBlock(layer) || grouped.has(layer)) continue;
      const { bits, blockSize, zero, hasMinimums, float4 } = source.kind;
      const kind = [bits, blockSize, zero, hasMinimums, float4].join();
      byKind.set(kind, (byKind.get(kind) ?? new Map()).set(layer, source));
      grouped.add(layer);
    }
    groups.push(...byKind.values());
  };
  for (const layers of projectionsOfOneInput(model)) group(layers);
  for (const layer of sources.keys()) group([layer]);
  return groups;
}

/**
 * Puts layers with weights in blocks in the place of linear layers and tables. Layers that have the same input compute
 * one product together, which is split: a token costs fewer, larger operations.
 * @param blocksOf the blocks for the checkpoint key of a weight; undefined leaves the layer as it is
 */
export function useBlocks(
  model: Module,
  blocksOf: (key: string) => BlockSource | undefined,
  options: BlockLayerOptions = {},
): void {
  const sources = new Map<Module, BlockSource>();
  for (const [path, module] of namedModules(model)) {
    const source = mayBlock(module) ? blocksOf(weightKey(path)) : undefined;
    if (source) sources.set(module, source);
  }
  const replacements = new Map<Module, Module>();
  for (const group of groupsOf(model, sources))
    for (const [layer, replacement] of inBlocks(group, options)) replacements.set(layer, replacement);
  mapModules(model, (_, module) => replacements.get(module));
  for (const layer of sources.keys()) (layer as Linear | Embedding).weight.dispose();
}

/** The layers of a group, with what takes their places. */
function inBlocks(group: BlockGroup, options: BlockLayerOptions): Map<Module, Module> {
  const [[{ weight: first }, { kind }]] = group;
  const [, columns] = first.shape;
  const rows = [...group.keys()].reduce((total, { weight }) => total + weight.shape[0], 0);
  const { keep = (_kind, _count, make) => make() } = options;
  const matrix = keep(kind, rows * columns, () => {
    const blocks = emptyBlocks(kind, rows * columns);
    let filled = 0;
    for (const [{ weight }, source] of group) {
      source.pack(blocks, filled * columns);
      filled += weight.shape[0];
    }
    return blocks;
  });
  const table = new BlockTable(rows, columns, matrix, options);
  const replacements = new Map<Module, Module>();
  let start = 0;
  for (const layer of group.keys()) {
    const [height] = layer.weight.shape;
    const weight = new BlockWeight([height, columns], table, start);
    replacements.set(layer, layer instanceof Linear ? new BlockLinear(weight, layer.bias) : new BlockEmbedding(weight));
    start += height;
  }
  return replacements;
}
