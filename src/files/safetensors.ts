import { DataError, type DType, type HostArray, parseJsonBytes, withinLimit } from "../base/index.ts";
import { writeFileAtomic } from "./atomic.ts";
import { fileAt } from "./disk.ts";
import { storedTypes } from "./foreign-types.ts";
import { readExactly } from "./read.ts";
import type { StoredFile } from "./source.ts";

/*
 * The safetensors format: 8 bytes with the length of the header (little-endian), the header as JSON, then the data.
 * The header maps names to { dtype, shape, data_offsets: [begin, end] }, offsets counted from the end of the header;
 * "__metadata__" maps strings to strings. https://github.com/huggingface/safetensors
 */
const dtypeNames: Readonly<Record<DType, string>> = {
  f32: "F32",
  f16: "F16",
  bf16: "BF16",
  i32: "I32",
  i64: "I64",
  u8: "U8",
  i8: "I8",
  bool: "BOOL",
};
type StoredDType = keyof typeof storedTypes;
/** Types that are read only, and widened: tensors do not have them. */
const foreignNames = { F64: "f64", I16: "i16", U16: "u16", U32: "u32", F8_E4M3: "f8e4m3", F8_E5M2: "f8e5m2" } as const;
const storedByName = new Map<string, StoredDType>([
  ...Object.entries(dtypeNames).map(([dtype, name]): [string, DType] => [name, dtype as DType]),
  ...Object.entries(foreignNames),
]);
const METADATA = "__metadata__";
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;

/** A tensor as files hold it: dtype, shape and numbers, row-major. */
export interface StoredTensor {
  dtype: DType;
  shape: readonly number[];
  data: HostArray;
}

/** What the header of a file says of one tensor. */
export interface TensorInfo {
  /** As it is in the file; types that tensors do not have are widened when they are read. */
  dtype: StoredDType;
  shape: readonly number[];
  /** First byte and byte after the last, from the end of the header. */
  begin: number;
  end: number;
}

/** What a safetensors file says before its numbers. */
export interface SafetensorsHeader {
  tensors: Map<string, TensorInfo>;
  metadata: Record<string, string>;
  /** Where the data starts in the file. */
  dataOffset: number;
}

function malformed(path: string, expected: string, received: string): DataError {
  return new DataError({
    where: path,
    expected,
    received,
    fix: "the file is damaged or not safetensors: fetch or save it again",
  });
}

/**
 * Checks a header against the size of its file. Every offset and size must add up: no tensor may lie outside the data,
 * be of another size than its shape, overlap another or leave a gap.
 * @throws DataError naming the tensor.
 */
export function parseHeader(path: string, header: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataOffset = LENGTH_BYTES + header.length;
  const json = parseJsonBytes(header, path, {
    expected: "a header in JSON",
    fix: "the file is damaged: fetch it again",
  });
  if (json === null || typeof json !== "object" || Array.isArray(json))
    throw malformed(path, "a header that is a JSON object", JSON.stringify(json).slice(0, 40));
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (name === METADATA) metadata = parseMetadata(path, entry);
    else tensors.set(name, parseEntry(path, name, entry));
  }
  let expectedBegin = 0;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== expectedBegin) throw malformed(path, `tensor ${name} to start at byte ${expectedBegin}`, `${begin}`);
    expectedBegin = end;
  }
  if (dataOffset + expectedBegin !== fileBytes) {
    throw malformed(path, `${dataOffset + expectedBegin} bytes, as the header says`, `a file of ${fileBytes} bytes`);
  }
  return { tensors, metadata, dataOffset };
}

function parseMetadata(path: string, entry: unknown): Record<string, string> {
  const isObject = entry !== null && typeof entry === "object" && !Array.isArray(entry);
  const wrong = isObject ? Object.entries(entry).find(([, value]) => typeof value !== "string") : [METADATA, entry];
  if (wrong)
    throw malformed(path, `${METADATA} to have texts alone`, `${wrong[0]}: ${JSON.stringify(wrong[1])?.slice(0, 40)}`);
  return entry as Record<string, string>;
}

function parseEntry(path: string, name: string, entry: unknown): TensorInfo {
  const { dtype: dtypeName, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const dtype = storedByName.get(String(dtypeName));
  if (!dtype)
    throw malformed(
      path,
      `tensor ${name} to have one of the dtypes ${[...storedByName.keys()].join(", ")}`,
      JSON.stringify(dtypeName) ?? "none",
    );
  const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw malformed(path, `tensor ${name} to have a shape of integers`, JSON.stringify(shape) ?? "none");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw malformed(path, `tensor ${name} to have two data offsets`, JSON.stringify(offsets) ?? "none");
  }
  const bytes = shape.reduce((a, b) => a * b, storedTypes[dtype].bytes);
  if (offsets[1] - offsets[0] !== bytes)
    throw malformed(path, `${bytes} bytes for tensor ${name} ${dtypeName}[${shape}]`, `${offsets[1] - offsets[0]}`);
  return { dtype, shape, begin: offsets[0], end: offsets[1] };
}

interface OpenFile {
  name: string;
  header: SafetensorsHeader;
  /** The bytes of the data from `begin` to `end`. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a file and checks its header. */
async function openSafetensors(from: string | StoredFile, mayMap = false): Promise<OpenFile> {
  const { name: path, open } = fileAt(from);
  const file = await open("a safetensors file");
  try {
    const { size } = file;
    const fail = (expected: string, received: string) => malformed(path, expected, received);
    const read = (position: number, length: number) => readExactly(file, { position, length }, fail);
    if (size < LENGTH_BYTES) throw malformed(path, `at least ${LENGTH_BYTES} bytes`, `${size}`);
    const headerLength = Number(new DataView((await read(0, LENGTH_BYTES)).buffer).getBigUint64(0, true));
    if (headerLength > size - LENGTH_BYTES)
      throw malformed(path, `a header that fits in the file of ${size} bytes`, `a length of ${headerLength}`);
    withinLimit("safetensorsHeaderBytes", headerLength, path, "bytes of header");
    const header = parseHeader(path, await read(LENGTH_BYTES, headerLength), size);
    const readData = async (begin: number, end: number) => {
      const [position, length] = [header.dataOffset + begin, end - begin];
      return (mayMap ? file.map?.(position, length) : undefined) ?? read(position, length);
    };
    return { name: path, header, read: readData, close: () => file.close() };
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

/** Names, dtypes and shapes, without the numbers. @throws DataError when the file is not a sound safetensors file */
export async function readSafetensorsHeader(file: string | StoredFile): Promise<SafetensorsHeader> {
  const { header, close } = await openSafetensors(file);
  await close();
  return header;
}

/** So many tensors are read from the disk while others are worked on. */
const READ_AHEAD = 3;

/** Which tensors of a file are read, and how. */
export interface ReadOptions {
  /** Which to read. @default all */
  names?: readonly string[];
  /**
   * Large tensors may be the file's pages in memory (see mapped.ts): for those who keep them and change nothing else.
   * @default false
   */
  mayMap?: boolean;
}

/**
 * The tensors of a file one after another in its order, so that whoever makes something else of them never has all of
 * both in memory.
 * @throws DataError when the file is not a sound safetensors file or a name is missing.
 */
export async function* eachSafetensor(
  from: string | StoredFile,
  { names, mayMap }: ReadOptions = {},
): AsyncGenerator<[name: string, StoredTensor], void, void> {
  const file = await openSafetensors(from, mayMap);
  try {
    const inOrder = [...file.header.tensors].sort(([, a], [, b]) => a.begin - b.begin).map(([name]) => name);
    yield* readTensors(file, names ?? inOrder);
  } finally {
    await file.close();
  }
}

async function* readTensors(
  file: OpenFile,
  names: readonly string[],
): AsyncGenerator<[name: string, StoredTensor], void, void> {
  const { tensors } = file.header;
  const infos = names.map((name) => infoOf(file.name, tensors, name));
  const ahead: Promise<StoredTensor>[] = [];
  for (const [i, name] of names.entries()) {
    for (let next = i + ahead.length; next < infos.length && ahead.length <= READ_AHEAD; next++) {
      ahead.push(seenLater(readTensor(file, infos[next])));
    }
    yield [name, await (ahead.shift() as Promise<StoredTensor>)];
  }
}

async function readTensor(file: OpenFile, { dtype: stored, shape, begin, end }: TensorInfo): Promise<StoredTensor> {
  const { dtype, read: decode } = storedTypes[stored];
  return { dtype, shape, data: decode(await file.read(begin, end)) };
}

/** A promise whose failure is seen by who awaits it, and is no accident where nobody comes to that. */
function seenLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function infoOf(path: string, tensors: SafetensorsHeader["tensors"], name: string): TensorInfo {
  const info = tensors.get(name);
  if (!info) throw malformed(path, `a tensor named ${name}`, `only ${[...tensors.keys()].slice(0, 5).join(", ")}, ...`);
  return info;
}

/** All tensors of a file at once, and its metadata; as `eachSafetensor`. */
export async function readSafetensors(
  from: string | StoredFile,
  names?: readonly string[],
): Promise<{ tensors: Map<string, StoredTensor>; metadata: Record<string, string> }> {
  const file = await openSafetensors(from);
  try {
    const tensors = new Map<string, StoredTensor>();
    for await (const [name, tensor] of readTensors(file, names ?? [...file.header.tensors.keys()]))
      tensors.set(name, tensor);
    return { tensors, metadata: file.header.metadata };
  } finally {
    await file.close();
  }
}

/**
 * Writes tensors atomically; names in the order given. `metadata` of { format: "pt" } is what transformers looks for.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Record<string, string> = { format: "pt" },
): Promise<void> {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype: dtypeNames[dtype], shape, data_offsets: [offset, offset + data.byteLength] };
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(json.length / ALIGNMENT) * ALIGNMENT).fill(0x20);
  padded.set(json);
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
  await writeFileAtomic(path, [length, padded, ...pieces]);
}
