/** Rows of pictures with their classes. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../base/index.ts";
import { ClassNames, type ClassValue, type Row, type Rows } from "../../data/index.ts";
import { exists } from "../../files/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { datasetsOf, type OpenedData, openData } from "./datasets.ts";
import { type Channels, columnOf, type PictureParts, partsReader, pictureColumns } from "./pictures.ts";

const labelColumns = ["label", "labels", "class", "category", "fine_label"] as const;

/** Pictures to learn from and to measure on, and their classes. */
export interface ClassPictures {
  classes: ClassNames;
  opened: OpenedData;
  /** Looks through the pictures, which needs to know in which form they are wanted. */
  read(form: Channels): Promise<PictureParts<number>>;
}

/**
 * The rows of a config whose columns are a picture and its class. A label that is missing makes a bad row.
 * @param settings names: of the classes, where those of the data are not all; isChecked: see `readPictures`
 * @throws DataError for rows without pictures or classes, or of one class alone
 */
export async function openClassPictures(
  config: SharedConfig,
  { names, isChecked }: { names?: readonly string[]; isChecked: boolean },
  context: MethodContext,
): Promise<ClassPictures> {
  const opened = await openData(config.data, context);
  const [{ path, columns }] = datasetsOf(config.data.train) as {
    path: string | readonly string[];
    columns?: Readonly<Record<string, string>>;
  }[];
  await warnOfEmptyFolders(path, context);
  const image = await columnOf(opened.train, "image", { columns, names: pictureColumns });
  const label = await columnOf(opened.train, "label", { columns, names: labelColumns });
  const classes = names ? new ClassNames(names) : await classesOf(opened.train, label);
  const labelOf = (row: Row): number => {
    const value = classOf(row[label]);
    if (value !== undefined) return classes.idOf(value);
    throw new DataError({
      where: `column ${label}`,
      expected: "a class",
      received: JSON.stringify(row[label]) ?? "nothing",
      fix: "label the picture, or leave it out",
    });
  };
  return {
    classes,
    opened,
    read: partsReader(opened, { column: image, labelOf, isChecked, context }),
  };
}

const classOf = (value: unknown): ClassValue | undefined =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : undefined;

async function classesOf(rows: Rows, column: string): Promise<ClassNames> {
  const values: ClassValue[] = [];
  for await (const row of rows) {
    const value = classOf(row[column]);
    if (value !== undefined) values.push(value);
  }
  const classes = values.length > 0 ? ClassNames.of(values) : undefined;
  if (classes !== undefined && classes.names.length > 1) return classes;
  throw new DataError({
    where: "data",
    expected: `two classes or more in the column "${column}"`,
    received: classes === undefined ? "none" : `${classes.names[0]} alone`,
    fix: "put pictures of each class into a folder of its name, or name the column of the labels",
  });
}

/** Folders of classes in which there are no pictures. */
async function warnOfEmptyFolders(path: string | readonly string[], { onWarning }: MethodContext): Promise<void> {
  for (const folder of [path].flat()) {
    if (!(await exists(folder)) || !(await stat(folder)).isDirectory()) continue;
    const entries = await readdir(folder, { withFileTypes: true });
    const empty: string[] = [];
    for (const entry of entries)
      if (entry.isDirectory() && (await readdir(join(folder, entry.name))).length === 0) empty.push(entry.name);
    if (empty.length > 0)
      onWarning({ where: folder, notes: [`these folders are empty, and no classes: ${empty.join(", ")}`] });
  }
}
