/** Arrow IPC: files (Feather version 2) and streams, as pandas and Hugging Face's datasets write them. */
import { type FileHandle, open } from "node:fs/promises";
import type { Table, Vector } from "apache-arrow";
import { DataError, withinLimit } from "../../base/index.ts";
import { isSystemError, withReadErrors } from "../../files/index.ts";
import { blockRows } from "./blocks.ts";
import { unpackLz4 } from "./lz4.ts";
import type { Row, Rows } from "./rows.ts";
import { plainValue } from "./values.ts";

const FILE_MAGIC = "ARROW1";
/** What stands before each message since version 0.15. */
const CONTINUATION = 0xffffffff;
/** Metadata of a message of thousands of columns have some hundred kilobytes. */
const MOST_METADATA = 1 << 26;

/** A message of the file: metadata, then arrays. */
interface Place {
  kind: "schema" | "dictionary" | "batch";
  start: number;
  length: number;
  /** Rows of a batch. */
  rows: number;
}

/**
 * The rows of an Arrow file or stream, a record batch at a time, with LZ4, ZSTD or no compression.
 * @throws DataError for a file that is none, is cut off or damaged, now or when its rows are read
 */
export async function openArrow(path: string): Promise<Rows> {
  const arrow = await import("apache-arrow");
  await registerCodecs();
  const file = await withReadErrors(path, "an Arrow file", () => open(path));
  try {
    const places = await readable(path, () => messagesOf(path, file));
    const schema = places.filter(({ kind }) => kind === "schema");
    if (schema.length !== 1) throw damaged(path, new Error(`${schema.length} schemas`));
    const dictionaries = places.filter(({ kind }) => kind === "dictionary");
    const batches = places.filter(({ kind }) => kind === "batch");
    const read = (block: number) =>
      readable(path, async () => {
        const before = dictionaries.filter(({ start }) => start < batches[block].start);
        const parts = await Promise.all([...schema, ...before, batches[block]].map((place) => bytesOf(file, place)));
        const rows = rowsIn(arrow.tableFromIPC(Buffer.concat(parts)));
        if (rows.length !== batches[block].rows) throw new Error(`${rows.length} rows in a batch of more`);
        return rows;
      });
    return blockRows(path, { counts: batches.map(({ rows }) => rows), read, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Where the messages are: a file is a stream between its magic and its footer. */
async function messagesOf(path: string, file: FileHandle): Promise<Place[]> {
  const { Message } = await import("apache-arrow/ipc/metadata/message");
  const { size } = await file.stat();
  const bytesAt = async (start: number, length: number): Promise<Buffer> => {
    if (start + length > size) throw new Error("the file ends within a message");
    return bytesOf(file, { start, length });
  };
  const magic = size >= 8 ? (await bytesAt(0, 8)).toString("latin1") : "";
  if (magic.startsWith("FEA1")) throw new Error("Feather version 1: write it again with a newer pandas");
  const places: Place[] = [];
  let start = magic.startsWith(FILE_MAGIC) ? 8 : 0;
  let hasEnded = false;
  while (start + 4 <= size && !hasEnded) {
    let prefix = 4;
    let length = (await bytesAt(start, 4)).readUInt32LE(0);
    if (length === CONTINUATION) {
      length = (await bytesAt(start + 4, 4)).readUInt32LE(0);
      prefix = 8;
    }
    hasEnded = length === 0;
    if (hasEnded) break;
    if (length > MOST_METADATA) throw new Error("no message of Arrow");
    const message = Message.decode(new Uint8Array(await bytesAt(start + prefix, length)));
    const body = Number(message.bodyLength);
    const total = prefix + length + body;
    if (!(body >= 0) || start + total > size) throw new Error("the file ends within a batch");
    const rows = message.isRecordBatch() ? Number(message.header().length) : 0;
    withinLimit("tableBlockRows", rows, path, "rows in a batch");
    const kind = message.isSchema() ? "schema" : message.isDictionaryBatch() ? "dictionary" : "batch";
    places.push({ kind, start, length: total, rows });
    start += total;
  }
  const isFile = magic.startsWith(FILE_MAGIC);
  const tail = isFile ? (await bytesAt(size - FILE_MAGIC.length, FILE_MAGIC.length)).toString("latin1") : "";
  if (isFile && !(hasEnded && tail === FILE_MAGIC)) throw new Error("the file has no footer");
  return places;
}

async function bytesOf(file: FileHandle, { start, length }: Pick<Place, "start" | "length">): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, start);
  if (bytesRead !== length) throw new Error("the file ends within a message");
  return bytes;
}

/** Times are numbers of milliseconds in the library; the column's type says what they are. */
function rowsIn(table: Table): Row[] {
  const names = table.schema.fields.map(({ name }) => name);
  const columns = names.map((_, i) => {
    const column = table.getChildAt(i) as Vector;
    const { type } = column;
    return Array.from(column, (value) => (typeof value === "string" ? value : arrowValue(value, type)));
  });
  return Array.from({ length: table.numRows }, (_, row) =>
    Object.fromEntries(names.map((name, i) => [name, columns[i][row]])),
  );
}

type ArrowType = Vector["type"];

/** Type ids of Arrow's format: Date is 8, Timestamp 10, Decimal 7; negative ones are those with their units. */
const isTime = ({ typeId }: ArrowType) => typeId === 8 || typeId === 10;

function arrowValue(value: unknown, type: ArrowType): unknown {
  if (value === null || value === undefined) return null;
  if (isTime(type)) return plainValue(new Date(Number(value)));
  const children = (type as { children?: { name: string; type: ArrowType }[] }).children;
  if (isVector(value)) return Array.from(value, (each) => arrowValue(each, (children ?? [])[0]?.type ?? type));
  if (typeof value === "object" && children && !ArrayBuffer.isView(value)) {
    const fields = value as Record<string, unknown>;
    return Object.fromEntries(children.map((child) => [child.name, arrowValue(fields[child.name], child.type)]));
  }
  return plainValue(value);
}

const isVector = (value: unknown): value is Vector =>
  typeof value === "object" && value !== null && "toArray" in value && "getChildAt" in value;

async function registerCodecs(): Promise<void> {
  const { CompressionType, compressionRegistry } = await import("apache-arrow");
  if (compressionRegistry.get(CompressionType.ZSTD)) return;
  const { compressors } = await import("hyparquet-compressors");
  const unpackZstd = compressors.ZSTD as (packed: Uint8Array, bytes: number) => Uint8Array;
  // arrays of wide numbers begin where memory is aligned for them: at the beginning of a buffer
  compressionRegistry.set(CompressionType.ZSTD, { decode: (packed) => Uint8Array.from(unpackZstd(packed, 0)) });
  compressionRegistry.set(CompressionType.LZ4_FRAME, { decode: unpackLz4 });
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (isSystemError(cause) || cause instanceof DataError) throw cause;
    throw damaged(path, cause);
  }
}

const damaged = (path: string, cause: unknown) =>
  new DataError({
    where: path,
    expected: "a whole Arrow IPC file",
    received: (cause as Error).message,
    fix: "fetch or write the file again: it is cut off or damaged",
    cause,
  });
