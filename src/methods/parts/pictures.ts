/** The pictures that rows have: which column, how they are decoded, and which cannot be read. */
import { dirname, resolve } from "node:path";
import { DataError, isObject } from "../../base/index.ts";
import type { BadRows, Row, Rows } from "../../data/index.ts";
import { loadImage, type RawImage, toRgb } from "../../processors/index.ts";
import type { MethodContext } from "../method.ts";
import type { OpenedData } from "./datasets.ts";

/** Usual names of the column of pictures. */
export const pictureColumns = ["image", "img", "picture", "path", "file"] as const;
/** Pictures that are decoded at once while they are checked. */
const AT_ONCE = 8;

/**
 * The column of a part of an example: the one that the config names, or the first of the usual names that the first row
 * has.
 * @throws DataError naming the columns there are
 */
export async function columnOf(
  rows: Rows,
  part: string,
  { columns = {}, names }: { columns?: Readonly<Record<string, string>>; names: readonly string[] },
): Promise<string> {
  const first = await rows.row(0);
  const name = columns[part] ?? names.find((each) => Object.hasOwn(first, each));
  if (name !== undefined && Object.hasOwn(first, name)) return name;
  throw new DataError({
    where: rows.placeOf(0),
    expected: name === undefined ? `a column of ${names.join(", ")}` : `the column "${name}"`,
    received: `a row with ${Object.keys(first).join(", ")}`,
    fix: `name it: data: { train: { path: ..., columns: { ${part}: ... } } }`,
  });
}

/** Where a row stands: its file, and its line where it has one. */
export function fileOf(rows: Rows, index: number): { file: string; line: number } {
  const place = rows.placeOf(index);
  const [, file, line] = /^(.*):(\d+)$/.exec(place) ?? [];
  return file === undefined ? { file: place, line: 1 } : { file, line: Number(line) };
}

/**
 * Decodes the picture of a row: a path, beside the file of the row; encoded bytes; Hugging Face's `{ bytes, path }`; or
 * bytes of pixels, `{ width, height, channels, data }`.
 * @param file where the row stands
 * @throws DataError for what is no picture
 */
export async function decodePicture(value: unknown, file: string): Promise<RawImage> {
  if (typeof value === "string") return loadImage(value === file ? value : resolve(dirname(file), value));
  if (value instanceof Uint8Array) return loadImage(value);
  if (isObject(value) && value.data instanceof Uint8Array) return value as unknown as RawImage;
  if (isObject(value) && value.bytes instanceof Uint8Array) return loadImage(value.bytes);
  if (isObject(value) && typeof value.path === "string") return decodePicture(value.path, file);
  throw new DataError({
    where: file,
    expected: "a picture: a path, or bytes",
    received: JSON.stringify(value)?.slice(0, 60) ?? "nothing",
    fix: "correct the row, or name the column of the pictures",
  });
}

/** Weights of red, green and blue in grey, in 1/65536: ITU-R 601-2, as Pillow rounds them. */
const [RED, GREEN, BLUE] = [19595, 38470, 7471];

/** How many channels pictures have, and whether transparent pixels lie on white, or lose their transparency. */
export interface Channels {
  channels: number;
  composes: boolean;
}

/** A picture in 1 channel, or in red, green and blue. */
export function inChannels(image: RawImage, { channels, composes }: Channels): RawImage {
  if (image.channels === channels) return image;
  const rgb = toRgb(image, composes);
  if (channels === 3) return rgb;
  const { width, height, data } = rgb;
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++)
    grey[i] = (data[3 * i] * RED + data[3 * i + 1] * GREEN + data[3 * i + 2] * BLUE + 0x8000) >> 16;
  return { width, height, channels: 1, data: grey };
}

/** What goes with a picture, by the number of its row. */
export interface PictureRow<L> {
  index: number;
  label: L;
}

/** Pictures that can be read, of rows of which the others are counted. */
export interface ReadablePictures<L> {
  rows: Rows;
  column: string;
  kept: readonly PictureRow<L>[];
  /** The picture of a row. @throws DataError where it cannot be decoded */
  decode(index: number): Promise<RawImage>;
}

/** How rows of pictures are looked through. */
export interface ReadPicturesOptions<L> {
  column: string;
  form: Channels;
  /** What is learned of a row, which may look at its picture. @throws DataError for a row that has it not */
  labelOf(row: Row, decode: () => Promise<RawImage>): L | Promise<L>;
  badRows: BadRows;
  /** Each picture is decoded once before training. */
  isChecked: boolean;
  context: MethodContext;
}

/**
 * Looks through rows of pictures: those without what is learned, or whose picture cannot be decoded, are bad rows.
 * @throws DataError for a bad row that is not to be skipped, or when nothing is left
 */
async function readPictures<L>(
  rows: Rows,
  { column, form, labelOf, badRows, isChecked, context }: ReadPicturesOptions<L>,
): Promise<ReadablePictures<L>> {
  const { signal, onProgress, onWarning } = context;
  const [before, shownBefore] = [badRows.count, badRows.first.length];
  const decodeRow = async (row: Row, index: number) =>
    inChannels(await decodePicture(row[column], fileOf(rows, index).file), form);
  const read = async (row: Row, index: number): Promise<PictureRow<L> | string> => {
    let picture: Promise<RawImage> | undefined;
    const decode = () => {
      picture ??= decodeRow(row, index);
      return picture;
    };
    try {
      const label = await labelOf(row, decode);
      if (isChecked && !isPixels(row[column])) await decode();
      return { index, label };
    } catch (error) {
      if (error instanceof DataError) return error.message;
      throw error;
    }
  };
  const kept: PictureRow<L>[] = [];
  let waiting: Promise<PictureRow<L> | string>[] = [];
  let next = 0;
  const settle = async () => {
    const first = next - waiting.length;
    for (const [i, result] of (await Promise.all(waiting)).entries())
      if (typeof result === "string") badRows.add({ ...fileOf(rows, first + i), reason: result });
      else kept.push(result);
    waiting = [];
  };
  for await (const row of rows) {
    signal?.throwIfAborted();
    waiting.push(read(row, next++));
    if (waiting.length === AT_ONCE) await settle();
    if (next % 1000 === 0) onProgress?.("looking through pictures", next / rows.count);
  }
  await settle();
  if (badRows.count > before) {
    const shown = badRows.first.slice(shownBefore, shownBefore + 3).map(({ file, reason }) => `${file}: ${reason}`);
    onWarning({ where: "data", notes: [`${badRows.count - before} rows are left out, as ${shown.join("; ")}`] });
  }
  if (kept.length === 0)
    throw new DataError({
      where: "data",
      expected: "a picture that can be learned",
      received: "none",
      fix: "name other files",
    });
  return { rows, column, kept, decode: async (index) => decodeRow(await rows.row(index), index) };
}

/** Pictures to learn from, and to measure on. */
export interface PictureParts<L> {
  train: ReadablePictures<L>;
  validation?: ReadablePictures<L>;
}

/** What looks through the pictures of both parts of the data, once it is known in which form they are wanted. */
export const partsReader =
  <L>({ train, validation, badRows }: OpenedData, options: Omit<ReadPicturesOptions<L>, "form" | "badRows">) =>
  async (form: Channels): Promise<PictureParts<L>> => ({
    train: await readPictures(train, { ...options, form, badRows }),
    ...(validation && { validation: await readPictures(validation, { ...options, form, badRows }) }),
  });

/** The path of a row's picture, or where the row stands. */
export async function placeOfPicture(
  { rows, column }: Pick<ReadablePictures<unknown>, "rows" | "column">,
  index: number,
): Promise<string> {
  const value = (await rows.row(index))[column];
  const path = isObject(value) ? value.path : value;
  return typeof path === "string" ? path : rows.placeOf(index);
}

const isPixels = (value: unknown): boolean => isObject(value) && value.data instanceof Uint8Array;
