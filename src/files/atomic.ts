import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Pieces of a file, written one after another. */
export type Content = string | Uint8Array | readonly Uint8Array[];

/**
 * Writes a file so that it holds either its old or its new content whenever the program or the machine stops: into a
 * temporary file beside it, synced to disk, then renamed. Makes the folder if it is missing.
 */
export async function writeFileAtomic(path: string, content: Content): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const file = await open(temporary, "w");
    try {
      const pieces = typeof content === "string" ? [new TextEncoder().encode(content)] : content instanceof Uint8Array ? [content] : content;
      for (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
  await syncFolder(dirname(path));
}

/**
 * Fills a new folder by `fill` and puts it in the place of `path` only when everything was written. A folder that was
 * there before is replaced in two renames, so at every moment one complete folder exists, as `path` or as `path.old`.
 */
export async function writeFolderAtomic(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`; // one name, so that what a killed program left is cleared away here
  await rm(temporary, { recursive: true, force: true });
  try {
    await mkdir(temporary);
    await fill(temporary);
    await syncFolder(temporary);
    await rename(path, `${path}.old`).catch(ignoreMissing);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw cause;
  }
  await syncFolder(dirname(path));
  await rm(`${path}.old`, { recursive: true, force: true });
}

/** The folder at `path`, or the one that an interrupted `writeFolderAtomic` left aside. */
export function folderCandidates(path: string): string[] {
  return [path, `${path}.old`];
}

function ignoreMissing(cause: NodeJS.ErrnoException): void {
  if (cause.code !== "ENOENT") throw cause;
}

/** Makes renames inside a folder survive a power cut. Not every system allows it; then nothing is lost but the guarantee. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    await folder.sync().finally(() => folder.close());
  } catch {
    // Windows cannot open folders
  }
}
