/** Rows of pictures with objects, of COCO, YOLO and Hugging Face's imagefolder. */
import { z } from "zod";
import { DataError, OptionError } from "../../base/index.ts";
import {
  type BoxFormat,
  boxFormats,
  concatRows,
  openObjectRows,
  type Row,
  type Rows,
  takeRows,
} from "../../data/index.ts";
import type { RawImage } from "../../processors/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { columnsOf, type NamedDataset, type OpenedData, openData, openNamed } from "./datasets.ts";
import { categoriesOf, type PictureObject, readObjects } from "./picture-objects.ts";
import { type Channels, columnOf, type PictureParts, partsReader, pictureColumns } from "./pictures.ts";

/** How boxes are written, and what of them is taken. */
export const boxSettings = z
  .strictObject({
    format: z
      .enum(boxFormats)
      .optional()
      .describe(
        "Of rows: left, top, width, height (xywh, as COCO), left, top, right, bottom (xyxy, as Pascal VOC), or middle, " +
          "width, height (cxcywh); in pixels or normalized. Default: xywh. COCO and YOLO files say it themselves.",
      ),
    clip: z
      .boolean()
      .default(false)
      .describe(
        "Boxes that reach far over their picture are cut; otherwise, beyond 2 pixels or 1 % of a side, they are bad.",
      ),
  })
  .prefault({})
  .describe("How boxes are written.");

/** Pictures with their objects. */
export interface LabelledPicture {
  width: number;
  height: number;
  objects: readonly PictureObject[];
}

/** Pictures to learn from and to measure on, and the classes of what is in them. */
export interface DetectionData {
  classes: readonly string[];
  opened: OpenedData;
  /** Looks through the pictures, which needs to know in which form they are wanted. */
  read(form: Channels): Promise<PictureParts<LabelledPicture>>;
}

/** What is to be known of the data. */
export interface OpenDetectionOptions {
  /** Names of the classes; numbers in rows count them from 0. @default those that the data name */
  names?: readonly string[];
  boxes: z.output<typeof boxSettings>;
  /** See `readPictures`. */
  isChecked: boolean;
}

const objectColumns = ["objects", "annotations", "labels"] as const;

/**
 * The rows of a config: COCO's files, YOLO's labels, or rows with a picture and `objects: { bbox, category }`.
 * @throws DataError for rows without pictures, objects or classes; OptionError for what the files say otherwise
 */
export async function openDetection(
  config: SharedConfig,
  { names, boxes, isChecked }: OpenDetectionOptions,
  context: MethodContext,
): Promise<DetectionData> {
  const named = new Set<string>();
  const onClasses = (classes: readonly string[]) => {
    for (const each of classes) named.add(each);
  };
  const opened = await openData(config.data, context, (set, options, usual) =>
    openObjects(set, { ...options, usual, boxes, onClasses }),
  );
  const columns = columnsOf(config.data) as Readonly<Record<string, string>> | undefined;
  const image = await columnOf(opened.train, "image", { columns, names: pictureColumns });
  const objects = await columnOf(opened.train, "objects", { columns, names: objectColumns });
  const classes = names ?? (await classesOf(opened, objects, [...named]));
  const { format = "xywh", clip: clips } = boxes;
  const idOf = classIds(classes);
  const labelOf = async (row: Row, decode: () => Promise<RawImage>): Promise<LabelledPicture> => {
    const { width, height } = await sizeOf(row, decode, isChecked);
    return { width, height, objects: readObjects(row[objects], { width, height }, { format, clips, idOf }) };
  };
  return {
    classes,
    opened,
    read: partsReader(opened, { column: image, labelOf, isChecked, context }),
  };
}

interface OpenObjectsOptions {
  badRows?: OpenedData["badRows"];
  /** The split that is meant where none is named. */
  usual: string;
  boxes: OpenDetectionOptions["boxes"];
  /** Hears the classes that a file names. */
  onClasses(classes: readonly string[]): void;
}

async function openObjects(set: NamedDataset, { badRows, usual, boxes, onClasses }: OpenObjectsOptions): Promise<Rows> {
  const { path, split, limit, pictures, format } = set;
  if (format !== undefined)
    throw new OptionError({
      where: "config, data.format",
      expected: "no format: files of COCO and YOLO, and rows with objects, are told by themselves",
      received: format,
      fix: "leave it out; how boxes are written is method.boxes.format",
    });
  const parts: Rows[] = [];
  for (const each of [path].flat()) {
    const stored = await openObjectRows(each, { pictures, split: split ?? usual, badRows });
    if (stored === undefined) {
      parts.push(await openNamed({ path: each, split, pictures }, { badRows }, usual));
      continue;
    }
    if (stored.rows.count === 0)
      throw new DataError({
        where: each,
        expected: "a picture that can be learned",
        received: "none",
        fix: "correct it",
      });
    requireStoredFormat(each, boxes.format, await stored.rows.row(0));
    onClasses(stored.classes);
    parts.push(stored.rows);
  }
  const rows = parts.length === 1 ? parts[0] : concatRows(parts);
  return limit === undefined ? rows : takeRows(rows, limit);
}

/** @throws OptionError for a format of boxes that is another than the file's */
function requireStoredFormat(path: string, format: BoxFormat | undefined, { objects }: Row): void {
  const { format: stored } = objects as { format: BoxFormat };
  if (format === undefined || format === stored) return;
  throw new OptionError({
    where: "config, method.boxes.format",
    expected: `${stored}, as ${path} has boxes`,
    received: format,
    fix: "leave it out: the file says it",
  });
}

/** The classes that the files name, and after them those of rows in their order. */
async function classesOf(
  { train, validation }: OpenedData,
  column: string,
  named: readonly string[],
): Promise<readonly string[]> {
  const values = new Set<string>();
  for (const rows of [train, ...(validation ? [validation] : [])])
    for await (const row of rows) for (const value of categoriesIn(row[column])) values.add(String(value));
  const others = [...values].filter((value) => !named.includes(value));
  const isNumbers = others.every((name) => /^\d+$/.test(name));
  others.sort(isNumbers ? (a, b) => Number(a) - Number(b) : undefined);
  const all = isNumbers && others.length > 0 ? upTo(Number(others.at(-1))) : others;
  if (named.length + all.length > 0) return [...named, ...all];
  throw new DataError({
    where: "data",
    expected: "objects with classes",
    received: "pictures without any",
    fix: "name the files of the objects, or the classes: method: { classes: [...] }",
  });
}

/** Numbers of classes that have no names: all up to the greatest, so that a number is a place among the logits. */
const upTo = (last: number): string[] => Array.from({ length: last + 1 }, (_, i) => String(i));

/** What can be a class; what is wrong with the others is said when the row is read. */
function categoriesIn(value: unknown): (string | number)[] {
  try {
    return categoriesOf(value).filter((each) => typeof each === "string" || typeof each === "number");
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}

/** The number of a class by its name, or by its number. */
function classIds(classes: readonly string[]): (value: unknown) => number {
  const ids = new Map<unknown, number>();
  for (const [i, name] of classes.entries()) if (!ids.has(name)) ids.set(name, i);
  return (value) => {
    const isPlace = Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < classes.length;
    const id = ids.get(typeof value === "number" ? String(value) : value) ?? (isPlace ? (value as number) : undefined);
    if (id !== undefined) return id;
    throw new DataError({
      where: "object",
      expected: `a class of ${classes.slice(0, 10).join(", ")}`,
      received: JSON.stringify(value) ?? "none",
      fix: "correct the row, or name all classes: method: { classes: [...] }",
    });
  };
}

/**
 * The size of a row's picture: as the row says, where pictures are not looked at.
 * @throws DataError where a row says another size than its picture has
 */
async function sizeOf(
  { width, height }: Row,
  decode: () => Promise<RawImage>,
  isChecked: boolean,
): Promise<{ width: number; height: number }> {
  const isStated = Number.isSafeInteger(width) && Number.isSafeInteger(height);
  if (isStated && !isChecked) return { width: width as number, height: height as number };
  const picture = await decode();
  if (isStated && (picture.width !== width || picture.height !== height))
    throw new DataError({
      where: "picture",
      expected: `${width} x ${height}, as the row says`,
      received: `${picture.width} x ${picture.height}`,
      fix: "take the picture that the boxes were drawn in",
    });
  return { width: picture.width, height: picture.height };
}
