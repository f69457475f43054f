import type { Float4Type } from "./float4.ts";

/**
 * A matrix [N, K] of 4- or 8-bit integers: integer minus `zero`, times the scale of its block, plus the block's
 * minimum. Or, with `float4`, of places in a table: its number times the scale of the block.
 */
export interface BlockMatrix {
  bits: 4 | 8;
  /** Numbers of a row that share a scale: 16, 32, 64, 128 or 256. */
  blockSize: number;
  /** The table of 16 numbers that the integers are places of. @default none: they are numbers themselves */
  float4?: Float4Type;
  /**
   * Of two 4-bit integers in a byte the low one first, of two places of a table the high one: [N, K / blockSize,
   * blockSize bits / 8]
   */
  packed: Uint8Array;
  /** [N, K / blockSize] */
  scales: Float32Array;
  /** The integer that stands for 0. */
  zero: number;
  /** [N, K / blockSize] @default 0 */
  minimums?: Float32Array;
}

/** What matrices must have in common to be rows of one. */
export interface BlockKind extends Pick<BlockMatrix, "bits" | "blockSize" | "zero" | "float4"> {
  hasMinimums: boolean;
}

/** A matrix in blocks that is still as a file has it. */
export interface BlockSource {
  kind: BlockKind;
  /** Writes its numbers into a matrix of its kind, in the place of those from number `first` on. Called once. */
  pack(into: BlockMatrix, first: number): void;
}

/** A matrix of so many numbers, all 0. */
export function emptyBlocks({ hasMinimums, ...kind }: BlockKind, count: number): BlockMatrix {
  const blocks = count / kind.blockSize;
  const minimums = hasMinimums ? new Float32Array(blocks) : undefined;
  return { ...kind, packed: new Uint8Array((count * kind.bits) / 8), scales: new Float32Array(blocks), minimums };
}
