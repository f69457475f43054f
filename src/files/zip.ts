import { inflate } from "#system";
import { type DataError, limits } from "../base/index.ts";
import { readExactly } from "./read.ts";
import type { ByteSource } from "./source.ts";

/** A file inside an archive. */
export interface ZipEntry {
  name: string;
  method: number;
  packedBytes: number;
  bytes: number;
  /** Where its local header is. */
  offset: number;
}

type Malformed = (expected: string, received: string) => DataError;

const END = 0x06054b50;
const END_BYTES = 22;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const LOCATOR_BYTES = 20;
const ENTRY = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const LONGEST_COMMENT = 0xffff;
const OVERFLOWED = 0xffffffff;
/** What an archive may unpack to whatever its size: the pickles of small checkpoints repeat themselves. */
const SMALL = 2 ** 24;

/**
 * A zip archive's files, by its central directory. Nothing is unpacked to disk, and no size is believed that does not
 * fit into the file. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export class ZipFile {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  private readonly file: ByteSource;
  private readonly malformed: Malformed;

  private constructor(file: ByteSource, entries: ReadonlyMap<string, ZipEntry>, malformed: Malformed) {
    this.file = file;
    this.entries = entries;
    this.malformed = malformed;
  }

  /** @throws what `malformed` makes, for an archive that contradicts itself */
  static async open(file: ByteSource, malformed: Malformed): Promise<ZipFile> {
    const { size } = file;
    const { count, bytes, offset } = await directoryOf(file, size, malformed);
    if (offset + bytes > size)
      throw malformed("a directory inside the archive", `one from ${offset} to ${offset + bytes} of ${size}`);
    const directory = await readExactly(file, { position: offset, length: bytes }, malformed);
    const entries = parseDirectory(directory, count, offset, malformed);
    const unpacked = [...entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    const most = Math.max(SMALL, limits.unpackedRatio * size);
    if (unpacked > most)
      throw malformed(`records of at most ${most} bytes in an archive of ${size} (limit unpackedRatio)`, `${unpacked}`);
    return new ZipFile(file, entries, malformed);
  }

  /** The content of a file. @throws what `malformed` makes, when it is not there or damaged */
  async read(name: string): Promise<Uint8Array> {
    const { file, malformed } = this;
    const entry = this.entries.get(name);
    if (!entry) throw malformed(`a record ${name}`, "none");
    const local = view(await readExactly(file, { position: entry.offset, length: LOCAL_BYTES }, malformed));
    if (local.getUint32(0, true) !== LOCAL)
      throw malformed(`record ${name} to start at ${entry.offset}`, "something else there");
    const start = entry.offset + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
    const packed = await readExactly(file, { position: start, length: entry.packedBytes }, malformed);
    if (entry.method === 0) return packed;
    const unpacked = await inflate(packed, entry.bytes + 1).catch((cause: Error) => {
      throw malformed(`record ${name} of ${entry.bytes} bytes`, cause.message);
    });
    if (unpacked.length !== entry.bytes)
      throw malformed(`record ${name} of ${entry.bytes} bytes`, `${unpacked.length}`);
    return unpacked;
  }
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Where the central directory is. */
async function directoryOf(
  file: ByteSource,
  size: number,
  malformed: Malformed,
): Promise<{ count: number; bytes: number; offset: number }> {
  const length = Math.min(size, END_BYTES + LONGEST_COMMENT);
  const tail = view(await readExactly(file, { position: size - length, length }, malformed));
  let at = length - END_BYTES;
  while (at >= 0 && !(tail.getUint32(at, true) === END && at + END_BYTES + tail.getUint16(at + 20, true) === length))
    at--;
  if (at < 0) throw malformed("the end of a zip archive", "a file that is cut off");
  const locator = at - LOCATOR_BYTES;
  if (locator < 0 || tail.getUint32(locator, true) !== LOCATOR_64) {
    return {
      count: tail.getUint16(at + 10, true),
      bytes: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
  }
  const position = safe(tail.getBigUint64(locator + 8, true), malformed);
  if (position + 56 > size) throw malformed("a zip64 record inside the archive", `one at ${position}`);
  const large = view(await readExactly(file, { position, length: 56 }, malformed));
  if (large.getUint32(0, true) !== END_64) throw malformed("a zip64 record", "something else there");
  const number = (offset: number) => safe(large.getBigUint64(offset, true), malformed);
  return { count: number(32), bytes: number(40), offset: number(48) };
}

function safe(value: bigint, malformed: Malformed): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a size that a file can have", String(value));
  return Number(value);
}

function parseDirectory(
  bytes: Uint8Array,
  count: number,
  directoryOffset: number,
  malformed: Malformed,
): Map<string, ZipEntry> {
  const directory = view(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_BYTES > bytes.length || directory.getUint32(at, true) !== ENTRY)
      throw malformed(`${count} entries in the directory`, `${i}`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => directory.getUint16(at + offset, true));
    const end = at + ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    if (end > bytes.length) throw malformed("an entry inside the directory", "one that ends after it");
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes));
    const [flags, method] = [directory.getUint16(at + 8, true), directory.getUint16(at + 10, true)];
    if ((flags & 1) !== 0) throw malformed(`record ${name} without encryption`, "an encrypted one");
    if (method !== 0 && method !== 8) throw malformed(`record ${name} stored or deflated`, `method ${method}`);
    const plain = {
      packedBytes: directory.getUint32(at + 20, true),
      bytes: directory.getUint32(at + 24, true),
      offset: directory.getUint32(at + 42, true),
    };
    const extra = directory.buffer.slice(
      directory.byteOffset + at + ENTRY_BYTES + nameBytes,
      directory.byteOffset + at + ENTRY_BYTES + nameBytes + extraBytes,
    );
    const sizes = withZip64(name, plain, new DataView(extra as ArrayBuffer), malformed);
    if (sizes.offset + LOCAL_BYTES + sizes.packedBytes > directoryOffset)
      throw malformed(`record ${name} inside the archive`, `${sizes.packedBytes} bytes at ${sizes.offset}`);
    if (method === 0 && sizes.packedBytes !== sizes.bytes)
      throw malformed(`record ${name} of one size`, `${sizes.packedBytes} and ${sizes.bytes}`);
    if (entries.has(name)) throw malformed(`one record ${name}`, "two");
    entries.set(name, { name, method, ...sizes });
    at = end;
  }
  checkOverlaps([...entries.values()], malformed);
  return entries;
}

/** Sizes that do not fit into 32 bits follow in a further field, in this order. */
function withZip64(
  name: string,
  { packedBytes, bytes, offset }: Omit<ZipEntry, "name" | "method">,
  extra: DataView,
  malformed: Malformed,
) {
  let field: DataView | undefined;
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (at + 4 + length > extra.byteLength)
      throw malformed(`sound fields of record ${name}`, "one that ends after its entry");
    if (extra.getUint16(at, true) === 1) field = new DataView(extra.buffer, at + 4, length);
    at += 4 + length;
  }
  let next = 0;
  const resolve = (value: number): number => {
    if (value !== OVERFLOWED) return value;
    if (!field || next + 8 > field.byteLength) throw malformed(`the size of record ${name} in a zip64 field`, "none");
    next += 8;
    return safe(field.getBigUint64(next - 8, true), malformed);
  };
  const whole = resolve(bytes);
  return { bytes: whole, packedBytes: resolve(packedBytes), offset: resolve(offset) };
}

function checkOverlaps(entries: ZipEntry[], malformed: Malformed): void {
  entries.sort((a, b) => a.offset - b.offset);
  for (const [i, entry] of entries.entries()) {
    const next = entries[i + 1];
    if (next && entry.offset + LOCAL_BYTES + entry.packedBytes > next.offset)
      throw malformed(`records apart from each other`, `${entry.name} reaching into ${next.name}`);
  }
}
