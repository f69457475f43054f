import { DataError, type DType, type HostArray, hostArrayFrom, hostArrayFromBytes } from "../base/index.ts";
import type { TensorProto } from "../lower/index.ts";

/** Numbers of a tensor in the file, in a dtype of ours. f64 becomes f32, 16-bit and unsigned integers i32 or i64. */
export interface StoredNumbers {
  dtype: DType;
  shape: readonly number[];
  data: HostArray;
}

/** Bytes of files beside the model, by the name that the model gives. */
export type ExternalData = (location: string) => Promise<Uint8Array>;

interface Format {
  dtype: DType;
  bytes: number;
  /** Numbers from raw little-endian bytes when they are not stored as ours are. */
  read?: (view: DataView, at: number) => number | bigint;
}
/** By TensorProto.DataType. */
const formats: Readonly<Record<number, Format>> = {
  1: { dtype: "f32", bytes: 4 },
  2: { dtype: "u8", bytes: 1 },
  3: { dtype: "i8", bytes: 1 },
  4: { dtype: "i32", bytes: 2, read: (view, at) => view.getUint16(at, true) },
  5: { dtype: "i32", bytes: 2, read: (view, at) => view.getInt16(at, true) },
  6: { dtype: "i32", bytes: 4 },
  7: { dtype: "i64", bytes: 8 },
  9: { dtype: "bool", bytes: 1 },
  10: { dtype: "f16", bytes: 2 },
  11: { dtype: "f32", bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  12: { dtype: "i64", bytes: 4, read: (view, at) => view.getUint32(at, true) },
  13: { dtype: "i64", bytes: 8, read: (view, at) => view.getBigInt64(at, true) },
  16: { dtype: "bf16", bytes: 2 },
};

/** Our dtype for one of ONNX. @throws DataError for strings, complex and other numbers that we lack */
export function dtypeOf(code: number, where: string): DType {
  return formatOf(code, where).dtype;
}

function formatOf(code: number, where: string): Format {
  const format = formats[code];
  if (format) return format;
  throw new DataError({
    where,
    expected: "floats, integers or bools",
    received: `ONNX data type ${code}`,
    fix: "this model cannot be imported",
  });
}

/** More elements than any file of a size that fits in memory can have. */
const MOST_ELEMENTS = 2 ** 36;

function elementCount(where: string, dims: readonly bigint[]): { shape: number[]; count: number } {
  const shape = dims.map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0) && count <= MOST_ELEMENTS) return { shape, count };
  throw new DataError({
    where,
    expected: "sizes that are not negative and can be held",
    received: `[${dims.join(", ")}]`,
    fix: "the file is damaged",
  });
}

/**
 * Reads a tensor. The sizes must agree with the bytes that are there: nothing is allocated by the file's word alone.
 */
export async function readTensor(proto: TensorProto, where: string, external?: ExternalData): Promise<StoredNumbers> {
  const raw =
    proto.externalData.length > 0 || proto.dataLocation === 1
      ? await readExternal(proto, where, external)
      : proto.rawData;
  return numbersOf(proto, where, raw);
}

/** Reads a tensor that is inside the file. */
export function readInlineTensor(proto: TensorProto, where: string): StoredNumbers {
  if (proto.externalData.length > 0 || proto.dataLocation === 1) {
    throw new DataError({
      where,
      expected: "numbers inside the file",
      received: "numbers in another file",
      fix: "the file is damaged",
    });
  }
  return numbersOf(proto, where, proto.rawData);
}

function numbersOf(proto: TensorProto, where: string, raw: Uint8Array | undefined): StoredNumbers {
  const format = formatOf(proto.dataType, where);
  const { shape, count } = elementCount(where, proto.dims);
  const { dtype } = format;
  if (raw && raw.length > 0) {
    if (raw.length !== count * format.bytes)
      throw mismatch(where, `${count * format.bytes} bytes for [${shape}]`, `${raw.length}`);
    if (!format.read) return { dtype, shape, data: hostArrayFromBytes(dtype, new Uint8Array(raw)) };
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const { read, bytes } = format;
    return {
      dtype,
      shape,
      data: hostArrayFrom(
        dtype,
        Array.from({ length: count }, (_, i) => read(view, i * bytes)),
      ),
    };
  }
  const listed =
    [proto.floatData, proto.doubleData, proto.int32Data, proto.int64Data, proto.uint64Data].find(
      (list) => list.length > 0,
    ) ?? [];
  if (listed.length !== count) throw mismatch(where, `${count} numbers for [${shape}]`, `${listed.length}`);
  // f16 and bf16 are listed as the integers of their bits
  if (dtype === "f16" || dtype === "bf16") return { dtype, shape, data: Uint16Array.from(listed as number[]) };
  return { dtype, shape, data: hostArrayFrom(dtype, listed as number[]) };
}

function mismatch(where: string, expected: string, received: string): DataError {
  return new DataError({ where, expected, received, fix: "the file is damaged or truncated" });
}

async function readExternal(
  proto: TensorProto,
  where: string,
  external: ExternalData | undefined,
): Promise<Uint8Array> {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value] as const));
  const location = entries.get("location") ?? "";
  const parts = location.split(/[\\/]/);
  if (
    location === "" ||
    parts.includes("..") ||
    parts[0] === "" ||
    /^[A-Za-z]:/.test(location) ||
    location.includes("\0")
  ) {
    throw new DataError({
      where,
      expected: "external data inside the model's folder",
      received: JSON.stringify(location),
      fix: "the file is hostile or damaged",
    });
  }
  if (!external) {
    throw new DataError({
      where,
      expected: "numbers inside the file",
      received: `numbers in "${location}"`,
      fix: "load the model from its folder: loadOnnx(path)",
    });
  }
  const file = await external(location);
  const [offset, length] = [Number(entries.get("offset") ?? 0), Number(entries.get("length") ?? file.length)];
  const isInside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= file.length;
  if (!isInside)
    throw mismatch(where, `bytes inside "${location}" of ${file.length} bytes`, `offset ${offset}, length ${length}`);
  return file.subarray(offset, offset + length);
}
