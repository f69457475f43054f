/** The files and splits of a folder of rows, as Hugging Face's hub lays data sets out. */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { DataError, isObject } from "../../base/index.ts";
import { exists, withReadErrors } from "../../files/index.ts";

const DATA_FILE = /\.(jsonl|ndjson|json|csv|tsv|parquet|arrow|feather|ft|ipc|txt)(\.gz)?$/i;
/** Files of a folder that describe it, and are no rows. */
const NO_ROWS = /^(dataset_infos?|state|metadata|dataset_dict|config|package)\.json$|^(README|LICENSE).*$|^\./i;

/** Splits by the words that name them in files and folders. */
const splitWords: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};

/** The files of rows below a folder, in the order of their paths. @throws DataError where there are none */
export async function dataFilesIn(folder: string): Promise<string[]> {
  const entries = await withReadErrors(folder, "a folder of files of rows", () =>
    readdir(folder, { recursive: true, withFileTypes: true }),
  );
  const files = entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && DATA_FILE.test(entry.name))
    .filter(({ name }) => !NO_ROWS.test(name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  if (files.length > 0) return files;
  throw new DataError({
    where: folder,
    expected: "files of rows (.jsonl .json .csv .tsv .parquet .arrow .feather .txt, also .gz)",
    received: "a folder without any",
    fix: "name a file, or give the files such an ending",
  });
}

/** Files by split. */
export type SplitFiles = Readonly<Record<string, readonly string[]>>;

/**
 * The splits of a folder and the files of each: as its README.md says in `configs`, of the first configuration or of
 * the one that is named; otherwise by the words train, validation, test and their relatives in the names of files or,
 * where those say nothing, of folders. What names no split is "train".
 * @throws DataError for a folder without files of rows, or a configuration that it has not
 */
export async function splitFilesOf(folder: string, configuration?: string): Promise<SplitFiles> {
  const files = await dataFilesIn(folder);
  const card = await cardSplits(folder, files, configuration);
  if (card) return card;
  if (configuration !== undefined) throw noConfiguration(folder, configuration, []);
  const splits: Record<string, string[]> = {};
  for (const file of files) {
    const path = relative(folder, file);
    const split = splitNamed(basename(path)) ?? folderSplit(path) ?? "train";
    splits[split] ??= [];
    splits[split].push(file);
  }
  return splits;
}

function folderSplit(path: string): string | undefined {
  const parts = dirname(path).split(sep);
  return parts.map(splitNamed).findLast((split) => split !== undefined);
}

/** The split of a name such as "train-00000-of-00002.parquet" or "my_dev.jsonl". */
function splitNamed(name: string): string | undefined {
  // "data/custom-00000-of-00001.parquet" names a split of its own
  const [, shard] = /^(\w[\w.]*?)-\d{5}-of-\d{5}\b/.exec(name) ?? [];
  const words = name.toLowerCase().split(/[^a-z]+/);
  const known = Object.keys(splitWords).find((split) => splitWords[split].some((word) => words.includes(word)));
  return known ?? shard;
}

/** The splits that the card of the data set names. */
async function cardSplits(
  folder: string,
  files: readonly string[],
  configuration: string | undefined,
): Promise<SplitFiles | undefined> {
  const path = join(folder, "README.md");
  if (!(await exists(path))) return undefined;
  const [, front] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(await readFile(path, "utf8")) ?? [];
  if (front === undefined) return undefined;
  const { parse } = await import("yaml");
  const configs = (parse(front) as { configs?: unknown } | null)?.configs;
  if (!Array.isArray(configs)) return undefined;
  const named = configs.filter(isObject).filter(({ data_files: dataFiles }) => dataFiles !== undefined);
  if (named.length === 0) return undefined;
  const names = named.map(({ config_name: name }) => String(name ?? "default"));
  const chosen = named.find((config, i) =>
    configuration === undefined ? config.default === true || i === 0 : names[i] === configuration,
  );
  if (!chosen) throw noConfiguration(folder, configuration ?? "default", names);
  const splits: Record<string, string[]> = {};
  for (const [split, patterns] of entriesOf(chosen.data_files)) {
    const matching = files.filter((file) => patterns.some((pattern) => fits(relative(folder, file), pattern)));
    if (matching.length === 0)
      throw new DataError({
        where: `${path}: ${split}`,
        expected: `a file that ${patterns.join(" or ")} names`,
        received: "none",
        fix: "correct the card, or fetch the data set again",
      });
    splits[split] = matching;
  }
  return splits;
}

/** Of a pattern, a list of them, a list of { split, path }, or an object of patterns by split. */
function entriesOf(dataFiles: unknown): [string, string[]][] {
  const texts = (value: unknown) => [value].flat().filter((each) => typeof each === "string");
  if (Array.isArray(dataFiles) && dataFiles.every(isObject))
    return dataFiles.map(({ split, path }) => [String(split ?? "train"), texts(path)]);
  if (isObject(dataFiles)) return Object.entries(dataFiles).map(([split, paths]) => [split, texts(paths)]);
  return [["train", texts(dataFiles)]];
}

/** Whether a path fits a pattern: * within a folder, ** over folders, ? and [abc]. */
function fits(path: string, pattern: string): boolean {
  const escaped = pattern
    .replace(/^\.\//, "")
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*\*\/?|\*|\?/g, (wild) => (wild.startsWith("**") ? ".*" : wild === "*" ? "[^/]*" : "[^/]"));
  return new RegExp(`^${escaped}$`).test(path.split(sep).join("/"));
}

const noConfiguration = (folder: string, configuration: string, names: readonly string[]) =>
  new DataError({
    where: folder,
    expected: `the configuration "${configuration}"`,
    received: names.length > 0 ? `a data set with ${names.join(", ")}` : "a data set whose card names none",
    fix: "choose one that there is",
  });
