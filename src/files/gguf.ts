import { statSync } from "#system";
import { DataError, limits } from "../base/index.ts";
import { fileAt } from "./disk.ts";
import { type BlockFormat, blockFormats, decodeBlocks, type GgufType } from "./gguf-blocks.ts";
import { readExactly } from "./read.ts";
import type { ReadOptions } from "./safetensors.ts";
import type { ByteSource, StoredFile } from "./source.ts";

/*
 * The GGUF format, versions 2 and 3, little-endian: "GGUF", version, number of tensors and of metadata; the metadata,
 * each a key, a kind and a value; the tensors' names, sizes (innermost first), types and offsets; then, aligned, their
 * data. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export const MAGIC = 0x46554747;
export const DEFAULT_ALIGNMENT = 32;
/** ggml has no tensors with more axes, and nobody has metadata of arrays deeper within one another. */
const [MAX_AXES, MAX_DEPTH] = [4, 4];
/** Numbers of kinds of values. */
const F32 = 6;
const LIST = 9;
/** Read at first; doubled until the header is whole. */
const FIRST_READ = 1 << 20;

/** Integers that no number holds exactly are bigints. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** Where a tensor of a GGUF file lies, and what it is. */
export interface GgufTensorInfo {
  type: GgufType;
  /** Outermost axis first, as everywhere in Kindling. */
  shape: readonly number[];
  /** First byte in the file, and byte after the last. */
  begin: number;
  end: number;
}

/** What a GGUF file says before its numbers. */
export interface GgufHeader {
  version: number;
  metadata: ReadonlyMap<string, GgufValue>;
  /** Keys of numbers, and lists of numbers, that are stored as f32: what is whole does not show it. */
  floats: ReadonlySet<string>;
  tensors: ReadonlyMap<string, GgufTensorInfo>;
}

const typesByCode = new Map(Object.entries(blockFormats).map(([type, { code }]) => [code, type as GgufType]));

function malformed(path: string, expected: string, received: string): DataError {
  return new DataError({ where: path, expected, received, fix: "the file is damaged or not GGUF: fetch it again" });
}

/** The part of the file that was read ends within the header. */
class NeedMore extends Error {}

class Reader {
  at = 0;
  private values = 0;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly path: string;
  private readonly fileBytes: number;

  constructor(path: string, bytes: Uint8Array, fileBytes: number) {
    this.path = path;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.fileBytes = fileBytes;
  }

  fail(expected: string, received: string): DataError {
    return malformed(this.path, expected, received);
  }

  /** Moves on by `length` bytes and gives where they begin. Nothing is allocated by the file's word. */
  private take(length: number): number {
    const begin = this.at;
    if (length > this.fileBytes - begin)
      throw this.fail(`${length} bytes at ${begin}`, `a file of ${this.fileBytes} bytes`);
    if (length > this.bytes.length - begin) throw new NeedMore();
    this.at += length;
    return begin;
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** The kind of a list's values, which begins at a byte that was read before. */
  kindAt(begin: number): number {
    return this.view.getUint32(begin, true);
  }

  /** A count or an offset. */
  count(what: string): number {
    const value = this.view.getBigUint64(this.take(8), true);
    if (value > Number.MAX_SAFE_INTEGER) throw this.fail(`${what} below 2^53`, String(value));
    return Number(value);
  }

  text(what: string): string {
    const length = this.count(`the length of ${what}`);
    const begin = this.take(length);
    try {
      return utf8.decode(this.bytes.subarray(begin, begin + length));
    } catch {
      throw this.fail(`${what} in UTF-8`, `other bytes at ${begin}`);
    }
  }

  value(what: string, kind: number, depth = 0): GgufValue {
    const { view } = this;
    switch (kind) {
      case 0:
        return view.getUint8(this.take(1));
      case 1:
        return view.getInt8(this.take(1));
      case 2:
        return view.getUint16(this.take(2), true);
      case 3:
        return view.getInt16(this.take(2), true);
      case 4:
        return this.u32();
      case 5:
        return view.getInt32(this.take(4), true);
      case F32:
        return view.getFloat32(this.take(4), true);
      case 7:
        return view.getUint8(this.take(1)) !== 0;
      case 8:
        return this.text(what);
      case LIST:
        return this.array(what, depth);
      case 10:
        return exact(view.getBigUint64(this.take(8), true));
      case 11:
        return exact(view.getBigInt64(this.take(8), true));
      case 12:
        return view.getFloat64(this.take(8), true);
      default:
        throw this.fail(`${what} to be of a kind from 0 to 12`, String(kind));
    }
  }

  private array(what: string, depth: number): GgufValue[] {
    if (depth >= MAX_DEPTH) throw this.fail(`${what} to be at most ${MAX_DEPTH} arrays deep`, "more");
    const kind = this.u32();
    const length = this.count(`the length of ${what}`);
    // each takes a byte at least
    if (length > this.fileBytes - this.at) throw this.fail(`${what} to fit in the file`, `an array of ${length}`);
    this.values += length; // a list of bytes or bools takes eight times its size in the file
    if (this.values > limits.ggufValues)
      throw this.fail(`at most ${limits.ggufValues} values in lists (limit ggufValues)`, `${this.values}`);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.value(what, kind, depth + 1));
    return values;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const exact = (value: bigint) =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

/**
 * Checks the header of a GGUF file. `start` is the beginning of the file, `fileBytes` its size.
 * @returns undefined when the header goes on after `start`
 * @throws DataError for a file that is damaged, lies about sizes, or has tensors of a type that is not read
 */
export function parseGgufHeader(path: string, start: Uint8Array, fileBytes: number): GgufHeader | undefined {
  try {
    return parse(path, new Reader(path, start, fileBytes), fileBytes);
  } catch (error) {
    if (error instanceof NeedMore) return undefined;
    throw error;
  }
}

function parse(path: string, reader: Reader, fileBytes: number): GgufHeader {
  if (reader.u32() !== MAGIC) throw malformed(path, 'a file that begins with "GGUF"', "another");
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw malformed(path, "version 2 or 3, little-endian", String(version));
  const tensorCount = reader.count("the number of tensors");
  const metadataCount = reader.count("the number of metadata");
  const metadata = new Map<string, GgufValue>();
  const floats = new Set<string>();
  for (let i = 0; i < metadataCount; i++) {
    const key = reader.text("a key");
    if (metadata.has(key)) throw malformed(path, "each key once", `${key} twice`);
    const kind = reader.u32();
    const begin = reader.at;
    metadata.set(key, reader.value(key, kind));
    if (kind === F32 || (kind === LIST && reader.kindAt(begin) === F32)) floats.add(key);
  }
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !Number.isInteger(alignment) || alignment < 1 || alignment % 8 !== 0) {
    throw malformed(path, "general.alignment to be a multiple of 8", String(alignment));
  }
  const relative = new Map<string, GgufTensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.text("the name of a tensor");
    if (relative.has(name)) throw malformed(path, "each tensor once", `${name} twice`);
    relative.set(name, tensorInfo(path, reader, name, alignment));
  }
  const dataOffset = Math.ceil(reader.at / alignment) * alignment;
  const tensors = new Map(
    [...relative].map(([name, info]) => [
      name,
      { ...info, begin: info.begin + dataOffset, end: info.end + dataOffset },
    ]),
  );
  let last = dataOffset;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < last)
      throw malformed(path, `tensor ${name} to begin after the one before it`, `byte ${begin}, before ${last}`);
    if (end > fileBytes) throw malformed(path, `tensor ${name} to end within the file`, `byte ${end} of ${fileBytes}`);
    last = end;
  }
  return { version, metadata, floats, tensors };
}

function tensorInfo(path: string, reader: Reader, name: string, alignment: number): GgufTensorInfo {
  const axes = reader.u32();
  if (axes > MAX_AXES) throw malformed(path, `tensor ${name} to have at most ${MAX_AXES} axes`, String(axes));
  const shape = Array.from({ length: axes }, () => reader.count(`a size of tensor ${name}`)).reverse();
  const code = reader.u32();
  const type = typesByCode.get(code);
  if (!type) {
    const fix = "use a file in another quantization";
    throw new DataError({
      where: path,
      expected: `tensor ${name} as ${Object.keys(blockFormats).join(", ")}`,
      received: `type number ${code}`,
      fix,
    });
  }
  const format: BlockFormat = blockFormats[type];
  const columns = shape.at(-1) ?? 1;
  if (columns % format.size !== 0)
    throw malformed(path, `rows of tensor ${name} to be whole blocks of ${format.size}`, `${columns} numbers`);
  const begin = reader.count(`the offset of tensor ${name}`);
  if (begin % alignment !== 0)
    throw malformed(path, `tensor ${name} to begin at a multiple of ${alignment}`, String(begin));
  const end = begin + (shape.reduce((a, b) => a * b, 1) / format.size) * format.bytes;
  if (!Number.isSafeInteger(end))
    throw malformed(path, `tensor ${name} to be of a size that fits in a file`, `[${shape}]`);
  return { type, shape, begin, end };
}

/** Metadata, and names, types and shapes of tensors, without the numbers. @throws DataError, see parseGgufHeader */
export async function readGgufHeader(from: string | StoredFile): Promise<GgufHeader> {
  const file = await GgufFile.open(from);
  await file.close();
  return file.header;
}

/** How long a header is remembered: a program that loads a model reads it for the weights and for the tokenizer. */
const REMEMBERED_MS = 5000;
/** Within this time a file may change again without showing it. */
const UNSETTLED_MS = 1000;
let remembered: { identity: string; header: GgufHeader } | undefined;

/** What tells a file on this disk from others, and from itself after a change; undefined where nothing does. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeMs } = statSync(path);
    return Date.now() - mtimeMs < UNSETTLED_MS ? undefined : [dev, ino, size, mtimeMs, path].join(" ");
  } catch {
    return undefined; // not on this disk
  }
}

function remember(identity: string, header: GgufHeader): void {
  const entry = { identity, header };
  remembered = entry;
  const timer = setTimeout(() => {
    if (remembered === entry) remembered = undefined;
  }, REMEMBERED_MS);
  if (typeof timer === "object") timer.unref(); // a number in pages
}

/** An open GGUF file. Tensors are read when they are asked for. */
export class GgufFile {
  readonly path: string;
  readonly header: GgufHeader;
  private readonly file: ByteSource;

  private constructor(path: string, header: GgufHeader, file: ByteSource) {
    this.path = path;
    this.header = header;
    this.file = file;
  }

  /** Reads the header. @throws DataError, see parseGgufHeader */
  static async open(from: string | StoredFile): Promise<GgufFile> {
    const { name: path, open } = fileAt(from);
    const file = await open("a GGUF file");
    const identity = identityOf(path);
    if (identity !== undefined && remembered?.identity === identity) return new GgufFile(path, remembered.header, file);
    try {
      const { size } = file;
      for (let length = Math.min(FIRST_READ, size); ; length = Math.min(2 * length, size)) {
        const header = parseGgufHeader(
          path,
          await readExactly(file, { position: 0, length }, (expected, received) => malformed(path, expected, received)),
          size,
        );
        if (!header) continue;
        if (identity !== undefined) remember(identity, header);
        return new GgufFile(path, header, file);
      }
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * The bytes of a tensor, in its blocks. With `mayMap` they may be the file's pages in memory (see mapped.ts), for
   * those who change nothing.
   * @throws DataError for a name that is not there
   */
  async readBlocks(
    name: string,
    { mayMap = false }: Pick<ReadOptions, "mayMap"> = {},
  ): Promise<{ info: GgufTensorInfo; bytes: Uint8Array }> {
    const info = this.header.tensors.get(name);
    if (!info)
      throw malformed(
        this.path,
        `a tensor named ${name}`,
        `only ${[...this.header.tensors.keys()].slice(0, 5).join(", ")}, ...`,
      );
    const place = { position: info.begin, length: info.end - info.begin };
    const mapped = mayMap ? this.file.map?.(place.position, place.length) : undefined;
    if (mapped) return { info, bytes: mapped };
    return {
      info,
      bytes: await readExactly(this.file, place, (expected, received) => malformed(this.path, expected, received)),
    };
  }

  /** The numbers of a tensor, row-major. */
  async read(name: string): Promise<{ shape: readonly number[]; data: Float32Array }> {
    const { info, bytes } = await this.readBlocks(name);
    return { shape: info.shape, data: decodeBlocks(info.type, bytes) };
  }

  /** Closes the file; tensors that were read stay. */
  close(): Promise<void> {
    return this.file.close();
  }
}
