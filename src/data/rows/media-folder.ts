/** Folders of pictures or sounds: a class a folder, or a metadata file beside them. */
import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join, relative, sep } from "node:path";
import { DataError } from "../../base/index.ts";
import { exists, sha256OfFile, withReadErrors } from "../../files/index.ts";
import { BadRows } from "./bad-rows.ts";
import { fingerprintOf, makeRows, type Row, type Rows } from "./rows.ts";
import { csvFormat, jsonLines } from "./text-formats.ts";
import { streamText } from "./text-rows.ts";

const IMAGES = new Set([".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".svg"]);
const SOUNDS = new Set([".wav", ".flac", ".mp3", ".ogg"]);
const METADATA = ["metadata.jsonl", "metadata.csv"];

type Media = "image" | "audio";

const mediaOf = (name: string): Media | undefined => {
  const ending = extname(name).toLowerCase();
  return IMAGES.has(ending) ? "image" : SOUNDS.has(ending) ? "audio" : undefined;
};

const namesIn = (folder: string) =>
  withReadErrors(folder, "a folder of pictures or sounds", async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !basename(path).startsWith("."))
      .sort(),
  );

/** Whether a folder has a file that describes its pictures or sounds. */
export const hasMetadata = async (folder: string): Promise<boolean> =>
  (await exists(join(folder, METADATA[0]))) || exists(join(folder, METADATA[1]));

/** The pictures or sounds below a folder, in the order of their paths. */
export const filesOfMedia = async (folder: string, media: Media): Promise<string[]> =>
  (await namesIn(folder)).filter((path) => mediaOf(path) === media);

/** Whether a folder has pictures or sounds, and no more files of another kind than of these. */
export async function isMediaFolder(folder: string): Promise<boolean> {
  const names = await namesIn(folder);
  const media = names.filter((name) => mediaOf(name) !== undefined).length;
  return media > 0 && media * 2 >= names.length;
}

/**
 * Pictures or sounds of a folder, in the order of their paths. A row has the path as `image` or `audio`, and what is
 * known of it: of metadata.jsonl or metadata.csv, whose column `file_name` names files from the folder on, all its
 * other columns; without such a file the name of the folder that a picture is in, as `label`. So torchvision's
 * ImageFolder and the imagefolder and audiofolder of Hugging Face's datasets have it.
 * @throws DataError for a folder without pictures and sounds, or with both; for metadata that names a file which is not
 *   there, or has no `file_name`
 */
export async function openMediaFolder(folder: string): Promise<Rows> {
  const files = (await namesIn(folder)).filter((path) => mediaOf(path) !== undefined);
  const kinds = [...new Set(files.map(mediaOf))];
  const [media] = kinds;
  if (kinds.length !== 1 || media === undefined)
    throw new DataError({
      where: folder,
      expected: "pictures or sounds",
      received: kinds.length === 0 ? "a folder without any" : "both of them",
      fix: "name a folder with one kind of them",
    });
  const metadata = METADATA.map((name) => join(folder, name));
  const described = (await exists(metadata[0])) ? metadata[0] : (await exists(metadata[1])) ? metadata[1] : undefined;
  const rows = described ? await describedRows(folder, described, media, files) : labelledRows(folder, media, files);
  return makeRows({
    count: rows.length,
    row: async (index) => rows[index],
    placeOf: (index) => String(rows[index][media]),
    fingerprint: async () => {
      const sums = rows.map((row) => fingerprintOf(JSON.stringify({ ...row, [media]: "" })));
      for (const [i, row] of rows.entries()) sums[i] += await sha256OfFile(String(row[media]));
      return fingerprintOf("media", ...sums);
    },
  });
}

function labelledRows(folder: string, media: Media, files: readonly string[]): Row[] {
  return files.map((path) => {
    const parts = relative(folder, path).split(sep);
    const label = parts.at(-2); // of the nearest folder, as datasets takes it
    return label === undefined ? { [media]: path } : { [media]: path, label };
  });
}

async function describedRows(folder: string, metadata: string, media: Media, files: readonly string[]): Promise<Row[]> {
  const format = metadata.endsWith(".csv") ? csvFormat({}) : jsonLines;
  const known = new Set(files);
  const rows: Row[] = [];
  for await (const batch of streamText(metadata, format, new BadRows())) {
    for (const { row, line } of batch) {
      const { file_name: name, ...rest } = row;
      const path = typeof name === "string" ? join(folder, ...name.split("/")) : undefined;
      if (path === undefined || !known.has(path))
        throw new DataError({
          where: `${metadata}:${line}`,
          expected: "file_name to name a file of the folder",
          received: JSON.stringify(name) ?? "no file_name",
          fix: "write the path from the folder on",
        });
      rows.push({ [media]: path, ...rest });
    }
  }
  return rows;
}

/**
 * Documents of a folder or of several files: a row for each file, with its text and its name.
 * @throws DataError for a folder without texts
 */
export async function openDocuments(paths: readonly string[]): Promise<Rows> {
  if (paths.length === 0)
    throw new DataError({ where: "openDocuments", expected: "texts", received: "none", fix: "name files" });
  return makeRows({
    count: paths.length,
    row: async (index) => {
      const text = await withReadErrors(paths[index], "a text", () => readFile(paths[index], "utf8"));
      return { text: text.replace(/^\ufeff/, ""), file: paths[index] };
    },
    placeOf: (index) => paths[index],
    fingerprint: async () => {
      return fingerprintOf("documents", ...(await Promise.all(paths.map((path) => sha256OfFile(path)))));
    },
  });
}
