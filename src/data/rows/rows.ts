import { createHash } from "node:crypto";
import { OptionError } from "../../base/index.ts";

/**
 * A row of a data set: values of JSON by the names of their columns. Bytes, which JSON has not, are a Uint8Array; whole
 * numbers beyond 2^53 and dates are texts.
 */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Rows by number. A row depends on its number alone, so that a run can go on anywhere and orders need no storage.
 * Iterating gives them in their order, which reads files from begin to end.
 */
export interface Rows<R = Row> extends AsyncIterable<R> {
  readonly count: number;
  /** The row of a number from 0 to below `count`. @throws OptionError for another number */
  row(index: number): Promise<R>;
  /** Where a row stands, for messages: "train.jsonl:17". */
  placeOf(index: number): string;
  /**
   * A sum of the content of all rows and of what was done to them, in hex; undefined where a function without a name
   * was applied.
   */
  fingerprint(): Promise<string | undefined>;
  /** Closes the files. */
  close(): Promise<void>;
}

/** The parts of `Rows`; what is left out follows from the others. */
export interface RowsParts<R> {
  count: number;
  row(index: number): Promise<R>;
  placeOf(index: number): string;
  fingerprint(): Promise<string | undefined>;
  /** @default nothing to close */
  close?(): Promise<void>;
  /** All rows in order. @default `row` of each number */
  all?(): AsyncGenerator<R, void, void>;
}

/** Makes `Rows` of their parts: numbers are checked, and iterating asks for one row after another. */
export function makeRows<R>({ count, row, placeOf, fingerprint, close, all }: RowsParts<R>): Rows<R> {
  const inOrder = async function* () {
    for (let index = 0; index < count; index++) yield row(index);
  };
  return {
    count,
    placeOf,
    fingerprint,
    close: close ?? (async () => {}),
    [Symbol.asyncIterator]: all ?? inOrder,
    row: async (index) => {
      if (Number.isSafeInteger(index) && index >= 0 && index < count) return row(index);
      throw new OptionError({
        where: "Rows.row",
        expected: `a number from 0 to ${count - 1}`,
        received: String(index),
        fix: "ask for rows below count",
      });
    },
  };
}

/**
 * Rows that are in memory.
 *
 * @example
 * const rows = rowsOf([{ text: "one" }, { text: "two" }]);
 * (await rows.row(1)).text; // "two"
 */
export function rowsOf<R = Row>(values: readonly R[], name = "rows"): Rows<R> {
  return makeRows({
    count: values.length,
    row: async (index) => values[index],
    placeOf: (index) => `${name}:${index + 1}`,
    fingerprint: async () => fingerprintOf("values", ...values.map((value) => canonicalJson(value))),
  });
}

/** A sum of texts, in hex: their lengths count too, so that no other list of texts has the same. */
export function fingerprintOf(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest("hex");
}

/** A value as JSON with the names of objects in order, so that equal rows have equal texts. */
export function canonicalJson(value: unknown): string {
  if (value instanceof Uint8Array) return `"bytes ${createHash("sha256").update(value).digest("hex")}"`;
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join()}}`;
}
