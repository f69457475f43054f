import {
  type BlockMatrix,
  type BlockSource,
  bytesPerElement,
  emptyBlocks,
  fromFloat16Bits,
  hostArrayFromBytes,
  narrow,
  toFloat16Bits,
  widenToF32,
} from "../base/index.ts";
import { encodeQ4K } from "./gguf-q4k.ts";

/*
 * How GGUF stores numbers: in blocks along a row, of parts that share a scale. A number is (integer - zero) scale +
 * minimum; "q4_0" has 4 bits of integer and no minimum, the _1 formats have one, and the K formats divide a block of
 * 256 into parts whose scales are integers times the block's. All are little-endian.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export interface BlockFormat {
  /** ggml's number of the type. */
  readonly code: number;
  /** Numbers in a block. */
  readonly size: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /**
   * Writes the numbers of the block at byte `at` to `out`, from `to` on. None for numbers that are stored one by one.
   */
  decode?(block: DataView, at: number, out: Float32Array, to: number): void;
  /** Writes the block at byte `at` for the numbers of `x` from `from` on. Not for all formats. */
  encode?(x: Float32Array, from: number, block: DataView, at: number): void;
  /** What the block's integers are; none where numbers are stored as they are. */
  readonly integers?: BlockIntegers;
}

/** Integers of a block, and what they are multiplied by. */
export interface BlockIntegers {
  /** The integer that stands for 0. */
  readonly zero: number;
  /** Numbers that share a scale. */
  readonly partSize: number;
  readonly hasMinimum: boolean;
  /** The i-th integer of the block at byte `at`: from 0 to 15, or 255 for formats of more bits. */
  integer(block: DataView, at: number, i: number): number;
  scale(block: DataView, at: number, part: number): number;
  minimum(block: DataView, at: number, part: number): number;
  /**
   * Writes a block's integers, packed as BlockMatrix has them, from `to` on: what the commonest formats do without a
   * call for each.
   */
  pack?(bytes: Uint8Array, at: number, packed: Uint8Array, to: number): void;
}

const half = (block: DataView, at: number) => fromFloat16Bits(block.getUint16(at, true));
const setHalf = (block: DataView, at: number, value: number) => block.setUint16(at, toFloat16Bits(value), true);
const { fround } = Math;

/** A format of integers. */
function quantized(
  [code, size, bytes]: readonly [code: number, size: number, bytes: number],
  integers: Omit<BlockIntegers, "minimum" | "hasMinimum"> & Partial<BlockIntegers>,
  encode?: BlockFormat["encode"],
): BlockFormat & { integers: BlockIntegers } {
  const whole: BlockIntegers = { hasMinimum: integers.minimum !== undefined, minimum: () => 0, ...integers };
  const { zero, partSize, hasMinimum } = whole;
  const decode = (block: DataView, at: number, out: Float32Array, to: number) => {
    for (let part = 0; part * partSize < size; part++) {
      const [scale, minimum] = [whole.scale(block, at, part), whole.minimum(block, at, part)];
      for (let i = part * partSize; i < (part + 1) * partSize; i++) {
        const value = (whole.integer(block, at, i) - zero) * scale;
        out[to + i] = hasMinimum ? value + minimum : value; // adding 0 would make 0 of -0
      }
    }
  };
  return { code, size, bytes, decode, encode, integers: whole };
}

/**
 * Blocks of 32: 4-bit numbers of which byte j holds that of j and j + 16, and perhaps a fifth bit of each in a word.
 */
function fourBits(code: number, { hasMinimum, hasFifthBit }: { hasMinimum: boolean; hasFifthBit: boolean }) {
  const header = hasMinimum ? 4 : 2;
  const low = header + (hasFifthBit ? 4 : 0);
  return quantized(
    [code, 32, low + 16],
    {
      zero: hasMinimum ? 0 : hasFifthBit ? 16 : 8,
      partSize: 32,
      integer: (block, at, i) => {
        const byte = block.getUint8(at + low + (i & 15));
        const fifth = hasFifthBit ? (block.getUint32(at + header, true) >>> i) & 1 : 0;
        return (i < 16 ? byte & 15 : byte >> 4) | (fifth << 4);
      },
      scale: half,
      ...(hasMinimum && { minimum: (block: DataView, at: number) => half(block, at + 2) }),
      ...(!hasFifthBit && {
        pack: (bytes: Uint8Array, at: number, packed: Uint8Array, to: number) =>
          packNibbles(bytes, at + header, packed, to),
      }),
    },
    hasMinimum && hasFifthBit
      ? undefined
      : (x, from, block, at) => encodeFourBits(x, from, block, at, { hasMinimum, hasFifthBit }),
  );
}

/** Byte j holds numbers j and j + 16, and packed ones neighbours. */
function packNibbles(bytes: Uint8Array, at: number, packed: Uint8Array, to: number): void {
  for (let j = 0; j < 8; j++) {
    const [even, odd] = [bytes[at + 2 * j], bytes[at + 2 * j + 1]];
    packed[to + j] = (even & 15) | ((odd & 15) << 4);
    packed[to + j + 8] = (even >> 4) | (odd & 240);
  }
}

/** As ggml rounds: the largest magnitude becomes -8 (q4_0) or -16 (q5_0), or the range is cut into 15 parts (q4_1). */
function encodeFourBits(
  x: Float32Array,
  from: number,
  block: DataView,
  at: number,
  { hasMinimum, hasFifthBit }: { hasMinimum: boolean; hasFifthBit: boolean },
): void {
  const top = hasFifthBit ? 31 : 15;
  const middle = (top + 1) / 2;
  let [largest, lowest, highest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let j = from; j < from + 32; j++) {
    if (Math.abs(x[j]) > Math.abs(largest)) largest = x[j];
    lowest = Math.min(lowest, x[j]);
    highest = Math.max(highest, x[j]);
  }
  const scale = fround(hasMinimum ? fround(highest - lowest) / top : largest / -middle);
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  const q = (value: number) => {
    const scaled = fround(fround(hasMinimum ? fround(value - lowest) : value) * inverse);
    return Math.min(top, Math.trunc(fround(scaled + (hasMinimum ? 0.5 : middle + 0.5))));
  };
  setHalf(block, at, scale);
  if (hasMinimum) setHalf(block, at + 2, lowest);
  const header = at + (hasMinimum ? 4 : 2);
  const low = header + (hasFifthBit ? 4 : 0);
  let fifths = 0;
  for (let j = 0; j < 16; j++) {
    const [first, second] = [q(x[from + j]), q(x[from + j + 16])];
    block.setUint8(low + j, (first & 15) | ((second & 15) << 4));
    fifths |= ((first >> 4) << j) | ((second >> 4) << (j + 16));
  }
  if (hasFifthBit) block.setUint32(header, fifths >>> 0, true);
}

const q8 = quantized(
  [8, 32, 34],
  {
    zero: 128,
    partSize: 32,
    integer: (block, at, i) => block.getInt8(at + 2 + i) + 128,
    scale: half,
    pack: (bytes, at, packed, to) => {
      for (let i = 0; i < 32; i++) packed[to + i] = bytes[at + 2 + i] ^ 128; // from -128 on
    },
  },
  (x, from, block, at) => {
    let largest = 0;
    for (let j = from; j < from + 32; j++) largest = Math.max(largest, Math.abs(x[j]));
    const scale = fround(largest / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    setHalf(block, at, scale);
    for (let j = 0; j < 32; j++) {
      const value = fround(x[from + j] * inverse);
      block.setInt8(at + 2 + j, Math.sign(value) * Math.floor(Math.abs(value) + 0.5)); // halves away from 0
    }
  },
);

/** Numbers that are stored one by one. */
const plain = (code: number, bytes: number): BlockFormat => ({ code, size: 1, bytes });

/** Of 128 numbers 32 bytes hold 2 bits each: bits 0 and 1 are those of numbers 0 to 31, and so on. */
const placeInHalf = (i: number) => (i >> 7) * 32 + (i & 31);
const shiftOf = (i: number) => ((i >> 5) & 3) * 2;

/** 2 bits; 16 parts of 16, each with 4 bits of scale and 4 of minimum. */
const q2K = quantized([10, 256, 84], {
  zero: 0,
  partSize: 16,
  integer: (block, at, i) => (block.getUint8(at + 16 + placeInHalf(i)) >> shiftOf(i)) & 3,
  scale: (block, at, part) => fround(half(block, at + 80) * (block.getUint8(at + part) & 15)),
  minimum: (block, at, part) => -fround(half(block, at + 82) * (block.getUint8(at + part) >> 4)),
});

/** 3 bits, of which the third lies apart; 16 parts of 16 with 6 bits of scale. */
const q3K = quantized([11, 256, 110], {
  zero: 4,
  partSize: 16,
  integer: (block, at, i) => {
    const third = (block.getUint8(at + (i & 31)) >> (i >> 5)) & 1;
    return ((block.getUint8(at + 32 + placeInHalf(i)) >> shiftOf(i)) & 3) | (third << 2);
  },
  scale: (block, at, part) => {
    const byte = (i: number) => block.getUint8(at + 96 + i);
    const low = part < 8 ? byte(part) & 15 : byte(part - 8) >> 4;
    const high = (byte(8 + (part & 3)) >> (2 * (part >> 2))) & 3;
    return fround(half(block, at + 108) * ((low | (high << 4)) - 32));
  },
});

/** Scale and minimum of 8 parts, 6 bits each, in 12 bytes. */
function scaleAndMinimum(block: DataView, at: number, part: number): [number, number] {
  const byte = (i: number) => block.getUint8(at + i);
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63];
  return [(byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4), (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4)];
}

/** 4 or 5 bits; 8 parts of 32 with 6 bits of scale and of minimum. A fifth bit of each number lies apart. */
function q45K(code: number, hasFifthBit: boolean, encode?: BlockFormat["encode"]) {
  const low = hasFifthBit ? 48 : 16;
  return quantized(
    [code, 256, hasFifthBit ? 176 : 144],
    {
      zero: 0,
      partSize: 32,
      integer: (block, at, i) => {
        const part = i >> 5;
        const byte = block.getUint8(at + low + (part >> 1) * 32 + (i & 31));
        const fifth = hasFifthBit ? (block.getUint8(at + 16 + (i & 31)) >> part) & 1 : 0;
        return (part & 1 ? byte >> 4 : byte & 15) | (fifth << 4);
      },
      scale: (block, at, part) => fround(half(block, at) * scaleAndMinimum(block, at + 4, part)[0]),
      minimum: (block, at, part) => -fround(half(block, at + 2) * scaleAndMinimum(block, at + 4, part)[1]),
    },
    encode,
  );
}

/** 6 bits, of which two lie apart; 16 parts of 16 with 8 bits of scale. */
const q6K = quantized([14, 256, 210], {
  zero: 32,
  partSize: 16,
  integer: (block, at, i) => {
    const byte = block.getUint8(at + (i >> 7) * 64 + (i & 63));
    const high = (block.getUint8(at + 128 + placeInHalf(i)) >> shiftOf(i)) & 3;
    return (i & 64 ? byte >> 4 : byte & 15) | (high << 4);
  },
  scale: (block, at, part) => fround(half(block, at + 208) * block.getInt8(at + 192 + part)),
});

/** The formats that are read; those with `encode` are written too. */
export const blockFormats = {
  f32: plain(0, 4),
  f16: plain(1, 2),
  bf16: plain(30, 2),
  q4_0: fourBits(2, { hasMinimum: false, hasFifthBit: false }),
  q4_1: fourBits(3, { hasMinimum: true, hasFifthBit: false }),
  q5_0: fourBits(6, { hasMinimum: false, hasFifthBit: true }),
  q5_1: fourBits(7, { hasMinimum: true, hasFifthBit: true }),
  q8_0: q8,
  q2_k: q2K,
  q3_k: q3K,
  q4_k: q45K(12, false, encodeQ4K),
  q5_k: q45K(13, true),
  q6_k: q6K,
} as const satisfies Record<string, BlockFormat>;

/** How the numbers of a GGUF tensor are stored: one by one, or in blocks with scales. */
export type GgufType = keyof typeof blockFormats;

/** Whether numbers are stored one by one: as tensors have them. */
const isPlain = (type: GgufType): type is "f32" | "f16" | "bf16" => blockFormats[type].size === 1;

/** The numbers of whole blocks. */
export function decodeBlocks(type: GgufType, bytes: Uint8Array): Float32Array {
  if (isPlain(type))
    return widenToF32(
      type,
      hostArrayFromBytes(type, bytes.subarray(0, bytes.length - (bytes.length % bytesPerElement[type]))),
    );
  const format: BlockFormat = blockFormats[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.floor(bytes.byteLength / format.bytes);
  const out = new Float32Array(count * format.size);
  for (let i = 0; i < count; i++) format.decode?.(view, i * format.bytes, out, i * format.size);
  return out;
}

/** Blocks for numbers, as many as make whole blocks; undefined for a format that is only read. */
export function encodeBlocks(type: GgufType, numbers: Float32Array): Uint8Array | undefined {
  if (isPlain(type)) {
    const { buffer, byteOffset, byteLength } = type === "f32" ? numbers : narrow(type, numbers);
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  }
  const format: BlockFormat = blockFormats[type];
  if (!format.encode) return undefined;
  const count = Math.floor(numbers.length / format.size);
  const bytes = new Uint8Array(count * format.bytes);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) format.encode(numbers, i * format.size, view, i * format.bytes);
  return bytes;
}

/** Whole rows of blocks, as a matrix of integers; undefined for numbers that are stored as they are. */
export function blockSource(type: GgufType, bytes: Uint8Array): BlockSource | undefined {
  const { integers }: BlockFormat = blockFormats[type];
  if (!integers) return undefined;
  const { zero, partSize, hasMinimum } = integers;
  const kind = {
    bits: fourBitTypes.includes(type) ? 4 : 8,
    blockSize: partSize,
    zero,
    hasMinimums: hasMinimum,
  } as const;
  return { kind, pack: (into, first) => pack(type, integers, bytes, into, first) };
}

/** See blockSource: by itself. */
export function packBlocks(type: GgufType, bytes: Uint8Array): BlockMatrix | undefined {
  const source = blockSource(type, bytes);
  if (!source) return undefined;
  const { size, bytes: blockBytes } = blockFormats[type];
  const matrix = emptyBlocks(source.kind, Math.floor(bytes.byteLength / blockBytes) * size);
  source.pack(matrix, 0);
  return matrix;
}

function pack(
  type: GgufType,
  integers: BlockIntegers,
  bytes: Uint8Array,
  { bits, packed, scales, minimums }: BlockMatrix,
  first: number,
): void {
  const { size, bytes: blockBytes } = blockFormats[type];
  const parts = size / integers.partSize;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.floor(bytes.byteLength / blockBytes);
  const firstPart = first / integers.partSize;
  for (let block = 0; block < count; block++) {
    const at = block * blockBytes;
    for (let part = 0; part < parts; part++) {
      scales[firstPart + block * parts + part] = integers.scale(view, at, part);
      if (minimums) minimums[firstPart + block * parts + part] = integers.minimum(view, at, part);
    }
    const to = first + block * size;
    if (integers.pack) integers.pack(bytes, at, packed, (to * bits) / 8);
    else packOneByOne(integers, view, at, { packed, to, size, bits });
  }
}

function packOneByOne(
  integers: BlockIntegers,
  view: DataView,
  at: number,
  { packed, to, size, bits }: { packed: Uint8Array; to: number; size: number; bits: 4 | 8 },
): void {
  for (let i = 0; i < size; i++) {
    const q = integers.integer(view, at, i);
    if (bits === 8) packed[to + i] = q;
    else packed[(to + i) >> 1] |= q << (4 * (i & 1));
  }
}

/** Formats whose integers have at most 4 bits. */
const fourBitTypes: readonly GgufType[] = ["q4_0", "q4_1", "q2_k", "q3_k", "q4_k"];
