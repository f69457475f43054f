import { bytesPerElement, type DType, type HostArray, hostArray, hostArrayFromBytes } from "../base/index.ts";

/** A number type of files: how many bytes, and what it becomes here. Types that tensors do not have are widened. */
export interface StoredType {
  bytes: number;
  dtype: DType;
  /** The numbers of little-endian bytes. */
  read(bytes: Uint8Array): HostArray;
}

const storedType = (dtype: DType): StoredType => ({
  bytes: bytesPerElement[dtype],
  dtype,
  read: (bytes) => hostArrayFromBytes(dtype, bytes),
});

function widened<D extends DType>(
  bytes: number,
  dtype: D,
  element: (view: DataView, at: number) => number | bigint,
): StoredType {
  return {
    bytes,
    dtype,
    read: (data) => {
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const out = hostArray(dtype, data.byteLength / bytes);
      for (let i = 0; i < out.length; i++) out[i] = element(view, i * bytes) as never;
      return out;
    },
  };
}

/** A table of all 256 values of an eight-bit float. Micikevicius et al. 2022, arXiv:2209.05433. */
function eightBits(exponentBits: number, mantissaBits: number, hasInfinity: boolean): Float32Array {
  const bias = 2 ** (exponentBits - 1) - 1;
  const largest = 2 ** exponentBits - 1;
  return Float32Array.from({ length: 256 }, (_, code) => {
    const sign = code >= 128 ? -1 : 1;
    const exponent = (code & 127) >> mantissaBits;
    const mantissa = code & (2 ** mantissaBits - 1);
    if (hasInfinity && exponent === largest) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if (!hasInfinity && (code & 127) === 127) return Number.NaN;
    const fraction = mantissa / 2 ** mantissaBits;
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
  });
}
const e4m3 = eightBits(4, 3, false);
const e5m2 = eightBits(5, 2, true);

/** The types by our names for them. */
export const storedTypes = {
  f32: storedType("f32"),
  f16: storedType("f16"),
  bf16: storedType("bf16"),
  i64: storedType("i64"),
  i32: storedType("i32"),
  i8: storedType("i8"),
  u8: storedType("u8"),
  bool: storedType("bool"),
  f64: widened(8, "f32", (view, at) => view.getFloat64(at, true)),
  i16: widened(2, "i32", (view, at) => view.getInt16(at, true)),
  u16: widened(2, "i32", (view, at) => view.getUint16(at, true)),
  u32: widened(4, "i64", (view, at) => BigInt(view.getUint32(at, true))),
  f8e4m3: widened(1, "f32", (view, at) => e4m3[view.getUint8(at)]),
  f8e5m2: widened(1, "f32", (view, at) => e5m2[view.getUint8(at)]),
} as const satisfies Readonly<Record<string, StoredType>>;
