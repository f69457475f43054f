import { DTypeError } from "./errors.ts";
import { fromBfloat16Bits, fromFloat16Bits, narrow, toBfloat16Bits, toFloat16Bits, widen } from "./half.mjs";

/** Element types of tensors. */
export type DType = "f32" | "f16" | "bf16" | "i32" | "i64" | "i8" | "u8" | "bool";
/** Element types with a fraction: those that gradients flow through. */
export type FloatDType = "f32" | "f16" | "bf16";
/** Element types of whole numbers. */
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
/** Numbers on the host, in the form of one of the dtypes. */
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

/** All element types. */
export const dtypes = Object.keys(bytesPerElement) as DType[];

/** Whether a dtype has fractions. */
export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

/** Whether a dtype is one of whole numbers; bool is not. */
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
    return narrow(dtype, values) as HostArrays[D];
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

/** The nearest integer, of two as near the even one. */
export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  const even = floor % 2 === 0 ? floor : floor + 1;
  return even === 0 && x < 0 ? -0 : even;
}
