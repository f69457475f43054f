import { fromBfloat16Bits, fromFloat16Bits, toBfloat16Bits, toFloat16Bits } from "../ir/index.ts";

/*
 * How GGUF stores numbers: in blocks along a row, each with its own scale in f16. "q4_0" is 4 bits a number times a scale;
 * the _1 formats add a smallest value, and the K formats divide a block of 256 into smaller ones whose scales are integers
 * times the block's. All are little-endian. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export interface BlockFormat {
  /** ggml's number of the type. */
  readonly code: number;
  /** Numbers in a block. */
  readonly size: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Writes the numbers of the block at byte `at` to `out`, from `to` on. */
  decode(block: DataView, at: number, out: Float32Array, to: number): void;
  /** Writes the block at byte `at` for the numbers of `x` from `from` on. Not for all formats. */
  encode?(x: Float32Array, from: number, block: DataView, at: number): void;
}

const half = (block: DataView, at: number) => fromFloat16Bits(block.getUint16(at, true));
const setHalf = (block: DataView, at: number, value: number) => block.setUint16(at, toFloat16Bits(value), true);

/** Blocks of 32: 4-bit numbers of which byte j holds that of j and j + 16, and perhaps a fifth bit of each in a word. */
function fourBits(code: number, { hasMinimum, hasFifthBit }: { hasMinimum: boolean; hasFifthBit: boolean }): BlockFormat {
  const header = hasMinimum ? 4 : 2;
  const low = header + (hasFifthBit ? 4 : 0);
  const zero = hasFifthBit ? 16 : 8;
  return {
    code,
    size: 32,
    bytes: low + 16,
    decode(block, at, out, to) {
      const scale = half(block, at);
      const minimum = hasMinimum ? half(block, at + 2) : 0;
      const fifth = hasFifthBit ? block.getUint32(at + header, true) : 0;
      for (let j = 0; j < 32; j++) {
        const byte = block.getUint8(at + low + (j & 15));
        const q = (j < 16 ? byte & 15 : byte >> 4) | (((fifth >>> j) & 1) << 4);
        out[to + j] = hasMinimum ? q * scale + minimum : (q - zero) * scale;
      }
    },
    encode: hasFifthBit ? undefined : (x, from, block, at) => encodeFourBits(x, from, block, at, hasMinimum),
  };
}

/** As ggml rounds: the largest magnitude becomes -8 (q4_0), or the range is cut into 15 parts (q4_1). */
function encodeFourBits(x: Float32Array, from: number, block: DataView, at: number, hasMinimum: boolean): void {
  let [largest, lowest, highest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let j = from; j < from + 32; j++) {
    if (Math.abs(x[j]) > Math.abs(largest)) largest = x[j];
    lowest = Math.min(lowest, x[j]);
    highest = Math.max(highest, x[j]);
  }
  const scale = Math.fround(hasMinimum ? Math.fround(highest - lowest) / 15 : largest / -8);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  const q = (value: number) => {
    const scaled = Math.fround(Math.fround(hasMinimum ? Math.fround(value - lowest) : value) * inverse);
    return Math.min(15, Math.trunc(Math.fround(scaled + (hasMinimum ? 0.5 : 8.5))));
  };
  setHalf(block, at, scale);
  if (hasMinimum) setHalf(block, at + 2, lowest);
  const low = at + (hasMinimum ? 4 : 2);
  for (let j = 0; j < 16; j++) block.setUint8(low + j, q(x[from + j]) | (q(x[from + j + 16]) << 4));
}

const q8: BlockFormat = {
  code: 8,
  size: 32,
  bytes: 34,
  decode(block, at, out, to) {
    const scale = half(block, at);
    for (let j = 0; j < 32; j++) out[to + j] = block.getInt8(at + 2 + j) * scale;
  },
  encode(x, from, block, at) {
    let largest = 0;
    for (let j = from; j < from + 32; j++) largest = Math.max(largest, Math.abs(x[j]));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    setHalf(block, at, scale);
    for (let j = 0; j < 32; j++) {
      const value = Math.fround(x[from + j] * inverse);
      block.setInt8(at + 2 + j, Math.sign(value) * Math.floor(Math.abs(value) + 0.5)); // halves away from 0
    }
  },
};

/** Numbers that are stored one by one. */
const plain = (
  code: number,
  bytes: number,
  get: (view: DataView, at: number) => number,
  set: (view: DataView, at: number, x: number) => void,
): BlockFormat => ({
  code,
  size: 1,
  bytes,
  decode: (block, at, out, to) => {
    out[to] = get(block, at);
  },
  encode: (x, from, block, at) => set(block, at, x[from]),
});

/** 2 bits; 16 parts of 16, each with 4 bits of scale and 4 of minimum. */
const q2K: BlockFormat = {
  code: 10,
  size: 256,
  bytes: 84,
  decode(block, at, out, to) {
    const [scale, minimum] = [half(block, at + 80), half(block, at + 82)];
    for (let i = 0; i < 256; i++) {
      const part = block.getUint8(at + (i >> 4));
      const q = (block.getUint8(at + 16 + placeInHalf(i)) >> shiftOf(i)) & 3;
      out[to + i] = Math.fround(scale * (part & 15)) * q - Math.fround(minimum * (part >> 4));
    }
  },
};
/** Of 128 numbers 32 bytes hold 2 bits each: bits 0 and 1 are those of numbers 0 to 31, and so on. */
const placeInHalf = (i: number) => (i >> 7) * 32 + (i & 31);
const shiftOf = (i: number) => ((i >> 5) & 3) * 2;

/** 3 bits, of which the third lies apart; 16 parts of 16 with 6 bits of scale. */
const q3K: BlockFormat = {
  code: 11,
  size: 256,
  bytes: 110,
  decode(block, at, out, to) {
    const scale = half(block, at + 108);
    const byte = (i: number) => block.getUint8(at + 96 + i);
    for (let i = 0; i < 256; i++) {
      const part = i >> 4;
      const low = part < 8 ? byte(part) & 15 : byte(part - 8) >> 4;
      const high = (byte(8 + (part & 3)) >> (2 * (part >> 2))) & 3;
      const hasThird = (block.getUint8(at + (i & 31)) >> (i >> 5)) & 1;
      const q = ((block.getUint8(at + 32 + placeInHalf(i)) >> shiftOf(i)) & 3) - (hasThird ? 0 : 4);
      out[to + i] = Math.fround(scale * ((low | (high << 4)) - 32)) * q;
    }
  },
};

/** Scale and minimum of 8 parts, 6 bits each, in 12 bytes. */
function scaleAndMinimum(block: DataView, at: number, part: number): [number, number] {
  const byte = (i: number) => block.getUint8(at + i);
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63];
  return [(byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4), (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4)];
}

/** 4 or 5 bits; 8 parts of 32 with 6 bits of scale and of minimum. A fifth bit of each number lies apart. */
const q45K = (code: number, hasFifthBit: boolean): BlockFormat => ({
  code,
  size: 256,
  bytes: hasFifthBit ? 176 : 144,
  decode(block, at, out, to) {
    const [scale, minimum] = [half(block, at), half(block, at + 2)];
    const low = at + (hasFifthBit ? 48 : 16);
    for (let part = 0; part < 8; part++) {
      const [s, m] = scaleAndMinimum(block, at + 4, part);
      const [d, offset] = [Math.fround(scale * s), Math.fround(minimum * m)];
      for (let j = 0; j < 32; j++) {
        const byte = block.getUint8(low + (part >> 1) * 32 + j);
        const fifth = hasFifthBit ? (block.getUint8(at + 16 + j) >> part) & 1 : 0;
        out[to + part * 32 + j] = d * ((part & 1 ? byte >> 4 : byte & 15) | (fifth << 4)) - offset;
      }
    }
  },
});

/** 6 bits, of which two lie apart; 16 parts of 16 with 8 bits of scale. */
const q6K: BlockFormat = {
  code: 14,
  size: 256,
  bytes: 210,
  decode(block, at, out, to) {
    const scale = half(block, at + 208);
    for (let i = 0; i < 256; i++) {
      const byte = block.getUint8(at + (i >> 7) * 64 + (i & 63));
      const high = (block.getUint8(at + 128 + placeInHalf(i)) >> shiftOf(i)) & 3;
      const q = ((i & 64 ? byte >> 4 : byte & 15) | (high << 4)) - 32;
      out[to + i] = Math.fround(scale * block.getInt8(at + 192 + (i >> 4))) * q;
    }
  },
};

/** The formats that are read; those with `encode` are written too. */
export const blockFormats = {
  f32: plain(
    0,
    4,
    (v, at) => v.getFloat32(at, true),
    (v, at, x) => v.setFloat32(at, x, true),
  ),
  f16: plain(1, 2, half, setHalf),
  bf16: plain(
    30,
    2,
    (v, at) => fromBfloat16Bits(v.getUint16(at, true)),
    (v, at, x) => v.setUint16(at, toBfloat16Bits(x), true),
  ),
  q4_0: fourBits(2, { hasMinimum: false, hasFifthBit: false }),
  q4_1: fourBits(3, { hasMinimum: true, hasFifthBit: false }),
  q5_0: fourBits(6, { hasMinimum: false, hasFifthBit: true }),
  q5_1: fourBits(7, { hasMinimum: true, hasFifthBit: true }),
  q8_0: q8,
  q2_k: q2K,
  q3_k: q3K,
  q4_k: q45K(12, false),
  q5_k: q45K(13, true),
  q6_k: q6K,
} as const satisfies Record<string, BlockFormat>;

export type GgufType = keyof typeof blockFormats;

/** The numbers of whole blocks. */
export function decodeBlocks(type: GgufType, bytes: Uint8Array): Float32Array {
  const format: BlockFormat = blockFormats[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.floor(bytes.byteLength / format.bytes);
  const out = new Float32Array(count * format.size);
  for (let i = 0; i < count; i++) format.decode(view, i * format.bytes, out, i * format.size);
  return out;
}

/** Blocks for numbers, as many as make whole blocks; undefined for a format that is only read. */
export function encodeBlocks(type: GgufType, numbers: Float32Array): Uint8Array | undefined {
  const format: BlockFormat = blockFormats[type];
  if (!format.encode) return undefined;
  const count = Math.floor(numbers.length / format.size);
  const bytes = new Uint8Array(count * format.bytes);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) format.encode(numbers, i * format.size, view, i * format.bytes);
  return bytes;
}
