/** Files of rows by what they are: told by the ending of the name, or by the content. */
import { readFile, stat } from "node:fs/promises";
import { checkOptions, DataError, isObject, OptionError, parseJson } from "../../base/index.ts";
import { withReadErrors } from "../../files/index.ts";
import { type BadRowOptions, BadRows } from "./bad-rows.ts";
import { unpackedHead } from "./bytes.ts";
import { concatRows } from "./combine.ts";
import { isIdx, openIdx } from "./idx.ts";
import { isMediaFolder, openMediaFolder } from "./media-folder.ts";
import { RecordError } from "./record-error.ts";
import { type Row, type Rows, rowsOf } from "./rows.ts";
import { dataFilesIn } from "./splits.ts";
import { TableThread } from "./table-thread.ts";
import { type CsvOptions, csvFormat, jsonLines, jsonList, sniffDelimiter, textLines } from "./text-formats.ts";
import { openText, type RecordFormat, streamText } from "./text-rows.ts";

/** Formats of files of rows. */
export type FileFormat = "jsonl" | "json" | "csv" | "tsv" | "parquet" | "arrow" | "text" | "idx";
const fileFormats: readonly FileFormat[] = ["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text", "idx"];

/** How files of rows are read. */
export interface OpenRowsOptions extends BadRowOptions, CsvOptions {
  /** @default told by the ending of the name, and where that says nothing by the content */
  format?: FileFormat;
  /** Columns that each row must have; one without is bad. @default none */
  requireColumns?: readonly string[];
  /** Of a JSON file that is one object: the field with the list of rows. @default its only list of objects */
  field?: string;
  /** Counts the bad rows, and keeps the first, for the caller to show. @default one that follows the options */
  badRows?: BadRows;
}

const optionNames = [
  ...["onBadRow", "maxBadRows", "delimiter", "hasHeader", "columns", "format", "requireColumns", "field", "badRows"],
] as const;

/**
 * Rows of a file, of several, or of a folder, by number. Text is JSON Lines, a list of JSON, CSV, TSV or plain lines,
 * each also gzipped; tables are Parquet and Arrow IPC (Feather). A folder has files of rows, in the order of their
 * names; or pictures or sounds: see `openMediaFolder`.
 * @throws DataError for a file that is missing, empty, damaged, in another encoding, or has a bad row that is not to be
 *   skipped; OptionError for wrong options
 */
export async function openRows(path: string | readonly string[], options: OpenRowsOptions = {}): Promise<Rows> {
  const { bad, all } = checked("openRows", options);
  const paths = await filesOf(path);
  if (typeof paths === "string") return openMediaFolder(paths);
  const opened: Rows[] = [];
  const tables = new TableThread(paths);
  try {
    for (const each of paths) opened.push(await openFile(each, { options: all, bad, tables }));
  } catch (error) {
    await Promise.all(opened.map((rows) => rows.close()));
    throw error;
  }
  return opened.length === 1 ? opened[0] : concatRows(opened);
}

/** A row as it is read from begin to end, and where it stands. */
export interface StreamedRow {
  row: Row;
  /** "train.jsonl:17" */
  place: string;
}

/**
 * Rows of files from begin to end, which may be larger than memory: as `openRows`, but nothing is read before, so that
 * they have no numbers.
 * @throws as `openRows`, while they are read
 */
export async function* streamRows(
  path: string | readonly string[],
  options: OpenRowsOptions = {},
): AsyncGenerator<StreamedRow, void, void> {
  const { bad, all } = checked("streamRows", options);
  const paths = await filesOf(path);
  const tables = new TableThread(typeof paths === "string" ? [] : paths);
  for (const each of typeof paths === "string" ? [paths] : paths) {
    const format = typeof paths === "string" ? undefined : await textFormat(each, all);
    if (format) {
      for await (const rows of streamText(each, format, bad))
        for (const { row, line } of rows) yield { row, place: `${each}:${line}` };
      continue;
    }
    const rows =
      typeof paths === "string" ? await openMediaFolder(each) : await openFile(each, { options: all, bad, tables });
    try {
      let index = 0;
      for await (const row of rows) yield { row, place: rows.placeOf(index++) };
    } finally {
      await rows.close();
    }
  }
}

function checked(where: string, options: OpenRowsOptions): { bad: BadRows; all: OpenRowsOptions } {
  checkOptions(where, options, optionNames);
  const { format, delimiter, badRows } = options;
  const refuse = (expected: string, received: unknown) =>
    new OptionError({ where, expected, received: JSON.stringify(received), fix: "choose one of them" });
  if (format !== undefined && !fileFormats.includes(format))
    throw refuse(`a format of ${fileFormats.join(", ")}`, format);
  if (delimiter !== undefined && !/^[\0-\x7f]$/.test(delimiter))
    throw refuse("a delimiter of one ASCII character", delimiter);
  const { onBadRow, maxBadRows } = options;
  const policy = { ...(onBadRow !== undefined && { onBadRow }), ...(maxBadRows !== undefined && { maxBadRows }) };
  return { bad: badRows ?? new BadRows(policy), all: options };
}

/** The files that a path names; a folder of pictures or sounds stays as it is. */
async function filesOf(path: string | readonly string[]): Promise<readonly string[] | string> {
  if (typeof path !== "string") {
    if (path.length > 0) return (await Promise.all(path.map(filesOf))).flat();
    throw new OptionError({ where: "openRows", expected: "a file", received: "an empty list", fix: "name files" });
  }
  const info = await withReadErrors(path, "a file of rows, or a folder of them", () => stat(path));
  if (!info.isDirectory()) return [path];
  if (await isMediaFolder(path)) return path;
  return dataFilesIn(path);
}

interface FileOptions {
  options: OpenRowsOptions;
  bad: BadRows;
  tables: TableThread;
}

async function openFile(path: string, { options, bad, tables }: FileOptions): Promise<Rows> {
  const format = await textFormat(path, options);
  if (format) return openText(path, format, bad);
  const kind = await formatOf(path, options);
  return withColumns(path, await openTable(path, kind, { options, tables }), options);
}

/** What is no records of text. */
function openTable(
  path: string,
  kind: FileFormat,
  { options, tables }: Pick<FileOptions, "options" | "tables">,
): Promise<Rows> {
  if (kind === "parquet" || kind === "arrow") return tables.open(path, kind);
  return kind === "idx" ? openIdx(path) : jsonObjectRows(path, options);
}

/** What is read as records of text; undefined for tables, and for JSON that is one object. */
async function textFormat(path: string, options: OpenRowsOptions): Promise<RecordFormat | undefined> {
  const format = await formatOf(path, options);
  if (format === "parquet" || format === "arrow" || format === "idx") return undefined;
  const required = withRequired(options.requireColumns ?? []);
  if (format === "jsonl") return required(jsonLines);
  if (format === "text") return required(textLines);
  if (format === "json") return (await isJsonObject(path)) ? undefined : required(jsonList);
  const head = (await unpackedHead(path)).toString("utf8").replace(/^\ufeff/, "");
  const delimiter = options.delimiter ?? (format === "tsv" ? "\t" : sniffDelimiter(head));
  return required(csvFormat({ ...options, delimiter }));
}

const endings: Readonly<Record<string, FileFormat>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
  arrow: "arrow",
  feather: "arrow",
  ft: "arrow",
  ipc: "arrow",
  txt: "text",
  text: "text",
  md: "text",
};

/** What a file is: by the first bytes where those say it, then by the ending of its name, then by how it begins. */
async function formatOf(path: string, { format }: OpenRowsOptions): Promise<FileFormat> {
  const head = await unpackedHead(path);
  const magic = head.toString("latin1", 0, 6);
  if (format === undefined && magic.startsWith("PAR1")) return "parquet";
  if (format === undefined && isIdx(head)) return "idx";
  if (format === undefined && (magic === "ARROW1" || magic.startsWith("FEA1"))) return "arrow";
  const ending = /\.(\w+)(\.gz)?$/.exec(path.toLowerCase())?.[1];
  const named = format ?? (ending === undefined ? undefined : endings[ending]);
  const text = head
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .trimStart();
  const isLines = text.startsWith("{") && isWholeJson(text.split("\n", 1)[0]);
  // many files of JSON Lines are called .json
  if (named === "json" && isLines && format === undefined && text.trimEnd().includes("\n")) return "jsonl";
  if (named === "jsonl" && text.startsWith("[") && format === undefined && !isWholeJson(text.split("\n", 1)[0]))
    return "json";
  if (named !== undefined) return named;
  if (text.startsWith("[")) return "json";
  if (text.startsWith("{")) return isLines ? "jsonl" : "json";
  return "text";
}

function isWholeJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

async function isJsonObject(path: string): Promise<boolean> {
  return (await unpackedHead(path))
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .trimStart()
    .startsWith("{");
}

/** Rows of a JSON file that is one object, with the list of rows in a field, as SQuAD's. */
async function jsonObjectRows(path: string, { field }: OpenRowsOptions): Promise<Rows> {
  const text = await withReadErrors(path, "a JSON file", () => readFile(path, "utf8"));
  const value = parseJson(text.replace(/^\ufeff/, ""), path) as Record<string, unknown>;
  const isRows = (list: unknown): list is Row[] => Array.isArray(list) && list.length > 0 && list.every(isObject);
  const lists = Object.keys(value).filter((name) => isRows(value[name]));
  const name = field ?? (lists.length === 1 ? lists[0] : undefined);
  const list = name === undefined ? undefined : value[name];
  if (isRows(list)) return rowsOf(list, path);
  throw new DataError({
    where: path,
    expected: field === undefined ? "one field with a list of rows" : `a list of rows in the field "${field}"`,
    received: `an object with ${Object.keys(value).slice(0, 8).join(", ") || "no fields"}`,
    fix: "name the field of the rows: field",
  });
}

/** A format whose rows must have columns. */
function withRequired(columns: readonly string[]): (format: RecordFormat) => RecordFormat {
  if (columns.length === 0) return (format) => format;
  return (format) => ({
    ...format,
    name: `${format.name} with ${columns.join()}`,
    reader: () => {
      const read = format.reader();
      return (text) => {
        const row = read(text);
        const missing = row && columns.find((column) => !Object.hasOwn(row, column));
        if (missing !== undefined) throw new RecordError(lacking(missing, row as Row));
        return row;
      };
    },
  });
}

const lacking = (column: string, row: Row) =>
  `a row without the column "${column}": it has ${Object.keys(row).slice(0, 8).join(", ") || "none"}`;

/** All rows of a table have the same columns: the first tells them. */
async function withColumns(path: string, rows: Rows, { requireColumns = [] }: OpenRowsOptions): Promise<Rows> {
  if (rows.count === 0) {
    await rows.close();
    throw new DataError({ where: path, expected: "rows", received: "a table without any", fix: "name another file" });
  }
  const first = requireColumns.length > 0 ? await rows.row(0) : {};
  const missing = requireColumns.find((column) => !Object.hasOwn(first, column));
  if (missing === undefined) return rows;
  await rows.close();
  throw new DataError({
    where: path,
    expected: `the column "${missing}"`,
    received: `a table with ${Object.keys(first).join(", ")}`,
    fix: "name the columns as they are called in the file",
  });
}
