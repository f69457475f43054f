/** Labels of objects as YOLO stores them, a text file for each picture: docs.ultralytics.com/datasets/detect. */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, sep } from "node:path";
import { DataError, isObject, withYamlErrors } from "../../base/index.ts";
import { exists, withReadErrors } from "../../files/index.ts";
import { BadRows } from "./bad-rows.ts";
import type { ObjectRows } from "./boxes.ts";
import { filesOfMedia } from "./media-folder.ts";
import { canonicalJson, fingerprintOf, makeRows, type Row } from "./rows.ts";

/** How `openYolo` reads. */
export interface OpenYoloOptions {
  /** Of a YAML file: train, validation or test. @default "train" */
  split?: string;
  /** Counts the bad rows, and keeps the first. @default the first one is an error */
  badRows?: BadRows;
}

/** Pictures that are asked for labels, to see whether a folder has any. */
const ASKED = 100;

/** Whether a folder has pictures with labels in text files. */
export async function isYoloFolder(folder: string): Promise<boolean> {
  for (const picture of (await filesOfMedia(folder, "image")).slice(0, ASKED))
    if ((await labelFile(picture)) !== undefined) return true;
  return false;
}

/**
 * A row for each picture, `{ image, objects: { bbox, category, format } }`, of a data set's YAML file (`path`, `train`,
 * `val`, `names`) or of a folder of pictures. The labels of images/a.jpg are in labels/a.txt, or in a.txt beside it, a
 * line for each object: the number of its class, and its middle, width and height as parts of the picture's. A picture
 * without such a file has no objects. Of a folder the names of the classes are those of a classes.txt, if there is one.
 * @throws DataError for files that are damaged or missing
 */
export async function openYolo(
  path: string,
  { split = "train", badRows = new BadRows() }: OpenYoloOptions = {},
): Promise<ObjectRows> {
  const isFolder = (await stat(path)).isDirectory();
  const { pictures, names } = isFolder
    ? { pictures: await filesOfMedia(path, "image"), names: await namesBeside(path) }
    : await dataset(path, split);
  const kept: { row: Row; picture: string }[] = [];
  let labelled = 0;
  for (const picture of pictures) {
    const file = await labelFile(picture);
    if (file !== undefined) labelled++;
    const objects = file === undefined ? { bbox: [], category: [] } : await readLabels(file, names, badRows);
    if (objects === undefined) continue;
    const row = { image: basename(picture), objects: { ...objects, format: "normalized-cxcywh" } };
    kept.push({ row, picture });
  }
  if (labelled === 0)
    throw new DataError({
      where: path,
      expected: "labels in .txt files, in labels/ for pictures in images/, or beside them",
      received: pictures.length === 0 ? "no pictures" : `${pictures.length} pictures without any`,
      fix: "put the files of the labels there",
    });
  const rows = makeRows({
    count: kept.length,
    row: async (index) => kept[index].row,
    placeOf: (index) => kept[index].picture,
    fingerprint: async () => fingerprintOf("yolo", ...kept.map(({ row }) => canonicalJson(row))),
  });
  return { rows, classes: names ?? [] };
}

/** The file with the labels of a picture, if there is one. */
async function labelFile(picture: string): Promise<string | undefined> {
  const beside = `${picture.slice(0, -extname(picture).length)}.txt`;
  const parts = beside.split(sep);
  const at = parts.lastIndexOf("images");
  const candidates = at < 0 ? [beside] : [parts.with(at, "labels").join(sep), beside];
  for (const candidate of candidates) if (await exists(candidate)) return candidate;
  return undefined;
}

interface Labels {
  bbox: number[][];
  /** Names, or without any numbers. */
  category: (string | number)[];
}

/** The labels of a file; undefined for one that has a bad line, which was noted. */
async function readLabels(
  file: string,
  names: readonly string[] | undefined,
  badRows: BadRows,
): Promise<Labels | undefined> {
  const text = await withReadErrors(file, "labels of a picture", () => readFile(file, "utf8"));
  const labels: Labels = { bbox: [], category: [] };
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const [number, ...box] = line.trim().split(/\s+/).map(Number);
    const name = names ? names[number] : number;
    const reason =
      box.length !== 4
        ? `a line of ${box.length + 1} numbers, where a class and four numbers are expected`
        : !Number.isSafeInteger(number) || number < 0 || name === undefined
          ? `the class ${line.trim().split(/\s+/)[0]}, where ${names ? `a number below ${names.length}` : "a number"} is expected`
          : undefined;
    if (reason !== undefined) {
      badRows.add({ file, line: i + 1, reason });
      return undefined;
    }
    labels.bbox.push(box);
    labels.category.push(name as string | number);
  }
  return labels;
}

/** Names in a classes.txt of a folder or of one above it, or beside a folder of labels. */
async function namesBeside(folder: string): Promise<readonly string[] | undefined> {
  const parts = folder.split(sep);
  const at = parts.lastIndexOf("images");
  const labels = at < 0 ? [] : [parts.with(at, "labels").join(sep)];
  for (const place of [folder, ...labels, dirname(folder), dirname(dirname(folder))]) {
    const path = join(place, "classes.txt");
    if (!(await exists(path))) continue;
    const text = await withReadErrors(path, "names of classes", () => readFile(path, "utf8"));
    return text.split(/\r?\n/).flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  }
  return undefined;
}

const splitKeys: Readonly<Record<string, readonly string[]>> = {
  train: ["train"],
  validation: ["val", "valid", "validation"],
  test: ["test"],
};

/** The pictures of a split, and the names of the classes. */
async function dataset(path: string, split: string): Promise<{ pictures: string[]; names: readonly string[] }> {
  const text = await withReadErrors(path, "a YOLO data set", () => readFile(path, "utf8"));
  const { parse } = await import("yaml");
  const yaml: unknown = withYamlErrors(path, () => parse(text));
  const wrong = (expected: string, received: unknown) =>
    new DataError({
      where: path,
      expected,
      received: JSON.stringify(received)?.slice(0, 60) ?? "nothing",
      fix: "write path, train, val and names, as YOLO's data sets have them",
    });
  if (!isObject(yaml)) throw wrong("an object with train, val and names", yaml);
  const value = (splitKeys[split] ?? [split]).map((key) => yaml[key]).find((each) => each !== undefined);
  const folders = [value].flat();
  if (!folders.every((each) => typeof each === "string")) throw wrong(`the folder of the split "${split}"`, value);
  const { names } = yaml;
  const list = isObject(names) ? Object.keys(names).map((_, i) => names[i]) : names;
  if (!Array.isArray(list) || list.length === 0 || !list.every((name) => typeof name === "string"))
    throw wrong("names of the classes, a list or an object with numbers from 0 on", names);
  const root = await rootOf(path, yaml.path);
  const pictures: string[] = [];
  for (const folder of folders) pictures.push(...(await picturesOf(join(root, folder as string))));
  return { pictures, names: list };
}

/** Where a data set's folders are: `path` beside the file, where there is such a folder. */
async function rootOf(file: string, path: unknown): Promise<string> {
  const folder = dirname(file);
  if (typeof path !== "string") return folder;
  const stated = path.startsWith(sep) ? path : join(folder, path);
  return (await exists(stated)) ? stated : folder;
}

/** Pictures of a folder, or of a text file that names them. */
async function picturesOf(path: string): Promise<string[]> {
  if (!path.endsWith(".txt")) return filesOfMedia(path, "image");
  const text = await withReadErrors(path, "a list of pictures", () => readFile(path, "utf8"));
  const lines = text.split(/\r?\n/).flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  return lines.map((line) => (line.startsWith(sep) ? line : join(dirname(path), line)));
}
