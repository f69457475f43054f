import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { withinLimit } from "../../base/index.ts";
import { withReadErrors } from "../../files/index.ts";
import type { BlockFile } from "./blocks.ts";
import { unpackLz4Block } from "./lz4.ts";
import { plainFields } from "./values.ts";
import { damagedTable, wholeTable } from "./whole-table.ts";

/**
 * The blocks of a Parquet file, which are its row groups. Columns without a text type are bytes. `TableThread` calls it
 * in a thread with limits.
 * @throws DataError for a file that is none, is cut off or damaged, now or when its rows are read
 */
export async function openParquet(path: string): Promise<BlockFile> {
  const table = { path, kind: "Parquet file" };
  const [{ parquetMetadataAsync, parquetReadObjects, parquetSchema }, { compressors: others }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"),
  ]);
  const compressors = { ...others, LZ4_RAW: unpackLz4Block };
  // without promises: where the thread is ended, its files are closed
  const handle = await withReadErrors(path, "a Parquet file", () => openSync(path, "r"));
  try {
    const { size } = fstatSync(handle);
    const file = {
      byteLength: size,
      slice: async (start: number, end = size) => {
        const bytes = new Uint8Array(end - start);
        if (readSync(handle, bytes, 0, bytes.length, start) !== bytes.length)
          throw new Error("the file ends within its data");
        return bytes.buffer;
      },
    };
    const metadata = await wholeTable(table, () => parquetMetadataAsync(file));
    const counts = metadata.row_groups.map(({ num_rows: count }) => Number(count));
    for (const count of counts) withinLimit("tableBlockRows", count, path, "rows in a row group");
    if (counts.some((count) => !Number.isSafeInteger(count) || count < 0))
      throw damagedTable(table, new Error("row groups of no sensible size"));
    const starts = counts.map((_, group) => counts.slice(0, group).reduce((sum, count) => sum + count, 0));
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    const read = (group: number) =>
      wholeTable(table, async () => {
        const [rowStart, rowEnd] = [starts[group], starts[group] + counts[group]];
        const rows: Record<string, unknown>[] = [];
        // one column after another: of several that fail at once the library leaves some unhandled, which ends a thread
        for (const column of columns) {
          const options = { file, metadata, compressors, utf8: false, rowStart, rowEnd, columns: [column] };
          const cells = await parquetReadObjects(options);
          for (const [i, cell] of cells.entries()) rows[i] = Object.assign(rows[i] ?? {}, cell);
        }
        if (rows.length !== counts[group]) throw new Error(`${rows.length} rows in a group of ${counts[group]}`);
        return rows.map(plainFields);
      });
    return { counts, read, close: async () => closeSync(handle) };
  } catch (error) {
    closeSync(handle);
    throw error;
  }
}
