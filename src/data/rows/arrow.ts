/** Arrow IPC: files (Feather version 2) and streams, as pandas and Hugging Face's datasets write them. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Data, Table, Vector } from "apache-arrow";
import { limits, withinLimit } from "../../base/index.ts";
import { withReadErrors } from "../../files/index.ts";
import type { BlockFile } from "./blocks.ts";
import { unpackLz4 } from "./lz4.ts";
import type { Row } from "./rows.ts";
import { plainValue } from "./values.ts";
import { damagedTable, wholeTable } from "./whole-table.ts";

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
 * The blocks of an Arrow file or stream, which are its record batches, with LZ4, ZSTD or no compression. `TableThread`
 * calls it in a thread with limits.
 * @throws DataError for a file that is none, is cut off or damaged, now or when its rows are read
 */
export async function openArrow(path: string): Promise<BlockFile> {
  const table = { path, kind: "Arrow IPC file" };
  const arrow = await import("apache-arrow");
  await registerCodecs();
  // without promises: where the thread is ended, its files are closed
  const file = await withReadErrors(path, "an Arrow file", () => openSync(path, "r"));
  try {
    const places = await wholeTable(table, () => messagesOf(path, file));
    const schema = places.filter(({ kind }) => kind === "schema");
    if (schema.length !== 1) throw damagedTable(table, new Error(`${schema.length} schemas`));
    const dictionaries = places.filter(({ kind }) => kind === "dictionary");
    const batches = places.filter(({ kind }) => kind === "batch");
    const read = (block: number) =>
      wholeTable(table, async () => {
        const before = dictionaries.filter(({ start }) => start < batches[block].start);
        const parts = [...schema, ...before, batches[block]].map((place) => bytesOf(file, place));
        const rows = rowsIn(arrow.tableFromIPC(Buffer.concat(parts)));
        if (rows.length !== batches[block].rows) throw new Error(`${rows.length} rows in a batch of more`);
        return rows;
      });
    return { counts: batches.map(({ rows }) => rows), read, close: async () => closeSync(file) };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** Where the messages are: a file is a stream between its magic and its footer. */
async function messagesOf(path: string, file: number): Promise<Place[]> {
  const { Message } = await import("apache-arrow/ipc/metadata/message");
  const { size } = fstatSync(file);
  const bytesAt = (start: number, length: number): Buffer => {
    if (start + length > size) throw new Error("the file ends within a message");
    return bytesOf(file, { start, length });
  };
  const magic = size >= 8 ? bytesAt(0, 8).toString("latin1") : "";
  if (magic.startsWith("FEA1")) throw new Error("Feather version 1: write it again with a newer pandas");
  const places: Place[] = [];
  let start = magic.startsWith(FILE_MAGIC) ? 8 : 0;
  let hasEnded = false;
  while (start + 4 <= size && !hasEnded) {
    let prefix = 4;
    let length = bytesAt(start, 4).readUInt32LE(0);
    if (length === CONTINUATION) {
      length = bytesAt(start + 4, 4).readUInt32LE(0);
      prefix = 8;
    }
    hasEnded = length === 0;
    if (hasEnded) break;
    if (length > MOST_METADATA) throw new Error("no message of Arrow");
    const message = Message.decode(new Uint8Array(bytesAt(start + prefix, length)));
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
  const tail = isFile ? bytesAt(size - FILE_MAGIC.length, FILE_MAGIC.length).toString("latin1") : "";
  if (isFile && !(hasEnded && tail === FILE_MAGIC)) throw new Error("the file has no footer");
  return places;
}

function bytesOf(file: number, { start, length }: Pick<Place, "start" | "length">): Buffer {
  const bytes = Buffer.alloc(length);
  if (readSync(file, bytes, 0, length, start) !== length) throw new Error("the file ends within a message");
  return bytes;
}

/** Times are numbers of milliseconds in the library; the column's type says what they are. */
function rowsIn(table: Table): Row[] {
  const names = table.schema.fields.map(({ name }) => name);
  const columns = names.map((_, i) => {
    const column = table.getChildAt(i) as Vector;
    column.data.forEach(requireWhole);
    const { type } = column;
    return Array.from(column, (value) => (typeof value === "string" ? value : arrowValue(value, type)));
  });
  return Array.from({ length: table.numRows }, (_, row) =>
    Object.fromEntries(names.map((name, i) => [name, columns[i][row]])),
  );
}

/**
 * Lists that go on one after another within what they are lists of: the library believes where each begins and ends.
 * @throws Error for others
 */
function requireWhole({ length, type, valueOffsets: offsets, values, children, dictionary }: Data): void {
  // children of lists have lengths that only the metadata say
  if (length > limits.tableBlockRows) throw new Error(`a column of ${length} values`);
  const hasOffsets = LISTS.has(type.typeId);
  const end = values?.length ?? children[0]?.length ?? 0;
  if (hasOffsets && length > 0) {
    if (offsets.length <= length || offsets[0] < 0 || offsets[length] > end)
      throw new Error("lists beyond their values");
    for (let i = 0; i < length; i++)
      if (offsets[i] > offsets[i + 1]) throw new Error("lists that end before they begin");
  }
  for (const child of children) if (child) requireWhole(child);
  if (dictionary) dictionary.data.forEach(requireWhole);
}

type ArrowType = Vector["type"];

/** Type ids of what has offsets: Binary, Utf8, List, Map, LargeBinary, LargeUtf8. */
const LISTS: ReadonlySet<number> = new Set([4, 5, 12, 17, 19, 20]);

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
