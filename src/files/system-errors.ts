import { DataError } from "../base/index.ts";

/** A file could not be written: the disk is full, read-only or forbidden. What was there before is as it was. */
export class WriteError extends DataError {}

interface Reason {
  received: string;
  fix: string;
}

const forbidden: Reason = { received: "no permission", fix: "change the permissions, or name another folder" };

/** What the system's error codes say, in words, and what helps. */
const reasons: Readonly<Record<string, Reason>> = {
  ENOSPC: { received: "a full disk", fix: "free space, or name a folder on another disk" },
  EDQUOT: { received: "a disk quota that is used up", fix: "free space, or name a folder on another disk" },
  EROFS: { received: "a read-only disk", fix: "name a folder on a disk that can be written" },
  EACCES: forbidden,
  EPERM: forbidden,
  ENOENT: { received: "nothing there", fix: "check the path" },
  ENOTDIR: { received: "a file where the path needs a folder", fix: "name another folder" },
  EEXIST: { received: "a file of that name", fix: "remove it, or choose another name" },
  EISDIR: { received: "a folder of that name", fix: "choose another name" },
  ENOTEMPTY: { received: "a folder that is not empty", fix: "empty it, or choose another name" },
  EBUSY: { received: "a file that another program uses", fix: "close that program and try again" },
  ENAMETOOLONG: { received: "a name that is too long for the disk", fix: "choose a shorter name" },
  EFBIG: { received: "a file larger than the disk allows", fix: "name a folder on another disk" },
  EMFILE: { received: "too many open files", fix: "raise the limit: ulimit -n 4096" },
  EIO: { received: "a disk that fails", fix: "check the disk, or name a folder on another" },
  ELOOP: { received: "links that lead in a circle", fix: "check the path" },
};

/** An error of a file operation, by its code. */
export function isSystemError(cause: unknown): cause is NodeJS.ErrnoException & { code: string } {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  return (
    typeof code === "string" &&
    (Object.hasOwn(reasons, code) || (typeof syscall === "string" && /^E[A-Z]+$/.test(code)))
  );
}

function reasonOf({ code, message }: NodeJS.ErrnoException & { code: string }): Reason {
  return reasons[code] ?? { received: message, fix: "check the path" };
}

/** What a failed file operation is for users: where, expected, received, fix. */
export function systemError(
  path: string,
  expected: string,
  cause: NodeJS.ErrnoException & { code: string },
): DataError {
  return new DataError({ where: path, expected, ...reasonOf(cause), cause });
}

/**
 * Runs what writes to `path`. Whatever writes a file or a folder for users goes through here, so that they see four
 * parts and no stack trace.
 * @throws WriteError for what the system refuses; other errors as they are
 */
export async function withWriteErrors<T>(path: string, write: () => T | Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new WriteError({ where: cause.path ?? path, expected: "to write there", ...reasonOf(cause), cause });
  }
}

/** Runs what reads `path`. @throws DataError for what the system refuses; other errors as they are */
export async function withReadErrors<T>(path: string, expected: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw isSystemError(cause) ? systemError(cause.path ?? path, expected, cause) : cause;
  }
}
