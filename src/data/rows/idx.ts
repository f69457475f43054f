/** IDX files, as MNIST and its relatives are stored: pictures in one, their labels in another. */
import { basename, dirname, join } from "node:path";
import { DataError, withinLimit } from "../../base/index.ts";
import { exists, sha256OfFile } from "../../files/index.ts";
import { fileBytes } from "./bytes.ts";
import { fingerprintOf, makeRows, type Rows } from "./rows.ts";

const BYTES = 0x08;
/** Two zero bytes, the type of the values, the number of axes. */
const MAGIC_LENGTH = 4;

/** Whether a file begins as an IDX file of bytes with one axis or three. */
export const isIdx = (head: Uint8Array): boolean =>
  head[0] === 0 && head[1] === 0 && head[2] === BYTES && (head[3] === 3 || head[3] === 1);

interface Idx {
  /** The sizes of the axes. */
  shape: readonly number[];
  data: Uint8Array;
}

/** @throws DataError for a file that is no IDX file of bytes, or has not as many as it says */
async function readIdx(path: string, axes: number): Promise<Idx> {
  const pieces: Buffer[] = [];
  for await (const piece of fileBytes(path)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  const refuse = (expected: string, received: string) =>
    new DataError({ where: path, expected, received, fix: "fetch the file again, or name another" });
  const start = MAGIC_LENGTH + 4 * axes;
  if (!isIdx(bytes) || bytes[3] !== axes || bytes.length < start)
    throw refuse(
      `an IDX file of bytes with ${axes} axes`,
      `${bytes.subarray(0, MAGIC_LENGTH).toString("hex")} in front`,
    );
  const shape = Array.from({ length: axes }, (_, axis) => bytes.readUInt32BE(MAGIC_LENGTH + 4 * axis));
  for (const size of shape.slice(1)) withinLimit("imageSide", size, path, "pixels");
  const data = bytes.subarray(start);
  const count = shape.reduce((a, b) => a * b, 1);
  if (data.length !== count) throw refuse(`${count} values, as its sizes say`, `${data.length}`);
  return { shape, data };
}

/** The file of labels beside one of pictures: train-labels-idx1-ubyte of train-images-idx3-ubyte, gzipped or not. */
async function labelsPath(path: string): Promise<string> {
  const name = basename(path).replace("images", "labels").replace("idx3", "idx1");
  const candidates = [name, name.replace(/\.gz$/, ""), `${name}.gz`]
    .map((each) => join(dirname(path), each))
    .filter((each) => each !== path);
  for (const candidate of candidates) if (await exists(candidate)) return candidate;
  throw new DataError({
    where: path,
    expected: `the labels of its pictures beside it, ${candidates[0] ?? "in a file of another name"}`,
    received: "none",
    fix: "put it there, or name the file of the pictures",
  });
}

/**
 * Pictures of an IDX file in one channel, `{ image: { width, height, channels: 1, data }, label }`, with the labels of
 * the file beside it, whose name has "labels" for "images" and "idx1" for "idx3"; both may be gzipped. All are held in
 * memory. LeCun et al. 1998, "The MNIST database of handwritten digits".
 * @throws DataError for a file that is damaged, without its labels, or with another number of them
 */
export async function openIdx(path: string): Promise<Rows> {
  const pictures = await readIdx(path, 3);
  const beside = await labelsPath(path);
  const labels = await readIdx(beside, 1);
  const [count, height, width] = pictures.shape;
  if (labels.shape[0] !== count)
    throw new DataError({
      where: beside,
      expected: `${count} labels, as there are pictures`,
      received: `${labels.shape[0]}`,
      fix: "take both files of one data set",
    });
  const size = width * height;
  return makeRows({
    count,
    row: async (index) => {
      const data = pictures.data.subarray(index * size, (index + 1) * size);
      return { image: { width, height, channels: 1, data }, label: labels.data[index] };
    },
    placeOf: (index) => `${path}:${index + 1}`,
    fingerprint: async () => fingerprintOf("idx", await sha256OfFile(path), await sha256OfFile(beside)),
  });
}
