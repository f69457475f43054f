/** Rows of text files: read as a stream, or by number over an index of where each begins. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataError } from "../../base/index.ts";
import { ownerModes, sha256OfFile, withReadErrors, withWriteErrors } from "../../files/index.ts";
import type { BadRows } from "./bad-rows.ts";
import { fileBytes, headOf, isGzip, markLength, requireText, unpackedHead } from "./bytes.ts";
import { HeaderError, RecordError } from "./record-error.ts";
import { fingerprintOf, makeRows, type Row, type Rows } from "./rows.ts";
import type { Splitter } from "./splitters.ts";

/** A format of text files: how bytes are cut into records, and what row a record is. */
export interface RecordFormat {
  /** In words and with its options, for errors and for sums. */
  name: string;
  splitter(): Splitter;
  /**
   * A reader of the records of one file, in their order from the first on; of later ones in any order.
   * @throws RecordError for what is no row
   */
  reader(): (text: string) => Row | undefined;
}

/** A record as it lies in a file. */
interface RawRecord {
  /** Offset in the unpacked bytes. */
  start: number;
  bytes: Buffer;
  /** From 1 on. */
  line: number;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new RecordError("bytes that are no UTF-8");
  }
}

/**
 * The records of a file, some at a time; those of no bytes are left out.
 * @param onBytes called with all bytes, unpacked, as they come
 */
async function* rawRecords(
  path: string,
  splitter: Splitter,
  skip: number,
  onBytes?: (bytes: Buffer) => Promise<void>,
): AsyncGenerator<RawRecord[], void, void> {
  let [rest, base, line, waiting]: [Buffer, number, number, number] = [Buffer.alloc(0), 0, 1, 0];
  let pieces: Buffer[] = [];
  let isFirst = true;
  const cut = (isEnd: boolean): RawRecord[] => {
    const bytes = pieces.length === 0 ? rest : Buffer.concat([rest, ...pieces]);
    const records: RawRecord[] = [];
    const from = isFirst ? skip : 0;
    const next = splitter.scan(bytes, from, isEnd, (start, end, lines) => {
      if (end > start) records.push({ start: base + start, bytes: bytes.subarray(start, end), line });
      line += lines;
    });
    isFirst = false;
    rest = bytes.subarray(next);
    [base, pieces, waiting] = [base + next, [], 0];
    return records;
  };
  for await (const chunk of fileBytes(path)) {
    await onBytes?.(chunk);
    pieces.push(chunk);
    waiting += chunk.length;
    // a record larger than what is there is not looked at again until there is twice as much
    if (waiting >= rest.length) yield cut(false);
  }
  yield cut(true);
}

/** A row, and the line on which it begins. */
export interface PlacedRow {
  row: Row;
  line: number;
  start: number;
  length: number;
}

/**
 * The rows of a text file from begin to end, some at a time, without an index of them. Bad ones are told to `bad`.
 * @throws DataError for a file without records, in another encoding, or that cannot be read
 */
export async function* streamText(
  path: string,
  format: RecordFormat,
  bad: BadRows,
  onBytes?: (bytes: Buffer) => Promise<void>,
): AsyncGenerator<PlacedRow[], void, void> {
  const head = await unpackedHead(path);
  requireText(path, head);
  const [splitter, read] = [format.splitter(), format.reader()];
  let [isEmpty, lastLine] = [true, 1];
  for await (const records of rawRecords(path, splitter, markLength(head), onBytes)) {
    const rows: PlacedRow[] = [];
    for (const { start, bytes, line } of records) {
      isEmpty = false;
      lastLine = line;
      try {
        const row = read(textOf(bytes));
        if (row) rows.push({ row, line, start, length: bytes.length });
      } catch (error) {
        if (error instanceof HeaderError) throw wrongHeader(`${path}:${line}`, error);
        if (!(error instanceof RecordError)) throw error;
        bad.add({ file: path, line, reason: error.reason });
      }
    }
    if (rows.length > 0) yield rows;
  }
  if (isEmpty)
    throw new DataError({
      where: path,
      expected: `rows (${format.name})`,
      received: head.length === 0 ? "an empty file" : "nothing but blank lines",
      fix: "name a file with rows in it",
    });
  const problem = splitter.problem?.();
  if (problem) bad.add({ file: path, line: lastLine, reason: problem });
}

const wrongHeader = (where: string, { reason: received }: HeaderError) =>
  new DataError({
    where,
    expected: "a first record that names the columns",
    received,
    fix: "correct it; for a file without a header set hasHeader to false",
  });

/** Where the rows of a file begin: numbers in arrays that grow. */
class RowIndex {
  count = 0;
  starts = new Float64Array(1024);
  lengths = new Uint32Array(1024);
  lines = new Uint32Array(1024);

  add(start: number, length: number, line: number): void {
    if (this.count === this.starts.length) {
      const grown = <A extends Float64Array | Uint32Array>(array: A, larger: A): A => {
        larger.set(array);
        return larger;
      };
      this.starts = grown(this.starts, new Float64Array(2 * this.count));
      this.lengths = grown(this.lengths, new Uint32Array(2 * this.count));
      this.lines = grown(this.lines, new Uint32Array(2 * this.count));
    }
    this.starts[this.count] = start;
    this.lengths[this.count] = length;
    this.lines[this.count++] = line;
  }
}

/**
 * The rows of a text file by number. The file is read once to find where each begins (16 bytes of memory a row); a
 * gzipped one is unpacked into a temporary file, which is removed when the rows are closed.
 * @throws DataError as `streamText`
 */
export async function openText(path: string, format: RecordFormat, bad: BadRows): Promise<Rows> {
  const unpacked = isGzip(await headOf(path)) ? join(tmpdir(), `kindling-${randomUUID()}`) : undefined;
  const index = new RowIndex();
  const target =
    unpacked === undefined ? undefined : await withWriteErrors(unpacked, () => open(unpacked, "wx", ownerModes.file));
  const remove = async () => unpacked && rm(unpacked, { force: true });
  const before = await withReadErrors(path, "a file of rows", () => stat(path));
  try {
    const write = target && ((bytes: Buffer) => withWriteErrors(unpacked ?? path, () => target.writeFile(bytes)));
    for await (const rows of streamText(path, format, bad, write))
      for (const { start, length, line } of rows) index.add(start, length, line);
  } catch (error) {
    await target?.close();
    await remove();
    throw error;
  }
  await target?.close();
  const file = await withReadErrors(path, "a file of rows", () => open(unpacked ?? path));
  return textRows(path, { file, format, index, bytes: before.size, close: remove });
}

interface OpenText {
  file: FileHandle;
  format: RecordFormat;
  index: RowIndex;
  bytes: number;
  close: () => Promise<unknown>;
}

/** Rows between two reads of the disk when all are read in order. */
const BLOCK_BYTES = 1 << 20;

function textRows(path: string, { file, format, index, bytes, close }: OpenText): Rows {
  const { starts, lengths, lines, count } = index;
  const read = primedReader(path, format);
  const changed = () =>
    new DataError({
      where: path,
      expected: "the file as it was when it was opened",
      received: "another content",
      fix: "open it again",
    });
  const bytesAt = async (start: number, length: number) => {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(buffer, 0, length, start);
    if (bytesRead !== length) throw changed();
    return buffer;
  };
  const rowOf = (reader: (text: string) => Row | undefined, raw: Uint8Array): Row => {
    try {
      const row = reader(textOf(raw));
      if (row) return row;
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
    }
    throw changed();
  };
  const all = async function* () {
    const reader = await read;
    for (let from = 0; from < count; ) {
      const start = starts[from];
      let to = from + 1;
      while (to < count && starts[to] + lengths[to] - start <= BLOCK_BYTES) to++;
      const block = await bytesAt(start, starts[to - 1] + lengths[to - 1] - start);
      for (; from < to; from++) {
        const at = starts[from] - start;
        yield rowOf(reader, block.subarray(at, at + lengths[from]));
      }
    }
  };
  return makeRows({
    count,
    row: async (i) => rowOf(await read, await bytesAt(starts[i], lengths[i])),
    placeOf: (i) => `${path}:${lines[i]}`,
    // rows that were left out decide too, and how cells were read
    fingerprint: async () => fingerprintOf(await sha256OfFile(path), format.name, String(count), String(bytes)),
    all,
    close: async () => {
      await file.close();
      await close();
    },
  });
}

/** A reader that has seen the first record, which for some formats names the columns. */
async function primedReader(path: string, format: RecordFormat): Promise<(text: string) => Row | undefined> {
  const reader = format.reader();
  const head = await unpackedHead(path);
  for await (const records of rawRecords(path, format.splitter(), markLength(head))) {
    if (records.length === 0) continue;
    try {
      reader(textOf(records[0].bytes));
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
    }
    break;
  }
  return reader;
}
