import { DataError, type HostArray, hostArrayFrom, joined } from "../base/index.ts";
import { fileAt } from "./disk.ts";
import { readJsonList } from "./json.ts";
import { readBytes } from "./read.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { StoredFile } from "./source.ts";

interface Entry {
  name: string;
  shape: number[];
  dtype: "float32" | "int32" | "bool" | "uint8";
  quantization?: { dtype: "uint8" | "uint16" | "float16"; scale?: number; min?: number };
}
interface Group {
  paths: string[];
  weights: Entry[];
}

const bytesOf = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 } as const;
const MOST_ELEMENTS = 2 ** 32;

/**
 * Reads the weights that a manifest of TensorFlow.js names, from the files beside it: also those in 8 or 16 bits, which
 * stand for scale * number + min. Filters of convolutions are [height, width, in, out] there.
 * @throws DataError for a manifest or files that are damaged, or files outside the folder
 */
export async function readTfjsWeights(from: string | StoredFile): Promise<Map<string, StoredTensor>> {
  const manifest = fileAt(from);
  const { name: path } = manifest;
  const out = new Map<string, StoredTensor>();
  for (const [i, group] of (await readJsonList(manifest)).entries()) {
    const { paths, weights } = checkedGroup(path, i, group);
    const parts = await Promise.all(paths.map((name) => readBytes(manifest.folder().file(name))));
    const bytes = parts.length === 1 ? parts[0] : joined(Uint8Array, parts);
    let offset = 0;
    for (const entry of weights) {
      const where = `${path}, weight "${entry.name}"`;
      const count = entry.shape.reduce((a, b) => a * b, 1);
      const length = count * bytesOf[entry.quantization?.dtype ?? entry.dtype];
      if (offset + length > bytes.length) {
        throw new DataError({
          where,
          expected: `${length} bytes at ${offset}`,
          received: `${bytes.length} bytes in all`,
          fix: "fetch the model again",
        });
      }
      out.set(entry.name, decode(entry, count, bytes.slice(offset, offset + length)));
      offset += length;
    }
    if (offset !== bytes.length) {
      throw new DataError({
        where: path,
        expected: `${offset} bytes of weights`,
        received: `${bytes.length}`,
        fix: "fetch the model again",
      });
    }
  }
  return out;
}

function checkedGroup(path: string, i: number, group: unknown): Group {
  const { paths, weights } = (group ?? {}) as Partial<Group>;
  const isName = (name: unknown) => typeof name === "string" && /^[\w-][\w.-]*$/.test(name);
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0;
  const isQuantized = ({ dtype, scale, min }: NonNullable<Entry["quantization"]>) =>
    dtype === "float16" ||
    ((dtype === "uint8" || dtype === "uint16") && Number.isFinite(scale) && Number.isFinite(min));
  const isEntry = ({ name, shape, dtype, quantization }: Partial<Entry>) =>
    typeof name === "string" &&
    Array.isArray(shape) &&
    shape.every(isSize) &&
    shape.reduce((a, b) => a * b, 1) <= MOST_ELEMENTS &&
    (dtype === "float32" || dtype === "int32" || dtype === "bool" || dtype === "uint8") &&
    (quantization === undefined || (quantization !== null && isQuantized(quantization)));
  const isFine =
    Array.isArray(paths) &&
    paths.every(isName) &&
    Array.isArray(weights) &&
    weights.every((entry) => isEntry(entry ?? {}));
  if (isFine) return { paths, weights };
  throw new DataError({
    where: `${path}, group ${i}`,
    expected: "paths of files beside it, and weights with name, shape and dtype",
    received: JSON.stringify(group)?.slice(0, 80) ?? "nothing",
    fix: "fetch the model again, from a source that you trust",
  });
}

function decode({ shape, dtype, quantization }: Entry, count: number, bytes: Uint8Array): StoredTensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = <T>(read: (i: number) => T) => Array.from({ length: count }, (_, i) => read(i));
  if (quantization?.dtype === "float16")
    return { dtype: "f16", shape, data: Uint16Array.from(numbers((i) => view.getUint16(2 * i, true))) };
  if (quantization) {
    const { scale = 1, min = 0 } = quantization;
    const stored =
      quantization.dtype === "uint8" ? (i: number) => bytes[i] : (i: number) => view.getUint16(2 * i, true);
    if (dtype === "float32")
      return { dtype: "f32", shape, data: Float32Array.from(numbers((i) => stored(i) * scale + min)) };
    return { dtype: "i32", shape, data: Int32Array.from(numbers((i) => Math.round(stored(i) * scale + min))) };
  }
  if (dtype === "float32")
    return { dtype: "f32", shape, data: Float32Array.from(numbers((i) => view.getFloat32(4 * i, true))) };
  if (dtype === "int32")
    return { dtype: "i32", shape, data: Int32Array.from(numbers((i) => view.getInt32(4 * i, true))) };
  const type = dtype === "bool" ? "bool" : "u8";
  return { dtype: type, shape, data: hostArrayFrom(type, Array.from(bytes)) as HostArray };
}
