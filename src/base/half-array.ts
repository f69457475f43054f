import { widen } from "./half.mjs";

/** Numbers that are kept in 16 bits until they are needed in 32: weights of a checkpoint. */
export class HalfArray {
  readonly dtype: "f16" | "bf16";
  readonly bits: Uint16Array;

  constructor(dtype: "f16" | "bf16", bits: Uint16Array) {
    this.dtype = dtype;
    this.bits = bits;
  }

  get length(): number {
    return this.bits.length;
  }

  /** In f32. */
  widened(): Float32Array {
    return widen(this.dtype, this.bits);
  }
}
