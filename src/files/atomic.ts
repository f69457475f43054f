import { dirname, mkdir, open, rename, rm } from "#system";
import { exists } from "./exists.ts";
import { makeFolder } from "./folder.ts";
import { withWriteErrors } from "./system-errors.ts";

/** Pieces of a file, written one after another. */
export type Content = string | Uint8Array | readonly Uint8Array[];

/**
 * Writes a file so that it holds either its old or its new content whenever the program or the machine stops: into a
 * temporary file beside it, synced to disk, then renamed. Makes the folder if it is missing.
 * @param options mode: who may do what with the file, as 0o600 for what is its owner's alone. @default the system's
 * @throws WriteError when the disk is full, read-only or forbidden; the old content is then still there
 */
export async function writeFileAtomic(path: string, content: Content, { mode }: { mode?: number } = {}): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`;
  await withWriteErrors(path, async () => {
    await makeFolder(dirname(path));
    try {
      await writeSynced(temporary, content, mode);
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {}); // the first error is the one to report
      throw cause;
    }
    await syncFolder(dirname(path));
  });
}

async function writeSynced(path: string, content: Content, mode: number | undefined): Promise<void> {
  const file = await open(path, "w", mode);
  try {
    if (mode !== undefined) await file.chmod(mode); // a file that a killed program left has its own
    const pieces =
      typeof content === "string"
        ? [new TextEncoder().encode(content)]
        : content instanceof Uint8Array
          ? [content]
          : content;
    for (const piece of pieces) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Fills a new folder by `fill` and puts it in the place of `path` only when everything was written. A folder that was
 * there before is replaced in two renames, so at every moment one complete folder exists, as `path` or as `path.old`.
 * What a killed program left under either name, `path.tmp` or `path.old`, is cleared away here.
 * @throws WriteError when the disk is full, read-only or forbidden; the old folder is then still there
 */
export async function writeFolderAtomic(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.tmp`;
  await withWriteErrors(path, async () => {
    await makeFolder(dirname(path));
    await rm(temporary, { recursive: true, force: true });
    try {
      await mkdir(temporary);
      await fill(temporary);
      await syncFolder(temporary);
      await replaceFolder(path, temporary);
    } catch (cause) {
      await rm(temporary, { recursive: true, force: true }).catch(() => {});
      throw cause;
    }
  });
}

/**
 * `path` is complete whenever it exists, for it comes by a rename. Only while it is missing may `path.old` be the last
 * complete one.
 */
async function replaceFolder(path: string, complete: string): Promise<void> {
  const old = `${path}.old`;
  if (await exists(path)) {
    await rm(old, { recursive: true, force: true });
    await rename(path, old);
  }
  await rename(complete, path);
  await syncFolder(dirname(path));
  await rm(old, { recursive: true, force: true });
}

/**
 * Clears away what a killed `writeFolderAtomic` left beside a folder, or puts the old one back where the new had not
 * come yet.
 */
export async function settleFolder(path: string): Promise<void> {
  const [temporary, old] = [`${path}.tmp`, `${path}.old`];
  await withWriteErrors(path, async () => {
    await rm(temporary, { recursive: true, force: true });
    if (!(await exists(old))) return;
    if (await exists(path)) await rm(old, { recursive: true, force: true });
    else await rename(old, path);
  });
}

/** The folder at `path`, or while it is missing the one that a `writeFolderAtomic` left aside when it was killed. */
export async function completeFolder(path: string): Promise<string | undefined> {
  for (const candidate of [path, `${path}.old`]) if (await exists(candidate)) return candidate;
  return undefined;
}

/**
 * Makes renames inside a folder survive a power cut. Not every system allows it; then nothing is lost but the
 * guarantee.
 */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    await folder.sync().finally(() => folder.close());
  } catch {
    // Windows cannot open folders
  }
}
