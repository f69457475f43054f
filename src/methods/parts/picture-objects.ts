/** The objects of a row: their boxes in pixels, checked against the picture. */
import type { Box } from "../../augment/index.ts";
import { DataError, isObject } from "../../base/index.ts";
import { type BoxFormat, boxFormats } from "../../data/index.ts";

type Size = { width: number; height: number };

/** An object in a picture. */
export interface PictureObject extends Box {
  /** The number of its class. */
  label: number;
  /** In pixels; of masks, where the data say it. @default that of the box */
  area?: number;
  /** Whether it stands for several: it is not learned, and what is found there counts neither way. */
  isCrowd: boolean;
}

/** How boxes are read. */
export interface ReadObjectsOptions {
  /** How the four numbers are written, where the row does not say it. */
  format: BoxFormat;
  /** Boxes that reach over the picture are cut; otherwise only where they do so by little. */
  clips: boolean;
  /** The number of a class. @throws DataError for one that there is not */
  idOf(value: unknown): number;
}

/** A box may reach over its picture by so many pixels, or by this share of a side: numbers were rounded. */
const SLACK_PIXELS = 2;
const SLACK_SHARE = 0.01;

/** Names that columns of objects have. */
const boxNames = ["bbox", "bboxes", "box", "boxes"];
const categoryNames = ["category", "categories", "label", "labels", "class", "classes", "category_id"];
const crowdNames = ["iscrowd", "is_crowd"];

/**
 * The objects of a row in pixels of its picture: `{ bbox: [...], category: [...] }`, or a list of `{ bbox, category }`.
 * An empty list is a picture without objects.
 * @throws DataError naming the object that is malformed, and what is wrong with it
 */
export function readObjects(value: unknown, size: Size, options: ReadObjectsOptions): PictureObject[] {
  return columnsOf(value).map((object, i) => {
    const id = object.id ?? undefined;
    const name = `object ${i + 1}${id === undefined ? "" : ` (id ${id})`}`;
    try {
      return readObject(object, size, options);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const { expected, received, fix } = error;
      throw new DataError({ where: name, expected, received, fix });
    }
  });
}

/** The classes that objects of a row have, as they are written. */
export const categoriesOf = (value: unknown): unknown[] => columnsOf(value).map(({ category }) => category);

interface RawObject {
  box: unknown;
  category: unknown;
  id?: unknown;
  area?: unknown;
  isCrowd?: unknown;
  format?: unknown;
}

/** Objects one by one, whichever way they are written. */
function columnsOf(value: unknown): RawObject[] {
  const wrong = (expected: string, received: unknown) =>
    new DataError({
      where: "objects",
      expected,
      received: shown(received),
      fix: "write { bbox: [[x, y, width, height], ...], category: [...] }, with empty lists where there are no objects",
    });
  const first = (object: Readonly<Record<string, unknown>>, names: readonly string[]) =>
    names.map((name) => object[name]).find((each) => each !== undefined);
  if (Array.isArray(value))
    return value.map((object) => {
      if (!isObject(object)) throw wrong("an object with bbox and category for each", object);
      const { id, area, format } = object;
      const [box, category, isCrowd] = [boxNames, categoryNames, crowdNames].map((names) => first(object, names));
      return { box, category, id, area, isCrowd, format };
    });
  if (!isObject(value)) throw wrong("objects with bbox and category", value);
  const [boxes, categories, crowds] = [boxNames, categoryNames, crowdNames].map((names) => first(value, names));
  if (!Array.isArray(boxes)) throw wrong("a list bbox", value);
  if (!Array.isArray(categories) || categories.length !== boxes.length) {
    const count = Array.isArray(categories) ? `${categories.length}` : "none";
    throw wrong(`${boxes.length} categories, as there are boxes`, `${count}`);
  }
  const at = (list: unknown, i: number) => (Array.isArray(list) ? list[i] : undefined);
  return boxes.map((box, i) => ({
    box,
    category: categories[i],
    id: at(value.id, i),
    area: at(value.area, i),
    isCrowd: at(crowds, i),
    format: value.format,
  }));
}

const shown = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value)?.slice(0, 80) ?? "nothing");

function readObject(object: RawObject, size: Size, { format, clips, idOf }: ReadObjectsOptions): PictureObject {
  const { box, area, isCrowd, format: stated = format } = object;
  const isFormat = (name: unknown): name is BoxFormat => boxFormats.includes(name as BoxFormat);
  if (!isFormat(stated)) throw faulty(`a format of ${boxFormats.join(", ")}`, shown(stated));
  const isFour =
    Array.isArray(box) && box.length === 4 && box.every((n) => typeof n === "number" && Number.isFinite(n));
  if (!isFour) throw faulty("a box of four finite numbers", describe(box));
  const edges = edgesOf(box as number[], size, stated);
  const cut = withinPicture(edges, size, { box: `${stated} ${shown(box)}`, clips });
  return {
    ...cut,
    label: idOf(object.category),
    ...(typeof area === "number" && Number.isFinite(area) && { area }),
    isCrowd: isCrowd === 1 || isCrowd === true,
  };
}

/** JSON has no NaN: it would be shown as null. */
const describe = (box: unknown): string => (Array.isArray(box) ? `[${box.map(String).join(", ")}]` : shown(box));

const faulty = (expected: string, received: string) =>
  new DataError({ where: "object", expected, received, fix: "correct the box, or leave the picture out" });

/** A box's edges, in pixels. */
function edgesOf([a, b, c, d]: number[], { width, height }: Size, format: BoxFormat): Box {
  const [x, y] = format.startsWith("normalized-") ? [width, height] : [1, 1];
  const layout = format.replace("normalized-", "");
  if (layout === "xyxy") return { xMin: a * x, yMin: b * y, xMax: c * x, yMax: d * y };
  const [left, top] = layout === "cxcywh" ? [a - c / 2, b - d / 2] : [a, b];
  return { xMin: left * x, yMin: top * y, xMax: (left + c) * x, yMax: (top + d) * y };
}

/** @throws DataError for a box without width or height, or outside of the picture */
function withinPicture(edges: Box, { width, height }: Size, { box, clips }: { box: string; clips: boolean }): Box {
  const { xMin, yMin, xMax, yMax } = edges;
  if (!(xMax > xMin && yMax > yMin)) throw faulty("a box with a width and a height above 0", box);
  const slack = (side: number) => (clips ? Number.POSITIVE_INFINITY : Math.max(SLACK_PIXELS, SLACK_SHARE * side));
  const isNear = (low: number, high: number, side: number) => low >= -slack(side) && high <= side + slack(side);
  const isOutside = xMin >= width || yMin >= height || xMax <= 0 || yMax <= 0;
  if (isOutside || !isNear(xMin, xMax, width) || !isNear(yMin, yMax, height))
    throw new DataError({
      where: "object",
      expected: `a box inside of the picture of ${width} x ${height}`,
      received: `${box}: from ${place(xMin, yMin)} to ${place(xMax, yMax)}`,
      fix: isOutside
        ? "correct it, or say how boxes are written: boxes: { format }"
        : "correct it, say how boxes are written: boxes: { format }, or let such boxes be cut: boxes: { clip: true }",
    });
  return {
    xMin: Math.max(xMin, 0),
    yMin: Math.max(yMin, 0),
    xMax: Math.min(xMax, width),
    yMax: Math.min(yMax, height),
  };
}

const place = (x: number, y: number) => `${rounded(x)}, ${rounded(y)}`;
const rounded = (value: number) => Math.round(value * 100) / 100;
