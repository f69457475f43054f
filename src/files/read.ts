import { constants } from "node:buffer";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { DataError } from "../base/index.ts";

/** Opens a file for reading. @throws DataError naming the path and what was expected there */
export function openForReading(path: string, expected: string): Promise<FileHandle> {
  return open(path, "r").catch(unreadable(path, expected));
}

/** Exactly `length` bytes from `position` on. @throws what `malformed` makes, when the file ends before */
export async function readExactly(
  file: FileHandle,
  { position, length }: { position: number; length: number },
  malformed: (expected: string, received: string) => DataError,
): Promise<Uint8Array> {
  if (length > constants.MAX_LENGTH) {
    const expected = `at most ${constants.MAX_LENGTH} bytes, what an array holds in Node.js ${process.versions.node}`;
    throw new DataError({
      where: "a part of a file",
      expected,
      received: `${length}`,
      fix: "use a newer Node.js, or a file with smaller tensors",
    });
  }
  const bytes = new Uint8Array(length);
  await fill(file, bytes, position, malformed);
  return bytes;
}

/**
 * Reads as many bytes as there is room for, from `position` on. @throws what `malformed` makes, when the file ends
 * before
 */
async function fill(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
  malformed: (expected: string, received: string) => DataError,
): Promise<void> {
  const { length } = bytes;
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw malformed(`${length} bytes at ${position}`, `the end of the file after ${done}`);
    done += bytesRead;
  }
}

/** A whole file. @throws DataError naming the path, when it cannot be read */
export function readBytes(path: string, expected = "a file"): Promise<Uint8Array> {
  return readFile(path).catch(unreadable(path, expected));
}

const unreadable = (path: string, expected: string) => (cause: NodeJS.ErrnoException) => {
  const received = cause.code === "ENOENT" ? "no such file" : cause.message;
  throw new DataError({ where: path, expected, received, fix: "check the path", cause });
};
