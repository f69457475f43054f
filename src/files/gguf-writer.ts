import { DataError } from "../base/index.ts";
import { writeFileAtomic } from "./atomic.ts";
import { DEFAULT_ALIGNMENT, type GgufValue, MAGIC } from "./gguf.ts";
import { type BlockFormat, blockFormats, encodeBlocks, type GgufType } from "./gguf-blocks.ts";

/** A number that is to be written as f32, be it whole or not, as llama.cpp wants of some keys. */
export class GgufFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
/** What is written: lists of Float32Array become lists of f32. */
export type GgufWritable = GgufValue | GgufFloat | Float32Array;

/** A tensor to be written, and the form in which its numbers are stored. */
export interface GgufTensor {
  type: GgufType;
  shape: readonly number[];
  data: Float32Array;
}

/**
 * Writes a GGUF file, version 3, atomically. Whole numbers become u32, or i32 if negative, or beyond their range 64
 * bits; in lists i32. Other numbers become f32.
 * @throws DataError for a type that is only read, or rows that are no whole blocks
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufWritable>,
  tensors: ReadonlyMap<string, GgufTensor>,
): Promise<void> {
  const writer = new Writer();
  writer.u32(MAGIC);
  writer.u32(3);
  writer.u64(tensors.size);
  writer.u64(metadata.size);
  for (const [key, value] of metadata) {
    writer.text(key);
    writer.entry(value);
  }
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { type, shape, data: numbers }] of tensors) {
    const format: BlockFormat = blockFormats[type];
    const isWhole = (shape.at(-1) ?? 1) % format.size === 0 && shape.reduce((a, b) => a * b, 1) === numbers.length;
    const blocks = isWhole ? encodeBlocks(type, numbers) : undefined;
    if (!blocks) {
      const fix = isWhole ? "choose f32, f16, bf16, q4_0, q4_1, q4_k, q5_0 or q8_0" : "write this tensor as f16";
      throw new DataError({
        where: `${path}, tensor ${name}`,
        expected: "a type that is written, and rows of whole blocks",
        received: `${type}[${shape}]`,
        fix,
      });
    }
    writer.text(name);
    writer.u32(shape.length);
    for (const size of [...shape].reverse()) writer.u64(size);
    writer.u32(format.code);
    writer.u64(offset);
    const padded = Math.ceil(blocks.length / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT;
    data.push(blocks, new Uint8Array(padded - blocks.length));
    offset += padded;
  }
  const padding = new Uint8Array((DEFAULT_ALIGNMENT - (writer.length % DEFAULT_ALIGNMENT)) % DEFAULT_ALIGNMENT);
  await writeFileAtomic(path, [Buffer.concat(writer.pieces), padding, ...data]);
}

const encoder = new TextEncoder();

class Writer {
  readonly pieces: Uint8Array[] = [];
  length = 0;

  private push(bytes: Uint8Array): void {
    this.pieces.push(bytes);
    this.length += bytes.length;
  }
  private fixed(bytes: number, set: (view: DataView) => void): void {
    const view = new DataView(new ArrayBuffer(bytes));
    set(view);
    this.push(new Uint8Array(view.buffer));
  }
  u32(value: number): void {
    this.fixed(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: number): void {
    this.fixed(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  text(value: string): void {
    const bytes = encoder.encode(value);
    this.u64(bytes.length);
    this.push(bytes);
  }

  /** A value with its kind in front. */
  entry(value: GgufWritable): void {
    if (value instanceof GgufFloat) {
      this.u32(6);
      this.value(value.value, 6);
    } else if (value instanceof Float32Array) {
      this.u32(9);
      this.u32(6);
      this.u64(value.length);
      for (const number of value) this.value(number, 6);
    } else {
      const kind = this.kindOf(value);
      const isCount = kind === 5 && Number(value) >= 0;
      this.u32(isCount ? 4 : kind);
      this.value(value, kind);
    }
  }

  kindOf(value: GgufValue): number {
    if (typeof value === "string") return 8;
    if (typeof value === "boolean") return 7;
    if (typeof value === "object") return 9;
    if (typeof value === "number" && !Number.isInteger(value)) return 6;
    return value >= -(2 ** 31) && value < 2 ** 31 ? 5 : value >= 2n ** 63n ? 10 : 11;
  }

  value(value: GgufValue, kind = this.kindOf(value)): void {
    if (typeof value === "string") this.text(value);
    else if (typeof value === "boolean") this.push(Uint8Array.of(Number(value)));
    else if (typeof value === "object") this.array(value);
    else if (kind === 6) this.fixed(4, (view) => view.setFloat32(0, Number(value), true));
    else if (kind === 5) this.fixed(4, (view) => view.setInt32(0, Number(value), true));
    else this.fixed(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true));
  }

  /** All elements are of one kind: the one that holds each of them. */
  private array(values: readonly GgufValue[]): void {
    const kinds = values.map((value) => this.kindOf(value));
    const kind = kinds.includes(6) ? 6 : Math.max(5, ...kinds);
    this.u32(kind);
    this.u64(values.length);
    for (const value of values) this.value(value, kind);
  }
}
