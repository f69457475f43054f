import { createHash, createReadStream, join, readdir } from "#system";
import { DataError } from "../base/index.ts";
import { writeFileAtomic } from "./atomic.ts";
import { exists } from "./exists.ts";
import { readBytes } from "./read.ts";
import { withReadErrors } from "./system-errors.ts";

/** Of the form that `sha256sum --check` reads. */
const CHECKSUMS = "SHA256SUMS";
const LINE = /^([0-9a-f]{64}) [ *]([^/\\]+)$/;

/** The sha256 of a file, in hexadecimal. @throws DataError when it cannot be read */
export function sha256OfFile(path: string): Promise<string> {
  return withReadErrors(path, "a file", async () => {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece as Uint8Array);
    return hash.digest("hex");
  });
}

/** Writes SHA256SUMS: the sum of each file in a folder, by which `verifyChecksums` notices damage and missing parts. */
export async function writeChecksums(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name !== CHECKSUMS).sort();
  const lines: string[] = [];
  for (const name of names) lines.push(`${await sha256OfFile(join(folder, name))}  ${name}\n`);
  await writeFileAtomic(join(folder, CHECKSUMS), lines.join(""));
}

/** Whether the files of a folder have sums to be checked by. */
export const hasChecksums = (folder: string): Promise<boolean> => exists(join(folder, CHECKSUMS));

/**
 * Checks all files that SHA256SUMS names, and gives their sums by name.
 * @throws DataError with this `fix` when SHA256SUMS is missing or malformed, or a file is missing or has other content
 */
export async function verifyChecksums(folder: string, fix: string): Promise<Map<string, string>> {
  const path = join(folder, CHECKSUMS);
  const wrong = (where: string, expected: string, received: string, cause?: unknown) =>
    new DataError({ where, expected, received, fix, cause });
  const text = await readBytes(path).catch((cause) => {
    const received =
      cause.received === "no such file"
        ? `none: a part is missing, or it was written by a version of Kindling that wrote no sums`
        : cause.received;
    throw wrong(path, "the sums of the folder's files", received, cause);
  });
  const sums = new Map<string, string>();
  for (const line of new TextDecoder().decode(text).split("\n").filter(Boolean)) {
    const [, sum, name] = LINE.exec(line) ?? [];
    if (!name) throw wrong(path, "lines of a sha256 and a file's name", JSON.stringify(line.slice(0, 80)));
    sums.set(name, sum);
  }
  for (const [name, sum] of sums) {
    const actual = await sha256OfFile(join(folder, name)).catch((cause) => {
      throw wrong(join(folder, name), "the file that was saved", cause.received, cause);
    });
    if (actual !== sum)
      throw wrong(
        join(folder, name),
        `the content that was saved (sha256 ${sum.slice(0, 16)}...)`,
        `other content (${actual.slice(0, 16)}...)`,
      );
  }
  return sums;
}
