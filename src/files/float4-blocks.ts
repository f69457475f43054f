/** Weights in NF4 and FP4 as bitsandbytes packs them: blocks of numbers of a table, with a factor for each. */
import { type BlockSource, type Float4Type, float4Levels, float4Pairs } from "../base/index.ts";

/** Numbers of 4 bits in blocks along the flat weight, which have a factor each. */
export interface Float4Numbers {
  type: Float4Type;
  /** Numbers that share a factor. */
  blockSize: number;
  /** Places in the table, two to a byte, the high half first: [count / 2] */
  packed: Uint8Array;
  /** The largest absolute value of each block: [count / blockSize] */
  absmax: Float32Array;
}

/** What bitsandbytes divides by at least. */
const LEAST_ABSMAX = 1e-38;

/**
 * The nearest numbers of the table times each block's largest absolute value, as bitsandbytes' quantize_4bit chooses
 * them: halfway it is the lower one. Dettmers et al. 2023, arXiv:2305.14314, section 3.
 */
export function encodeFloat4(
  numbers: Float32Array,
  { type, blockSize }: Pick<Float4Numbers, "type" | "blockSize">,
): Float4Numbers {
  const levels = float4Levels[type];
  const order = levels.map((_, place) => place).sort((a, b) => levels[a] - levels[b]);
  const middles = order.slice(1).map((place, i) => Math.fround(Math.fround(levels[order[i]] + levels[place]) / 2));
  const packed = new Uint8Array(numbers.length / 2);
  const absmax = new Float32Array(numbers.length / blockSize);
  for (let block = 0; block < absmax.length; block++) {
    const start = block * blockSize;
    let largest = 0;
    for (let i = start; i < start + blockSize; i++) largest = Math.max(largest, Math.abs(numbers[i]));
    absmax[block] = largest;
    const factor = Math.fround(1 / Math.max(largest, LEAST_ABSMAX));
    for (let i = start; i < start + blockSize; i++) {
      const scaled = Math.fround(numbers[i] * factor);
      let [low, high] = [0, middles.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (middles[middle] < scaled) low = middle + 1;
        else high = middle;
      }
      packed[i >> 1] |= i % 2 === 0 ? order[low] << 4 : order[low];
    }
  }
  return { type, blockSize, packed, absmax };
}

/** The numbers that packed ones stand for. */
export function decodeFloat4({ type, blockSize, packed, absmax }: Float4Numbers): Float32Array {
  const pairs = Float32Array.from(float4Pairs(type));
  const numbers = new Float32Array(packed.length * 2);
  for (let i = 0; i < numbers.length; i++)
    numbers[i] = pairs[2 * packed[i >> 1] + (i & 1)] * absmax[Math.floor(i / blockSize)];
  return numbers;
}

/** Packed numbers as rows of a matrix, whose width is a multiple of the block size. */
export function float4Source({ type, blockSize, packed, absmax }: Float4Numbers): BlockSource {
  return {
    kind: { bits: 4, blockSize, zero: 0, hasMinimums: false, float4: type },
    pack: (into, first) => {
      into.packed.set(packed, first / 2);
      into.scales.set(absmax, first / blockSize);
    },
  };
}
