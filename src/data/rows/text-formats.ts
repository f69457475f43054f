/** JSON Lines, lists of JSON, CSV and lines of text as records. */
import { isObject, limits, parseJson } from "../../base/index.ts";
import { HeaderError, RecordError } from "./record-error.ts";
import type { Row } from "./rows.ts";
import { csvSplitter, jsonListSplitter, lineSplitter } from "./splitters.ts";
import type { RecordFormat } from "./text-rows.ts";

/** One object of JSON a line; blank lines are passed over. */
export const jsonLines: RecordFormat = { name: "JSON Lines", splitter: lineSplitter, reader: () => jsonRow };
/** A list of objects. */
export const jsonList: RecordFormat = { name: "a list of JSON", splitter: jsonListSplitter, reader: () => jsonRow };

/** Each line is a row with the column `text`; empty lines are passed over. */
export const textLines: RecordFormat = {
  name: "lines of text",
  splitter: lineSplitter,
  reader: () => (text) => ({ text }),
};

function jsonRow(text: string): Row | undefined {
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = text.length <= limits.jsonDepth ? JSON.parse(text) : parseJson(text, "row");
  } catch (error) {
    throw new RecordError(jsonFault(text, error as Error & { received?: string }));
  }
  if (isObject(value)) return value;
  throw new RecordError(`${Array.isArray(value) ? "a list" : shown(text)} where an object of JSON is expected`);
}

const shown = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}...` : text);

/** Outside of strings, what Python writes and JSON has not. */
const PYTHON_NUMBER = /(?<=[[:,]\s*)-?(NaN|Infinity)(?=\s*[\],}])/;

function jsonFault(text: string, error: Error & { received?: string }): string {
  const number = PYTHON_NUMBER.exec(text.slice(0, 1 << 16))?.[0];
  if (number) return `${number}, which JSON has not: write null`;
  if (error.received === "more") return error.message;
  return `no JSON: ${(error.received ?? error.message).replace(/\s+/g, " ")}`;
}

/** How CSV is read. */
export interface CsvOptions {
  /** What stands between cells. @default told by the first records: one of , ; tab | */
  delimiter?: string;
  /** Whether the first record names the columns. @default true */
  hasHeader?: boolean;
  /** Names of the columns, of a file without a header. @default column0, column1, ... */
  columns?: readonly string[];
}

/**
 * CSV, RFC 4180: cells are texts; those in quotes may hold delimiters, line ends and doubled quotes.
 * @throws RecordError in the reader, for a record with another number of cells than there are columns; HeaderError for
 *   a header that cannot be
 */
export function csvFormat({ delimiter = ",", hasHeader = true, columns }: CsvOptions): RecordFormat {
  const reader = () => {
    let names = columns;
    let isFirst = true;
    return (text: string): Row | undefined => {
      const isHeader = isFirst && hasHeader;
      isFirst = false;
      if (!isHeader && text.trim() === "" && delimiter !== "\t") return undefined;
      const cells = csvCells(text, delimiter);
      if (isHeader) {
        names ??= columnNames(cells);
        return undefined;
      }
      names ??= cells.map((_, i) => `column${i}`);
      if (cells.length !== names.length)
        throw new RecordError(`${cells.length} cells for ${names.length} columns (${names.slice(0, 6).join(", ")})`);
      return Object.fromEntries(names.map((name, i) => [name, cells[i]]));
    };
  };
  const header = columns ? columns.join() : hasHeader ? "with a header" : "without a header";
  return { name: `CSV by ${JSON.stringify(delimiter)} ${header}`, splitter: () => csvSplitter(delimiter), reader };
}

/** Names of columns: those without one are named by their place, as pandas does; the same name twice is refused. */
function columnNames(cells: readonly string[]): string[] {
  const names = cells.map((cell, i) => (cell.trim() === "" ? `column${i}` : cell.trim()));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new HeaderError(`a header that names ${JSON.stringify(twice)} twice`);
  return names;
}

/** The cells of a record. @throws RecordError for a quote that does not end, or text behind one */
function csvCells(text: string, delimiter: string): string[] {
  if (!text.includes('"')) return text.split(delimiter);
  const cells: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] !== '"') {
      const end = text.indexOf(delimiter, at);
      if (end < 0) return [...cells, text.slice(at)];
      cells.push(text.slice(at, end));
      at = end + delimiter.length;
      continue;
    }
    let end = text.indexOf('"', at + 1);
    while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
    if (end < 0) throw new RecordError("a quotation mark that does not end");
    cells.push(text.slice(at + 1, end).replaceAll('""', '"'));
    if (end + 1 === text.length) return cells;
    if (!text.startsWith(delimiter, end + 1)) throw new RecordError("text behind a closing quotation mark");
    at = end + 1 + delimiter.length;
  }
}

const DELIMITERS = [",", "\t", ";", "|"];
/** Records by which the delimiter is told. */
const SNIFFED = 20;

/** The delimiter that gives the first records the same number of cells, and most of them; a comma where none does. */
export function sniffDelimiter(head: string): string {
  const scores = DELIMITERS.map((delimiter) => {
    const records: string[] = [];
    const bytes = Buffer.from(head);
    csvSplitter(delimiter).scan(bytes, 0, false, (start, end) => {
      if (end > start && records.length < SNIFFED) records.push(bytes.toString("utf8", start, end));
    });
    const counts = (records.length > 0 ? records : [head]).map((record) => {
      try {
        return csvCells(record, delimiter).length;
      } catch {
        return 0;
      }
    });
    const alike = counts.filter((count) => count === counts[0]).length / counts.length;
    return { delimiter, score: counts[0] > 1 ? alike * 1000 + counts[0] : 0 };
  });
  const best = scores.reduce((a, b) => (b.score > a.score ? b : a));
  return best.score > 0 ? best.delimiter : ",";
}
