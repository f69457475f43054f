/** Rows of pictures with the objects in them. */
import { stat } from "node:fs/promises";
import { exists } from "../../files/index.ts";
import type { BadRows } from "./bad-rows.ts";
import type { ObjectRows } from "./boxes.ts";
import { cocoFileIn, isCocoFile, openCoco } from "./coco.ts";
import { hasMetadata } from "./media-folder.ts";
import { isYoloFolder, openYolo } from "./yolo.ts";

/** How `openObjectRows` reads. */
export interface ObjectRowsOptions {
  /** The folder of the pictures that a COCO file names. @default one of the usual places beside the file */
  pictures?: string;
  /** Of a YOLO data set's YAML file. @default "train" */
  split?: string;
  /** Counts the bad rows, and keeps the first. @default the first one is an error */
  badRows?: BadRows;
}

/**
 * Pictures with objects as COCO and YOLO store them: COCO's instances_*.json, or a folder with such a file beside its
 * pictures; a YOLO data set's YAML file, or a folder of pictures with labels in .txt files. Undefined for other files,
 * which `openRows` may know.
 * @throws DataError for a file that is damaged, or a bad row that is not to be skipped
 */
export async function openObjectRows(path: string, options: ObjectRowsOptions = {}): Promise<ObjectRows | undefined> {
  const { pictures, split, badRows } = options;
  if (!(await exists(path))) return undefined;
  if (/\.ya?ml$/i.test(path)) return openYolo(path, { split, badRows });
  if (!(await stat(path)).isDirectory())
    return (await isCocoFile(path)) ? openCoco(path, { pictures, badRows }) : undefined;
  if (await hasMetadata(path)) return undefined;
  const coco = await cocoFileIn(path);
  if (coco !== undefined) return openCoco(coco, { pictures, badRows });
  return (await isYoloFolder(path)) ? openYolo(path, { badRows }) : undefined;
}
