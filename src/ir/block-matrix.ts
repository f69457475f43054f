/** A matrix [N, K] of 4- or 8-bit integers: integer minus `zero`, times the scale of its block, plus the block's minimum. */
export interface BlockMatrix {
  bits: 4 | 8;
  /** Numbers of a row that share a scale: 16, 32, 64, 128 or 256. */
  blockSize: number;
  /** Of two 4-bit integers in a byte the low one first: [N, K / blockSize, blockSize bits / 8] */
  packed: Uint8Array;
  /** [N, K / blockSize] */
  scales: Float32Array;
  /** The integer that stands for 0. */
  zero: number;
  /** [N, K / blockSize] @default 0 */
  minimums?: Float32Array;
}
