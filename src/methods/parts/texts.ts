/** Texts that a config names: rows with a text, and files that are one. */
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { BadRows, openTextDocuments, type Rows, rowText, splitOf, splitRows } from "../../data/index.ts";
import { exists, sha256OfFile } from "../../files/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { datasetsOf, type NamedDataset, openNamed, warnOfBadRows } from "./datasets.ts";

/** Texts of one data set, in pieces. */
export interface Texts {
  rows: Rows<unknown>;
  textOf: (row: never) => string;
  /** What `textOf` does, for the sum of the tokens. */
  name: string;
  /** How many rows each document has. @default one */
  pieces?: Uint32Array;
  /** Share of the tokens, beside those of the others. @default as many as it has */
  weight?: number;
}

/** Texts to learn from, and to measure on. */
export interface OpenedTexts {
  train: readonly Texts[];
  /** Of other files, or of documents that are kept from training. */
  validation: readonly Texts[];
  /** Of too few documents to keep some whole: the share of their tokens, at the end, that is to be measured on. */
  tailShare?: number;
  close(): Promise<void>;
}

/** With at least so many documents, whole ones are kept for validation. */
const LEAST_DOCUMENTS = 20;
const TEXT_FILE = /\.(txt|text|md|rst|html|xml|tex)(\.gz)?$/i;
const TABLE_FILE = /\.(jsonl|ndjson|json|csv|tsv|parquet|arrow|feather|ft|ipc)(\.gz)?$/i;
/** Files of a folder that describe it. */
const ABOUT = /^(README|LICENSE|NOTICE)\b|^\./i;

/** How texts are read. */
export interface OpenTextsOptions {
  /** Whether each line of a text file is a document, and not the file. */
  isByLine: boolean;
}

/**
 * The texts of a config. Of rows the column is `text` or what `columns` says; a text file is a document. A part of the
 * documents is kept for validation where none is named, by a sum of their content.
 * @throws DataError for files that cannot be read, and rows without the column; OptionError for folders that have both
 *   texts and rows
 */
export async function openTexts(
  { data }: Pick<SharedConfig, "data">,
  options: OpenTextsOptions,
  { onWarning }: Pick<MethodContext, "onWarning">,
): Promise<OpenedTexts> {
  const { onBadRow, maxBadRows, validationShare } = data;
  const badRows = new BadRows({ onBadRow, ...(maxBadRows !== undefined && { maxBadRows }) });
  const opened: OpenedSet[] = [];
  const close = async () => {
    for (const set of opened) await set.close();
  };
  const openAll = async (input: SharedConfig["data"]["train"], usual: string) => {
    const first = opened.length;
    for (const set of datasetsOf(input)) opened.push(await openSet(set, { ...options, badRows, usual }));
    return opened.slice(first);
  };
  try {
    const all = await openAll(data.train, "train");
    const measured = data.validation === undefined ? undefined : await openAll(data.validation, "validation");
    warnOfBadRows(badRows, onWarning);
    const parts = measured ? { train: await whole(all), validation: await whole(measured) } : undefined;
    return { ...(parts ?? (await splitTexts(all, validationShare))), close };
  } catch (error) {
    await close();
    throw error;
  }
}

const whole = (sets: readonly OpenedSet[]) => Promise.all(sets.map((set) => set.texts()));

/** A share of the documents is kept, or later, where these are few, the end of the tokens. */
async function splitTexts(sets: readonly OpenedSet[], share: number): Promise<Omit<OpenedTexts, "close">> {
  const documents = sets.reduce((total, { count }) => total + count, 0);
  const isSplit = share > 0 && documents >= LEAST_DOCUMENTS;
  const parts = isSplit ? await Promise.all(sets.map((set) => set.split(share))) : [];
  const validation = parts.flatMap((part) => part.validation ?? []);
  const train = parts.flatMap((part) => part.train ?? []);
  if (validation.length > 0 && train.length > 0) return { train, validation };
  return { train: await whole(sets), validation: [], ...(share > 0 && { tailShare: share }) };
}

/** A data set whose texts are not read yet. */
interface OpenedSet {
  /** Documents. */
  count: number;
  texts(): Promise<Texts>;
  /** Parts that have no document are undefined. */
  split(share: number): Promise<{ train?: Texts; validation?: Texts }>;
  close(): Promise<void>;
}

interface NamedTexts extends NamedDataset {
  columns?: Record<string, string>;
  format?: string;
}

interface SetOptions extends OpenTextsOptions {
  badRows: BadRows;
  usual: string;
}

async function openSet(set: NamedTexts, options: SetOptions): Promise<OpenedSet> {
  if (set.format !== undefined)
    throw new OptionError({
      where: `data, ${set.path}, format`,
      expected: "no format: rows have a text",
      received: set.format,
      fix: "leave it out; name the column of the text: columns: { text: body }",
    });
  const files = options.isByLine ? undefined : await textFilesOf(set);
  if (files) return fileSet(files.slice(0, set.limit), set.weight);
  const { text: column = "text" } = set.columns ?? {};
  const { badRows, usual } = options;
  const rows = await openNamed(set, { badRows, requireColumns: [column] }, usual);
  return rowSet(rows, column, set.weight);
}

function fileSet(files: readonly string[], weight: number | undefined): OpenedSet {
  const textsOf = async (files: readonly string[]): Promise<Texts> => {
    const rows = await openTextDocuments(files);
    return { rows, pieces: rows.pieces, textOf: ({ text }: { text: string }) => text, name: "text files", weight };
  };
  const partOf = async (part: readonly string[]) => (part.length > 0 ? textsOf(part) : undefined);
  return {
    count: files.length,
    texts: () => textsOf(files),
    async split(share) {
      const sums = await Promise.all(files.map((file) => sha256OfFile(file)));
      const isKept = sums.map((sum) => splitOf(sum, { validation: share }) === "validation");
      const [train, validation] = await Promise.all([
        partOf(files.filter((_, i) => !isKept[i])),
        partOf(files.filter((_, i) => isKept[i])),
      ]);
      return { train, validation };
    },
    close: async () => {},
  };
}

function rowSet(rows: Rows, column: string, weight: number | undefined): OpenedSet {
  const textsOf = (rows: Rows): Texts => ({
    rows,
    textOf: (row: Parameters<typeof rowText>[0]) => rowText(row, column),
    name: `column ${column}, 1`,
    weight,
  });
  return {
    count: rows.count,
    texts: async () => textsOf(rows),
    async split(share) {
      const { train, validation } = await splitRows(rows, {
        validation: share,
        groupOf: (row) => rowText(row, column),
      });
      return {
        train: train.count > 0 ? textsOf(train) : undefined,
        validation: validation.count > 0 ? textsOf(validation) : undefined,
      };
    },
    close: () => rows.close(),
  };
}

/**
 * The text files of a data set; undefined where it is one of rows.
 * @throws OptionError for a folder with both, or a split of text files
 */
async function textFilesOf({ path, split }: NamedDataset): Promise<string[] | undefined> {
  const names = await Promise.all((typeof path === "string" ? [path] : path).map(namesIn));
  const files = names.flat();
  const texts = files.filter((file) => TEXT_FILE.test(file) || (!TABLE_FILE.test(file) && extname(file) !== ""));
  if (texts.length === 0) return undefined;
  const tables = files.filter((file) => TABLE_FILE.test(file));
  const where = `data, ${path}`;
  if (tables.length > 0)
    throw new OptionError({
      where,
      expected: "files of text, or files of rows",
      received: `both, as ${basename(texts[0])} and ${basename(tables[0])}`,
      fix: "name those that are meant, or put them into a folder of their own",
    });
  if (split === undefined) return texts;
  throw new OptionError({
    where,
    expected: "no split, of text files",
    received: split,
    fix: "name the files of the split",
  });
}

/** The files of a path; of a folder those that are texts or rows. None for what is not on the disk. */
async function namesIn(path: string): Promise<string[]> {
  if (!(await exists(path))) return [];
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !ABOUT.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => TEXT_FILE.test(file) || TABLE_FILE.test(file))
    .sort();
}
