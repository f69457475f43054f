import { mostBytes, mostBytesReason } from "#system";
import { DataError } from "../base/index.ts";
import { fileAt } from "./disk.ts";
import type { ByteSource, StoredFile } from "./source.ts";

/**
 * Exactly `length` bytes from `position` on. @throws what `malformed` makes, when the source is too short for a size
 * that it states
 */
export async function readExactly(
  source: ByteSource,
  { position, length }: { position: number; length: number },
  malformed: (expected: string, received: string) => DataError,
): Promise<Uint8Array> {
  if (length > mostBytes) {
    throw new DataError({
      where: "a part of a file",
      expected: `at most ${mostBytes} bytes, what an array holds in ${mostBytesReason}`,
      received: `${length}`,
      fix: "use a newer Node.js, or a file with smaller tensors",
    });
  }
  const end = source.size - position;
  if (length > end) throw malformed(`${length} bytes at ${position}`, `the end of the file after ${Math.max(0, end)}`);
  return source.read(position, length);
}

/** Opens a file, and closes it when `use` has ended. @throws DataError naming it and what was expected there */
export async function withSource<T>(
  file: string | StoredFile,
  expected: string,
  use: (source: ByteSource, name: string) => Promise<T>,
): Promise<T> {
  const { name, open } = fileAt(file);
  const source = await open(expected);
  try {
    return await use(source, name);
  } finally {
    await source.close();
  }
}

/** A whole file. @throws DataError naming it, when it cannot be read */
export function readBytes(file: string | StoredFile, expected = "a file"): Promise<Uint8Array> {
  return withSource(file, expected, (source) => source.read(0, source.size));
}

/** A whole file of text in UTF-8. @throws DataError naming it, when it cannot be read */
export const readText = async (file: string | StoredFile, expected = "a file"): Promise<string> =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readBytes(file, expected));
