/** The rows that a config names, put together and split. */
import { normalize, relative } from "node:path";
import { OptionError } from "../../base/index.ts";
import {
  BadRows,
  type ColumnMapping,
  canonicalJson,
  concatRows,
  interleaveRows,
  type OpenRowsOptions,
  openDataset,
  openRows,
  type Rows,
  splitRows,
  takeRows,
} from "../../data/index.ts";
import type { DatasetInput, SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";

/** What of a data set says which rows they are; its format belongs to the method. */
export interface NamedDataset {
  path: string | readonly string[];
  split?: string;
  weight?: number;
  limit?: number;
  /** The folder of the pictures of a COCO file. */
  pictures?: string;
  format?: string;
}

/** Opens the rows of a data set. @param usual the split that is meant where none is named */
export type OpenNamed = (set: NamedDataset, options: { badRows: BadRows }, usual: string) => Promise<Rows>;

/** Rows to learn from, and to measure on. */
export interface OpenedData {
  train: Rows;
  validation: Rows | undefined;
  badRows: BadRows;
  close(): Promise<void>;
}

/** All data sets of a value, as objects. */
export function datasetsOf(input: DatasetInput): NamedDataset[] {
  if (typeof input === "string") return [{ path: input }];
  if (!Array.isArray(input)) return [input as NamedDataset];
  return input.map((each) => (typeof each === "string" ? { path: each } : (each as NamedDataset)));
}

/** The content of a row, in which paths of pictures and sounds begin at their data set: a split stays if that moves. */
function contentWithin(sets: readonly NamedDataset[]): (row: object) => string {
  const roots = sets.flatMap(({ path }) => path).map((path) => normalize(`${path}/`));
  const within = (value: unknown) => {
    const root = typeof value === "string" ? roots.find((each) => value.startsWith(each)) : undefined;
    return root === undefined ? value : relative(root, value as string);
  };
  return (row) => canonicalJson(Object.fromEntries(Object.entries(row).map(([name, value]) => [name, within(value)])));
}

/** Which columns of the training rows have which part, where the config says it. */
export function columnsOf({ train }: Pick<SharedConfig["data"], "train">): ColumnMapping | undefined {
  return (datasetsOf(train)[0] as { columns?: ColumnMapping }).columns;
}

/**
 * The rows of a config: those of several data sets one after another, or by their weights; a part of them for
 * validation where none is named.
 * @param open of a data set, where a method has formats of its own. @default openNamed
 * @throws DataError for files that cannot be read; OptionError for splits that there are not, or nothing to learn from
 */
export async function openData(
  config: SharedConfig["data"],
  { onWarning, onOpened }: MethodContext,
  open: OpenNamed = openNamed,
): Promise<OpenedData> {
  const { train, validation, validationShare, onBadRow, maxBadRows } = config;
  const badRows = new BadRows({ onBadRow, ...(maxBadRows !== undefined && { maxBadRows }) });
  const opened: Rows[] = [];
  const close = async () => {
    for (const rows of opened.splice(0)) await rows.close();
  };
  onOpened?.(close);
  const all = await joined(datasetsOf(train), open, { badRows, usual: "train" });
  opened.push(all);
  warnOfBadRows(badRows, onWarning);
  if (validation !== undefined) {
    const rows = await joined(datasetsOf(validation), open, { badRows, usual: "validation" });
    opened.push(rows);
    return { train: all, validation: rows, badRows, close };
  }
  if (validationShare === 0) return { train: all, validation: undefined, badRows, close };
  const parts = await splitRows(all, { validation: validationShare, groupOf: contentWithin(datasetsOf(train)) });
  const isTooSmall = parts.validation.count === 0 || parts.train.count === 0;
  if (isTooSmall) {
    const notes = [`too few different rows for a validationShare of ${validationShare}: nothing is measured`];
    onWarning({ where: "data", notes });
  }
  const split = isTooSmall ? { train: all, validation: undefined } : parts;
  return { ...split, badRows, close };
}

/** Says which rows are left out, where there are any. */
export function warnOfBadRows({ count, first }: BadRows, onWarning: MethodContext["onWarning"]): void {
  if (count === 0) return;
  const shown = first.slice(0, 3).map(({ file, line, reason }) => `${file}:${line}: ${reason}`);
  onWarning({ where: "data", notes: [`${count} bad rows are left out, as ${shown.join("; ")}`] });
}

async function joined(
  sets: readonly NamedDataset[],
  open: OpenNamed,
  { badRows, usual }: { badRows: BadRows; usual: string },
): Promise<Rows> {
  const opened: Rows[] = [];
  for (const set of sets) opened.push(await open(set, { badRows }, usual));
  if (opened.length === 1) return opened[0];
  const weights = sets.map(({ weight }) => weight);
  if (weights.every((weight) => weight === undefined)) return concatRows(opened);
  return interleaveRows(opened, { weights: weights.map((weight) => weight ?? 1), stopping: "all-exhausted" });
}

/**
 * The rows of a data set: of a split, by default one.
 * @throws as `openDataset`; OptionError for a split that there is not
 */
export async function openNamed(
  { path, split, limit, pictures }: NamedDataset,
  options: OpenRowsOptions,
  usual: string,
): Promise<Rows> {
  if (pictures !== undefined)
    throw new OptionError({
      where: `data, ${path}`,
      expected: "pictures for a COCO file alone, in object-detection",
      received: pictures,
      fix: "leave it out: rows name their pictures themselves",
    });
  const rows = typeof path === "string" ? await openSplit(path, split, options, usual) : await openRows(path, options);
  return limit === undefined ? rows : takeRows(rows, limit);
}

async function openSplit(
  path: string,
  split: string | undefined,
  options: OpenRowsOptions,
  usual: string,
): Promise<Rows> {
  const splits = await openDataset(path, { rows: options });
  const names = Object.keys(splits);
  const name = split ?? (names.includes(usual) ? usual : names.length === 1 ? names[0] : usual);
  if (name in splits) return splits[name];
  throw new OptionError({
    where: `data, ${path}`,
    expected: `a split of ${names.join(", ")}`,
    received: name,
    fix: `name one: split: ${names[0]}`,
  });
}
