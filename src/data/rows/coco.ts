/** COCO's files of objects in pictures. Lin et al. 2014, arXiv:1405.0312; the format: cocodataset.org/#format-data. */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { DataError, isObject, parseJson } from "../../base/index.ts";
import { exists, sha256OfFile, withReadErrors } from "../../files/index.ts";
import { BadRows } from "./bad-rows.ts";
import type { ObjectRows } from "./boxes.ts";
import { fingerprintOf, makeRows, type Row } from "./rows.ts";

type Json = Readonly<Record<string, unknown>>;

/** How `openCoco` reads. */
export interface OpenCocoOptions {
  /** The folder of the pictures. @default one of the usual places beside the file, where the first picture is */
  pictures?: string;
  /** Counts the bad rows, and keeps the first. @default the first one is an error */
  badRows?: BadRows;
}

/** Whether a JSON file has pictures and objects as COCO's. */
export async function isCocoFile(path: string): Promise<boolean> {
  if (!/\.json$/i.test(path)) return false;
  const text = await withReadErrors(path, "a JSON file", () => readFile(path, "utf8"));
  return (
    /^\s*\{/.test(text) && ["images", "annotations"].every((name) => new RegExp(`"${name}"\\s*:\\s*\\[`).test(text))
  );
}

/** The file of a folder that has the objects of its pictures, as Roboflow writes it. */
export async function cocoFileIn(folder: string): Promise<string | undefined> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  const path = names.length === 1 ? join(folder, names[0]) : undefined;
  return path !== undefined && (await isCocoFile(path)) ? path : undefined;
}

/**
 * A row for each picture of a COCO file, `{ image, width, height, objects: { id, bbox, category, area, iscrowd, format
 * } }`: pictures without objects too. The picture is a path from the file on. All but the pictures is held in memory.
 * @throws DataError for a file that is damaged, or whose pictures are not to be found
 */
export async function openCoco(
  path: string,
  { pictures, badRows = new BadRows() }: OpenCocoOptions = {},
): Promise<ObjectRows> {
  const text = await withReadErrors(path, "a COCO file", () => readFile(path, "utf8"));
  const file = parseJson(text, path) as Json;
  const [images, annotations, categories] = (["images", "annotations", "categories"] as const).map((name) =>
    listOf(path, file, name),
  );
  if (images.length === 0) throw wrong(path, "images", "at least one picture", "none");
  const names = namesOf(path, categories);
  const { objects, faults } = objectsByImage(path, images, { annotations, names, badRows });
  const folder = pictures ?? (await folderOf(path, String(images[0].file_name)));
  const kept: { row: Row; number: number }[] = [];
  for (const [i, image] of images.entries()) {
    const { id, file_name: name, width, height } = image;
    const fault = typeof name === "string" ? faults.get(id) : "a picture without a file_name";
    if (fault !== undefined) {
      badRows.add({ file: path, line: i + 1, reason: fault });
      continue;
    }
    const place = relative(dirname(path), join(folder, ...String(name).split("/"))).split(sep);
    const sizes = { ...(width !== undefined && { width }), ...(height !== undefined && { height }) };
    kept.push({ row: { image: place.join("/"), ...sizes, objects: columnsOf(objects.get(id) ?? []) }, number: i + 1 });
  }
  const rows = makeRows({
    count: kept.length,
    row: async (index) => kept[index].row,
    placeOf: (index) => `${path}:${kept[index].number}`,
    fingerprint: async () => fingerprintOf("coco", await sha256OfFile(path)),
  });
  return { rows, classes: [...names.values()] };
}

function wrong(path: string, field: string, expected: string, received: unknown): DataError {
  return new DataError({
    where: `${path}, ${field}`,
    expected,
    received: typeof received === "string" ? received : (JSON.stringify(received)?.slice(0, 60) ?? "nothing"),
    fix: "write it as COCO's instances_*.json: images, annotations and categories",
  });
}

function listOf(path: string, file: Json, name: string): readonly Json[] {
  const list = isObject(file) ? file[name] : undefined;
  if (Array.isArray(list) && list.every(isObject)) return list;
  throw wrong(path, name, "a list of objects", list === undefined ? "none" : list);
}

/** Names of classes by their ids, in the order of these. */
function namesOf(path: string, categories: readonly Json[]): Map<unknown, string> {
  const sorted = categories.toSorted((a, b) => Number(a.id) - Number(b.id));
  const names = new Map<unknown, string>();
  for (const { id, name } of sorted) {
    if (typeof name !== "string" || id === undefined || names.has(id))
      throw wrong(path, "categories", "an id of its own and a name for each", { id, name });
    names.set(id, name);
  }
  return names;
}

/** The objects of each picture, and what is wrong with those of some. */
function objectsByImage(
  path: string,
  images: readonly Json[],
  {
    annotations,
    names,
    badRows,
  }: { annotations: readonly Json[]; names: ReadonlyMap<unknown, string>; badRows: BadRows },
): { objects: ReadonlyMap<unknown, readonly Json[]>; faults: ReadonlyMap<unknown, string> } {
  const objects = new Map<unknown, Json[]>();
  for (const { id } of images) {
    if (id === undefined || objects.has(id)) throw wrong(path, "images", "an id of its own for each picture", { id });
    objects.set(id, []);
  }
  const faults = new Map<unknown, string>();
  for (const [i, annotation] of annotations.entries()) {
    const { id, image_id: image, category_id: category } = annotation;
    const list = objects.get(image);
    const name = names.get(category);
    if (list === undefined) {
      const reason = `annotation ${id}, of the picture ${JSON.stringify(image)}, which there is not`;
      badRows.add({ file: path, line: i + 1, reason });
    } else if (name === undefined)
      faults.set(image, `annotation ${id} has the category_id ${JSON.stringify(category)}, which there is not`);
    else list.push({ ...annotation, category: name });
  }
  return { objects, faults };
}

/** Objects as columns, as Hugging Face's data sets have them. */
function columnsOf(objects: readonly Json[]): Row {
  const column = (name: string) => objects.map((each) => each[name] ?? null);
  return {
    id: column("id"),
    bbox: column("bbox"),
    category: column("category"),
    ...(objects.some(({ area }) => area !== undefined) && { area: column("area") }),
    ...(objects.some(({ iscrowd }) => iscrowd === 1) && { iscrowd: column("iscrowd") }),
    format: "xywh",
  };
}

/** The folder in which the first picture is: COCO's own layout is annotations/instances_train.json beside train/. */
async function folderOf(path: string, first: string): Promise<string> {
  const folder = dirname(path);
  const name = basename(path, ".json").replace(/^instances_/, "");
  const places = [".", "images", name, `../${name}`, "../images", `../images/${name}`].map((part) =>
    join(folder, part),
  );
  for (const place of places) if (await exists(join(place, ...first.split("/")))) return place;
  throw new DataError({
    where: `${path}, images`,
    expected: `${first} in one of ${places.join(", ")}`,
    received: "none there",
    fix: "name the folder of the pictures: data: { train: { path: ..., pictures: ... } }",
  });
}
