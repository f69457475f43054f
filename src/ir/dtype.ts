import { DTypeError } from "./errors.ts";
import { widen } from "./widen.mjs";

/** Element types of tensors. */
export type DType = "f32" | "f16" | "bf16" | "i32" | "i64" | "i8" | "u8" | "bool";
export type FloatDType = "f32" | "f16" | "bf16";
export type IntDType = "i32" | "i64" | "i8" | "u8";

/** Host storage of each dtype. f16 and bf16 are kept as their 16 raw bits, bool as 0 or 1. */
export interface HostArrays {
  f32: Float32Array;
  f16: Uint16Array;
  bf16: Uint16Array;
  i32: Int32Array;
  i64: BigInt64Array;
  i8: Int8Array;
  u8: Uint8Array;
  bool: Uint8Array;
}
export type HostArray = HostArrays[DType];

const constructors = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Bytes of one element. */
export const bytesPerElement: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  i64: 8,
  i8: 1,
  u8: 1,
  bool: 1,
};

export const dtypes = Object.keys(bytesPerElement) as DType[];

export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

export function isInteger(dtype: DType): dtype is IntDType {
  return dtype === "i32" || dtype === "i64" || dtype === "i8" || dtype === "u8";
}

/** A zero-filled host array of `length` elements. */
export function hostArray<D extends DType>(dtype: D, length: number): HostArrays[D] {
  return new constructors[dtype](length) as HostArrays[D];
}

/** A host array over existing bytes, copied only when the offset is not a multiple of the element size. */
export function hostArrayFromBytes<D extends DType>(dtype: D, bytes: Uint8Array): HostArrays[D] {
  const size = bytesPerElement[dtype];
  // the slice of a Buffer would be a view
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new constructors[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / size,
  ) as HostArrays[D];
}

/** Host array of `dtype` holding plain numbers (or booleans); rounds to the dtype. */
export function hostArrayFrom<D extends DType>(dtype: D, values: ArrayLike<number | boolean | bigint>): HostArrays[D] {
  if ((dtype === "f16" || dtype === "bf16") && values instanceof Float32Array)
    return narrowFromF32(dtype, values) as HostArrays[D];
  const out = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) out[i] = encodeElement(dtype, values[i]) as never;
  return out;
}

/** The stored form of one number. */
export function encodeElement(dtype: DType, value: number | boolean | bigint): number | bigint {
  switch (dtype) {
    case "i64":
      return typeof value === "bigint" ? value : BigInt(Math.trunc(Number(value)));
    case "bool":
      return Number(value) !== 0 ? 1 : 0;
    case "f16":
      return toFloat16Bits(Number(value));
    case "bf16":
      return toBfloat16Bits(Number(value));
    default:
      return Number(value);
  }
}

/** The number that element `index` of `data` stands for. */
export function decodeElement(dtype: DType, data: HostArray, index: number): number {
  const stored = data[index];
  if (dtype === "f16") return fromFloat16Bits(Number(stored));
  if (dtype === "bf16") return fromBfloat16Bits(Number(stored));
  return Number(stored);
}

/** All elements as plain numbers. i64 values beyond 2^53 lose precision. */
export function toNumbers(dtype: DType, data: HostArray): number[] {
  return Array.from({ length: data.length }, (_, i) => decodeElement(dtype, data, i));
}

/** All elements of a float array as f32; one that is f32 already is given back itself. */
export function widenToF32(dtype: FloatDType, data: HostArray): Float32Array {
  return dtype === "f32" ? (data as Float32Array) : widen(dtype, data as Uint16Array);
}

/** All elements rounded to f16 or bf16, to the nearest and ties to even: as `encodeElement`, many times faster. */
export function narrowFromF32(dtype: "f16" | "bf16", data: Float32Array): Uint16Array {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  const narrow = dtype === "bf16" ? narrowBfloat16 : narrowFloat16;
  for (let i = 0; i < out.length; i++) out[i] = narrow(bits[i]);
  return out;
}

const INFINITY_BITS = 0x7f800000;
/** 65520, halfway between the largest finite value of f16 and the next power of 2. */
const FLOAT16_OVERFLOW_BITS = 0x477ff000;
/** 2^-14, the smallest normal value of f16. */
const FLOAT16_NORMAL_BITS = 0x38800000;
/** What the exponent of f32 is larger by, in its place. */
const FLOAT16_BIAS_BITS = (127 - 15) << 23;

/**
 * Adding half of what is cut off, less one where the last bit that stays is even, carries where the number rounds up.
 */
function narrowBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > INFINITY_BITS) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function narrowFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return 0x7e00;
  if (magnitude >= FLOAT16_OVERFLOW_BITS) return sign | 0x7c00;
  if (magnitude >= FLOAT16_NORMAL_BITS)
    return sign | ((magnitude - FLOAT16_BIAS_BITS + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // subnormal, a multiple of 2^-24: its integer is the mantissa with its leading 1, shifted
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & (2 ** shift - 1);
  const half = 2 ** (shift - 1);
  return sign | (kept + (rest > half || (rest === half && kept & 1) ? 1 : 0));
}

/** @throws DTypeError when `dtype` is not a float. */
export function requireFloatDType(where: string, dtype: DType): void {
  if (isFloat(dtype)) return;
  throw new DTypeError({
    where,
    expected: "a float dtype (f32, f16 or bf16)",
    received: dtype,
    fix: `cast it first: cast(x, "f32")`,
  });
}

const scratch = new DataView(new ArrayBuffer(4));

/** Bits of the bfloat16 nearest to `value` (ties to even). */
export function toBfloat16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBfloat16Bits(bits: number): number {
  scratch.setUint32(0, (bits << 16) >>> 0);
  return scratch.getFloat32(0);
}

/** Bits of the IEEE binary16 nearest to `value` (ties to even). */
export function toFloat16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00; // halfway between the largest finite value and the next power rounds up
  if (magnitude < 2 ** -14) return sign | roundHalfToEven(magnitude * 2 ** 24); // subnormal: multiples of 2^-24
  const exponent = Math.floor(Math.log2(magnitude));
  const safeExponent = 2 ** exponent > magnitude ? exponent - 1 : exponent;
  const mantissa = roundHalfToEven((magnitude / 2 ** safeExponent - 1) * 1024);
  return sign | (((safeExponent + 15) << 10) + mantissa); // a mantissa of 1024 carries into the exponent, as it should
}

/** What an exponent of f16 stands for. */
const FLOAT16_POWERS = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 15));

export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * FLOAT16_POWERS[exponent];
}

/** The nearest integer, of two as near the even one. */
export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  const even = floor % 2 === 0 ? floor : floor + 1;
  return even === 0 && x < 0 ? -0 : even;
}
