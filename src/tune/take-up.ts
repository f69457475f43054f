/** A trial that goes on where another ended: in a copy of that one's folder. */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../base/index.ts";
import { exists, writeFolderAtomic } from "../files/index.ts";
import { OUTPUT_FILE } from "./process.ts";
import type { Trial } from "./trial.ts";

/**
 * Copies the folder of the trial that this one continues, whole or not at all: after a kill in the middle it is copied
 * anew. A trial that has its folder keeps it, with what it has done since.
 * @throws DataError where that folder is gone; WriteError when the disk refuses
 */
export async function takeUp({
  number,
  folder,
  continues,
}: Pick<Trial, "number" | "folder" | "continues">): Promise<void> {
  if (!continues || (await exists(folder))) return;
  if (!(await exists(continues.folder)))
    throw new DataError({
      where: `trial ${number}`,
      expected: `the folder of trial ${continues.number}, to go on from its checkpoint`,
      received: `no ${continues.folder}`,
      fix: "keep the folders of trials as long as the study goes on",
    });
  await writeFolderAtomic(folder, (copy) => copyFiles(continues.folder, copy));
}

/** All files of a folder but what the trial printed. */
async function copyFiles(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isFile() && entry.name !== OUTPUT_FILE) await copyFile(source, target);
    if (!entry.isDirectory()) continue;
    await mkdir(target);
    await copyFiles(source, target);
  }
}
