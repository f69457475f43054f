/** Files and folders on this machine's disk. */
import { basename, dirname, type FileHandle, join, open, readdir, stat } from "#system";
import { DataError, KindlingError } from "../base/index.ts";
import { exists } from "./exists.ts";
import { mapBytes } from "./mapped.ts";
import type { ByteSource, Folder, StoredFile } from "./source.ts";

/** A file by its path. */
export function diskFile(path: string): StoredFile {
  return {
    name: path,
    open: (expected = "a file") => openDisk(path, expected),
    base: basename(path),
    folder: () => diskFolder(dirname(path)),
  };
}

/** A folder by its path. */
export function diskFolder(path: string): Folder {
  return {
    name: path,
    list: () => namesIn(path),
    has: (name) => exists(join(path, name)),
    file: (name) => diskFile(join(path, name)),
    folder: (name) => diskFolder(join(path, name)),
  };
}

/** The file that a path names, or the one that is given. */
export const fileAt = (file: string | StoredFile): StoredFile => (typeof file === "string" ? diskFile(file) : file);

/** The folder that a path names, or the one that is given. */
export const folderAt = (folder: string | Folder): Folder => (typeof folder === "string" ? diskFolder(folder) : folder);

/** Names of files, and of those in folders one below, as models have them; nothing where there is no folder. */
async function namesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const names = entries.map(async (entry) => {
    const isFolder = entry.isSymbolicLink()
      ? await stat(join(path, entry.name)).then(
          (info) => info.isDirectory(),
          () => false,
        )
      : entry.isDirectory();
    if (!isFolder) return [entry.name];
    return (await readdir(join(path, entry.name)).catch(() => [])).map((name) => `${entry.name}/${name}`);
  });
  return (await Promise.all(names)).flat().sort();
}

async function openDisk(path: string, expected: string): Promise<ByteSource> {
  const file = await open(path, "r").catch(unreadable(path, expected));
  try {
    const { size } = await file.stat();
    return {
      size,
      read: (offset, length) => readPart(file, path, offset, length),
      map: (offset, length) => mapBytes(file.fd, offset, length),
      close: () => file.close(),
    };
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

async function readPart(file: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done).catch(unreadable(path, "a file"));
    if (bytesRead === 0) {
      const received = `the end of the file after ${done}`;
      const fix = "do not change files while they are read";
      throw new DataError({ where: path, expected: `${length} bytes at ${offset}`, received, fix });
    }
    done += bytesRead;
  }
  return bytes;
}

/** For `catch`: what the system's error is for users. */
const unreadable =
  (path: string, expected: string) =>
  (cause: Error & { code?: string }): never => {
    if (cause instanceof KindlingError) throw cause;
    const received = cause.code === "ENOENT" ? "no such file" : cause.message;
    throw new DataError({ where: path, expected, received, fix: "check the path", cause });
  };
