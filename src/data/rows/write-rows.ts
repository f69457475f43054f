/** Files of rows that are written one after another, and are there when all are. */
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DataError, OptionError } from "../../base/index.ts";
import { makeFolder, withWriteErrors } from "../../files/index.ts";
import { ParquetColumns } from "./parquet-schema.ts";
import type { Row } from "./rows.ts";

/** A file of rows that is being written. */
export interface RowsWriter {
  readonly path: string;
  /** @throws DataError for a row that the format cannot hold, or where the disk refuses */
  write(row: Row): Promise<void>;
  /** Puts the file in its place. */
  close(): Promise<void>;
  /** Removes what was written. */
  abort(): Promise<void>;
}

/** How rows are written in a format. */
interface Encoder {
  write(row: Row): Promise<void> | void;
  end(): Promise<void>;
}

const ENDINGS = ".jsonl, .json, .csv, .tsv, .parquet or .txt, the texts also with .gz";

/**
 * Begins a file of rows whose ending says the format. It lies beside its place until it is closed.
 * @param options force: replaces a file that is there. @default false
 * @throws OptionError for another ending; DataError where there is a file, or the disk refuses
 */
export async function writeRows(path: string, { force = false }: { force?: boolean } = {}): Promise<RowsWriter> {
  const [, ending, packed] = /\.(jsonl|json|csv|tsv|parquet|txt)(\.gz)?$/i.exec(path) ?? [];
  const format = ending?.toLowerCase();
  if (format === undefined || (format === "parquet" && packed))
    throw new OptionError({
      where: path,
      expected: `a name that ends in ${ENDINGS}`,
      received: "another",
      fix: "name the file so",
    });
  const info = await stat(path).catch(() => undefined);
  if (info && !force)
    throw new DataError({
      where: path,
      expected: "a new file",
      received: "one that is there",
      fix: "choose another name, or replace it: --force",
    });
  await makeFolder(dirname(path));
  const temporary = `${path}.tmp-${process.pid}`;
  const encoder = await withWriteErrors(path, () =>
    format === "parquet" ? parquetEncoder(temporary) : textEncoder(temporary, format, packed !== undefined),
  );
  return {
    path,
    write: (row) => withWriteErrors(path, () => encoder.write(row)),
    close: () =>
      withWriteErrors(path, async () => {
        await encoder.end();
        await rename(temporary, path);
      }),
    abort: async () => {
      await encoder.end().catch(() => {});
      await rm(temporary, { force: true });
    },
  };
}

/** Text that is collected before it goes to the disk. */
const BLOCK = 1 << 18;

function textEncoder(path: string, format: string, isPacked: boolean): Encoder {
  const file = createWriteStream(path);
  const gzip = isPacked ? createGzip() : undefined;
  gzip?.pipe(file);
  const target: Writable = gzip ?? file;
  let failure: Error | undefined;
  for (const stream of gzip ? [gzip, file] : [file])
    stream.on("error", (error: Error) => {
      failure ??= error;
      target.destroy();
    });
  let block = "";
  const flush = async () => {
    if (failure) throw failure;
    const text = block;
    block = "";
    if (text === "" || target.write(text)) return;
    await new Promise<void>((resolve) => {
      const goOn = () => {
        target.off("drain", goOn).off("close", goOn);
        resolve();
      };
      target.on("drain", goOn).on("close", goOn);
    });
    if (failure) throw failure;
  };
  const { begin, line, end } = textOf(format);
  block += begin;
  return {
    write: (row) => {
      block += line(row);
      return block.length >= BLOCK ? flush() : undefined;
    },
    end: async () => {
      block += end();
      await flush();
      target.end();
      await finished(file);
    },
  };
}

interface TextFormat {
  begin: string;
  line(row: Row): string;
  end(): string;
}

function textOf(format: string): TextFormat {
  if (format === "csv" || format === "tsv")
    return { begin: "", line: csvLines(format === "csv" ? "," : "\t"), end: () => "" };
  if (format === "txt") return { begin: "", line: plainLine, end: () => "" };
  if (format === "jsonl") return { begin: "", line: (row) => `${jsonOf(row)}\n`, end: () => "" };
  let count = 0;
  return { begin: "[\n", line: (row) => `${count++ === 0 ? "" : ",\n"}${jsonOf(row)}`, end: () => "\n]\n" };
}

/** Bytes are in base64, as other tools write them in JSON. */
const jsonOf = (row: Row): string =>
  JSON.stringify(row, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value));

function csvLines(delimiter: string): (row: Row) => string {
  let columns: string[] | undefined;
  const cell = (value: unknown): string => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? value : jsonOf(value as Row);
    return /["\r\n]/.test(text) || text.includes(delimiter) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return (row) => {
    const header = columns ? "" : `${Object.keys(row).map(cell).join(delimiter)}\n`;
    columns ??= Object.keys(row);
    const other = Object.keys(row).find((name) => !columns?.includes(name));
    if (other !== undefined)
      throw new DataError({
        where: "CSV",
        expected: `rows with the columns of the first: ${columns.join(", ")}`,
        received: `one with "${other}"`,
        fix: "write JSON Lines, whose rows may differ",
      });
    return `${header}${columns.map((name) => cell(row[name])).join(delimiter)}\n`;
  };
}

function plainLine({ text }: Row): string {
  if (typeof text === "string") return `${text.replace(/\r?\n/g, " ")}\n`;
  throw new DataError({
    where: "text",
    expected: "rows with a column text",
    received: "a row without",
    fix: "write JSON Lines, which has all columns",
  });
}

/** Rows of a group: the first tell the types of the columns. */
const GROUP_ROWS = 10_000;

async function parquetEncoder(path: string): Promise<Encoder> {
  const { ParquetWriter, fileWriter } = await import("hyparquet-writer");
  const target = fileWriter(path);
  let columns: ParquetColumns | undefined;
  let writer: InstanceType<typeof ParquetWriter> | undefined;
  let group: Row[] = [];
  const flush = async () => {
    columns ??= new ParquetColumns(group);
    writer ??= new ParquetWriter({ writer: target, schema: columns.schema });
    await writer.write({ columnData: columns.values(group), rowGroupSize: GROUP_ROWS });
    group = [];
  };
  return {
    write: (row) => {
      group.push(row);
      return group.length >= GROUP_ROWS ? flush() : undefined;
    },
    end: async () => {
      if (group.length > 0 || !writer) await flush();
      await writer?.finish();
    },
  };
}
